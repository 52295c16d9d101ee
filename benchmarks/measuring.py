"""Runs things in turn and compares them pair by pair, so that a machine's drift hits both alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Rates of several programs, measured in turn: one list a program, in the order of the runs."""

    rates: dict[str, list[float]]
    unit: str

    def ratio(self, name: str, baseline: str) -> list[float]:
        """Return the rates of a program over those of another, run by run."""
        pairs = zip(self.rates[name], self.rates[baseline], strict=True)
        return [rate / base for rate, base in pairs]

    def table(self, baseline: str) -> str:
        """Return a Markdown table: median rate with its range, and the ratio to a baseline."""
        lines = [f"| | {self.unit}, median (range) | times `{baseline}`, median (range) |"]
        lines.append("|---|---|---|")
        for name, rates in self.rates.items():
            ratio = spread(self.ratio(name, baseline), "{:.2f}")
            lines.append(f"| {name} | {spread(rates, '{:,.0f}')} | {ratio} |")
        return "\n".join(lines)


def compare(
    programs: dict[str, Callable[[], float | tuple[float, float]]],
    unit: str,
    runs: int = 7,
    before: Callable[[], None] = lambda: None,
    warm_up: bool = True,
) -> Comparison:
    """Run programs in turn, ``runs`` times each after a warm-up that is not counted.

    Args:
        programs: by name; each runs once and returns how many units it did; and, where not all of
            its time counts, in how many seconds.
        unit: of the rates, units a second.
        runs: of each program.
        before: called before each run, and not timed.
        warm_up: whether there is one run more at first, which is not counted.
    """
    rates: dict[str, list[float]] = {name: [] for name in programs}
    for run in range(0 if warm_up else 1, runs + 1):
        for name, program in programs.items():
            before()
            start = time.perf_counter()
            done = program()
            seconds = time.perf_counter() - start
            units, seconds = done if isinstance(done, tuple) else (done, seconds)
            if run:
                rates[name].append(units / seconds)
    return Comparison(rates, unit)


def spread(values: list[float], form: str) -> str:
    """Return "median (lowest to highest)"."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"
