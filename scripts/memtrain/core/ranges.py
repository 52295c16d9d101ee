"""Ranges of rows, half-open: ``[start, end)``.

In a configuration, a bound is a row number or a percentage. In a ``Range``, both bounds are row
numbers.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from memtrain.core.wording import shown

_PERCENT = re.compile(r"\s*([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*%\s*")

#: Larger than any row number: a file has fewer bytes.
MOST_ROWS = 2**63


class Range(NamedTuple):
    """Rows ``start`` to ``end - 1``."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"[{self.start}, {self.end})"

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.end - self.start


def parse_bound(bound: object) -> int | Fraction:
    """Return the bound of a range: a row number as it is, a text like "80%" as the fraction 4/5.

    Raises:
        ValueError: if the bound is neither.
    """
    if isinstance(bound, int) and not isinstance(bound, bool) and 0 <= bound < MOST_ROWS:
        return bound
    match = _PERCENT.fullmatch(bound) if isinstance(bound, str) else None
    if match and Fraction(match[1]) <= 100:
        return Fraction(match[1]) / 100
    raise ValueError(
        f"{shown(bound)} is neither a row number (0 or more, and below 2^63) nor a percentage like "
        "'80%'"
    )


def resolve_bound(bound: object, rows: int) -> int:
    """Return the row number of a bound in a file with ``rows`` rows, rounded down."""
    parsed = parse_bound(bound)
    return int(parsed * rows) if isinstance(parsed, Fraction) else parsed


def count_rows(ranges: Iterable[Range]) -> int:
    """Return the number of rows of all ranges together."""
    return sum(piece.rows for piece in ranges)


def at_positions(ranges: Iterable[Range], start: int, end: int) -> Iterator[Range]:
    """Yield the rows at positions ``[start, end)`` of all rows of the ranges, in order."""
    for piece in ranges:
        first, last = piece.start + max(0, start), min(piece.end, piece.start + end)
        if first < last:
            yield Range(first, last)
        start, end = start - piece.rows, end - piece.rows


def overlaps(left: Sequence[Range], right: Sequence[Range]) -> Iterator[Range]:
    """Yield the rows that any range of ``left`` and any range of ``right`` have in common."""
    for one in left:
        for other in right:
            common = Range(max(one.start, other.start), min(one.end, other.end))
            if common.rows > 0:
                yield common


def self_overlaps(ranges: Sequence[Range]) -> Iterator[Range]:
    """Yield the rows that lie in more than one of the ranges."""
    for position, one in enumerate(ranges):
        yield from overlaps([one], ranges[position + 1 :])


def merge_ranges(ranges: Iterable[Range]) -> list[Range]:
    """Return the rows of all ranges, sorted; ranges that overlap or touch become one."""
    merged: list[Range] = []
    for one in sorted(ranges):
        if one.rows <= 0:
            continue
        if merged and one.start <= merged[-1].end:
            merged[-1] = Range(merged[-1].start, max(merged[-1].end, one.end))
        else:
            merged.append(one)
    return merged


def subtract_ranges(ranges: Sequence[Range], removed: Iterable[Range]) -> list[Range]:
    """Return the ranges without the rows of ``removed``, in order and without empty ranges."""
    holes = merge_ranges(removed)
    left = []
    for piece in ranges:
        start = piece.start
        for number in range(bisect_right(holes, start, key=lambda hole: hole.end), len(holes)):
            hole = holes[number]
            if hole.start >= piece.end:
                break
            if start < hole.start:
                left.append(Range(start, hole.start))
            start = hole.end
        if start < piece.end:
            left.append(Range(start, piece.end))
    return left
