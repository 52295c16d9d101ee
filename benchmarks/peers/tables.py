"""The results, in Markdown."""

import statistics
from collections.abc import Callable, Iterable

import numpy as np

from benchmarks.peers.catalogue import LARGE_READS, ROW_BY_ROW, TAKE, Program
from benchmarks.peers.rounds import Result

NOTHING = "-"


def table(results: list[Result], row_bytes: int, file_bytes: int, cold: bool) -> str:
    """Return the table of a file, and below it what failed.

    Args:
        results: of all programs, ceilings included.
        row_bytes: the size of a row.
        file_bytes: the size of the file.
        cold: whether each run began with the rows on the disk alone.
    """
    ceiling, reference = (_of(results, program.name) for program in (_ceiling(cold), ROW_BY_ROW))
    columns = {
        "program": lambda result: result.program.title,
        "version": lambda result: result.ready["version"] or NOTHING,
        "shuffle": _shuffle,
        "workers": lambda result: str(result.workers),
        "rows/s, median (range)": lambda result: _spread(result.rates.values()),
        "GiB/s": lambda result: _figures(_middle(result.rates.values()) * row_bytes / 2**30),
        f"of {_ceiling(cold).title}": lambda result: _ratio(result, ceiling, "{:.1%}".format),
        "times row by row": lambda result: _ratio(result, reference, _figures),
        "first batch, s": lambda result: _figures(_middle(result.first_seconds.values())),
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


def _of(results: list[Result], name: str) -> Result | None:
    """Return the result of a program without workers."""
    found = [result for result in results if result.program.name == name and not result.workers]
    return found[0] if found else None


def _shuffle(result: Result) -> str:
    scatter = result.ready["scatter"]
    if result.program.ceiling or scatter is None:
        return result.program.shuffle
    return f"{result.program.shuffle} ({scatter:,.{0 if scatter > 10 else 1}f})"


def _ratio(result: Result, other: Result | None, form: Callable[[float], str]) -> str:
    """Return the median of the ratios to another program, round by round."""
    rounds = result.rates.keys() & (other.rates.keys() if other else set())
    if not rounds:
        return NOTHING
    return form(_middle(result.rates[one] / other.rates[one] for one in rounds))


def _preparing(result: Result) -> str:
    seconds = result.ready["prepare_seconds"]
    return NOTHING if seconds is None else f"{seconds:,.1f}"


def _cached(result: Result) -> str:
    before, after = zip(*result.cached, strict=True)
    return f"{_middle(before):.1%} / {_middle(after):.0%}"


def _failures(results: list[Result]) -> list[str]:
    failed = [result for result in results if result.failure]
    lines = [
        f"- {result.program.title}, {result.workers} workers, failed: {result.failure}"
        for result in failed
    ]
    return ["", *lines] if lines else []


def _middle(values: Iterable[float]) -> float:
    return statistics.median(values)


def _figures(value: float) -> str:
    """Write a number with three figures and without an exponent."""
    return np.format_float_positional(value, 3, fractional=False, trim="-")


def _spread(values: Iterable[float]) -> str:
    values = list(values)
    return f"{_middle(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"
