"""Runs programs in turn and compares them run by run, so that a drift of the machine hits all."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """What one run of a program did.

    Attributes:
        units: number of units, such as rows.
        seconds: time that the units took; None if the whole time of the run counts.
        cpu_seconds: time that the main thread computed for them; None where it is not known.
    """

    units: float
    seconds: float | None = None
    cpu_seconds: float | None = None


#: A program runs once and returns its number of units, or its work if only part of its time counts.
Program = Callable[[], float | Work]


@dataclass(frozen=True)
class Comparison:
    """Rates of several programs that were measured in turn.

    Attributes:
        rates: units per second of every run, in the order of the runs, by the name of the program.
        unit: unit of the rates, such as "rows/s".
        cpu_rates: units per second that the main thread computed, of programs that tell it.
    """

    rates: dict[str, list[float]]
    unit: str
    cpu_rates: dict[str, list[float]] = field(default_factory=dict)

    def ratio(self, name: str, baseline: str) -> list[float]:
        """Return the rates of one program divided by those of another, run by run."""
        return _ratios(self.rates[name], self.rates[baseline])

    def cpu_ratio(self, name: str, baseline: str) -> list[float]:
        """Return ``ratio`` of the time that the main thread computed, without what it waited."""
        return _ratios(self.cpu_rates[name], self.cpu_rates[baseline])

    def table(self, baseline: str) -> str:
        """Return a Markdown table: median rate with its range, and the ratio to a baseline."""
        lines = [
            f"| | {self.unit}, median (range) | times `{baseline}`, median (range) |",
            "|---|---|---|",
        ]
        for name, rates in self.rates.items():
            ratio = spread(self.ratio(name, baseline), "{:.2f}")
            lines.append(f"| {name} | {spread(rates, '{:,.0f}')} | {ratio} |")
        return "\n".join(lines)


def compare(
    programs: dict[str, Program],
    unit: str,
    *,
    runs: int = 7,
    before: Callable[[], None] = lambda: None,
    warm_up: bool = True,
) -> Comparison:
    """Run every program once per round, and return their rates.

    Args:
        programs: programs by name.
        unit: unit of the rates.
        runs: number of rounds that count.
        before: called before each run; its time does not count.
        warm_up: whether one round that does not count comes first.
    """
    rates: dict[str, list[float]] = {name: [] for name in programs}
    cpu_rates: dict[str, list[float]] = {name: [] for name in programs}
    for run in range(0 if warm_up else 1, runs + 1):
        for name, program in programs.items():
            before()
            work, seconds = _timed(program)
            if run:
                rates[name].append(work.units / seconds)
                if work.cpu_seconds:
                    cpu_rates[name].append(work.units / work.cpu_seconds)
    return Comparison(rates, unit, cpu_rates)


def _timed(program: Program) -> tuple[Work, float]:
    """Run a program; return what it did, and the seconds that count.

    What was imported and made before is out of the collector's sight, as it is in the scripts: a
    collection of all of it (0.3 s with PyTorch) would hit one program in ten.
    """
    gc.collect()
    gc.freeze()
    start = time.perf_counter()
    done = program()
    seconds = time.perf_counter() - start
    work = done if isinstance(done, Work) else Work(done)
    return work, seconds if work.seconds is None else work.seconds


def _ratios(rates: list[float], bases: list[float]) -> list[float]:
    return [rate / base for rate, base in zip(rates, bases, strict=True)]


def spread(values: list[float], form: str) -> str:
    """Return "median (lowest to highest)", each number in a format such as ``{:.2f}``."""
    median = form.format(statistics.median(values))
    return f"{median} ({form.format(min(values))} to {form.format(max(values))})"
