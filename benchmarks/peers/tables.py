"""The results as Markdown tables."""

import statistics
from collections.abc import Callable, Iterable

import numpy as np

from benchmarks.peers.catalogue import LARGE_READS, ROW_BY_ROW, TAKE, Program
from benchmarks.peers.rounds import Result

NOTHING = "-"


def table(results: list[Result], *, row_bytes: int, file_bytes: int, cold: bool) -> str:
    """Return the table of a file, and below it the programs that failed.

    Args:
        results: results of all programs, ceilings included.
        row_bytes: size of a row.
        file_bytes: size of the file.
        cold: whether the rows were only on the disk when a run started.
    """
    ceiling = _result_without_workers(results, _ceiling(cold))
    baseline = _result_without_workers(results, ROW_BY_ROW)
    columns = {
        "program": lambda result: result.program.title,
        "version": lambda result: result.ready["version"] or NOTHING,
        "shuffle": _shuffle,
        "workers": lambda result: str(result.workers),
        "rows/s, median (range)": lambda result: _spread(result.rates.values()),
        "GiB/s": lambda result: _three_digits(_median(result.rates.values()) * row_bytes / 2**30),
        f"of {_ceiling(cold).title}": lambda result: _ratio(result, ceiling, "{:.1%}".format),
        "times row by row": lambda result: _ratio(result, baseline, _three_digits),
        "first batch, s": lambda result: _three_digits(_median(result.first_seconds.values())),
        "preparing, s": _preparing,
        "size on disk": lambda result: f"{(result.prepared_bytes or file_bytes) / file_bytes:.2f}",
    }
    if cold:
        columns["in the page cache, before / after"] = _cached
    measured = [result for result in results if result.rates]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for result in measured:
        lines.append("| " + " | ".join(cell(result) for cell in columns.values()) + " |")
    return "\n".join([*lines, *_failures(results)])


def _ceiling(cold: bool) -> Program:
    return LARGE_READS if cold else TAKE


def _result_without_workers(results: list[Result], program: Program) -> Result | None:
    """Return the result of a program with no worker processes; None if it was not measured."""
    found = (result for result in results if result.program is program and not result.workers)
    return next(found, None)


def _shuffle(result: Result) -> str:
    scatter = result.ready["scatter"]
    if result.program.ceiling or scatter is None:
        return result.program.shuffle
    return f"{result.program.shuffle} ({scatter:,.{0 if scatter > 10 else 1}f})"


def _ratio(result: Result, other: Result | None, form: Callable[[float], str]) -> str:
    """Return the median ratio to another program, over the rounds that both have."""
    rounds = result.rates.keys() & (other.rates.keys() if other else set())
    if not rounds:
        return NOTHING
    return form(_median(result.rates[one] / other.rates[one] for one in rounds))


def _preparing(result: Result) -> str:
    seconds = result.ready["prepare_seconds"]
    return NOTHING if seconds is None else f"{seconds:,.1f}"


def _cached(result: Result) -> str:
    before = _median(share.before for share in result.cached)
    after = _median(share.after for share in result.cached)
    return f"{before:.1%} / {after:.0%}"


def _failures(results: list[Result]) -> list[str]:
    failed = [result for result in results if result.failure]
    lines = [
        f"- {result.program.title}, {result.workers} workers, failed: {result.failure}"
        for result in failed
    ]
    return ["", *lines] if lines else []


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _three_digits(value: float) -> str:
    """Return a number with three significant digits and no exponent."""
    return np.format_float_positional(value, 3, fractional=False, trim="-")


def _spread(values: Iterable[float]) -> str:
    values = list(values)
    return f"{_median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"
