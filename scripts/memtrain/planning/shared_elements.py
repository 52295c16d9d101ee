"""Finds elements of a stream that rows of two uses share, as windows that overlap do.

Two windows may have different numbers and hold the same values. A model that was trained on one is
not tested by the other.
"""

import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, count_rows, overlaps, subtract_ranges
from memtrain.core.wording import counted
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout
from memtrain.data.streams.row_addresses import Windows

_log = logging.getLogger(__name__)


def shared_element_problems(
    key: str, layout: RowLayout, used: Mapping[str, Sequence[Range]]
) -> Iterator[str]:
    """Yield a problem for each two uses whose rows share elements of a stream.

    Args:
        key: key of the split, for messages.
        layout: where the rows lie.
        used: rows by the key that names them: "train", "validate", "evaluate".
    """
    for (one, left), (other, right) in combinations(used.items(), 2):
        for windows in _windows(layout):
            problem = _problem(key, windows, (one, left), (other, right))
            if problem is not None:
                yield problem
                break


def without_shared_elements(
    where: str, layout: RowLayout, rows: Sequence[Range], held: Sequence[Range]
) -> list[Range]:
    """Return training rows without those that share elements with rows that are held out.

    Where these lie in several places, and cost more training rows than they are, a warning says so.

    Args:
        where: key of the split, for messages.
        layout: where the rows lie.
        rows: the training rows.
        held: the rows that are held out of them.

    Raises:
        UserError: if no row is left.
    """
    left = list(rows)
    for windows in _windows(layout):
        touched = [_touching(windows, one) for one in held]
        left = subtract_ranges(left, touched)
    lost = count_rows(rows) - count_rows(left)
    remedy = (
        "Take the last rows (`validation: {take: last}`), which lie side by side, or name them "
        "under `validate`."
    )
    if not left:
        raise UserError(
            f"{where}: training.validation: every training row shares elements with one of the "
            f"{counted(count_rows(held), 'row')} that are held out, since windows overlap. {remedy}"
        )
    if len(held) > 1 and lost > count_rows(held):
        _log.warning(
            f"{where}: training.validation: {lost:,} further rows are not trained on, since "
            f"their windows share elements with the {counted(count_rows(held), 'row')} that are "
            f"held out in {len(held):,} places; {count_rows(left):,} are left. {remedy}"
        )
    return left


def _windows(layout: RowLayout) -> list[Windows]:
    """Return the windows of every field whose rows may share elements."""
    stored = layout.stored if isinstance(layout, FilesLayout) else ()
    return [one.addresses for one in stored if isinstance(one.addresses, Windows)]


def _problem(
    key: str,
    windows: Windows,
    left: tuple[str, Sequence[Range]],
    right: tuple[str, Sequence[Range]],
) -> str | None:
    (one, rows_of_one), (other, rows_of_other) = left, right
    for rows in rows_of_one:
        touched = _touching(windows, rows)
        around = subtract_ranges([touched], [rows])
        shared = next(iter(overlaps(around, rows_of_other)), None)
        if shared is None:
            continue
        gap = max(part.rows for part in around)
        return (
            f"{key}: rows {rows} ({one}) and rows {shared} ({other}) share elements, since a row "
            f"takes {windows.length:,} of them and the next one begins before its end. "
            f"Leave out {counted(gap, 'row')} between `{one}` and `{other}` (of folds: `gap: "
            f"{gap}`), or set `allow_overlap: true`."
        )
    return None


def _touching(windows: Windows, rows: Range) -> Range:
    """Return all rows that share elements with some rows, these included."""
    start, end = windows.span(rows.start, rows.end)
    numbers = range(windows.rows)
    first = bisect_left(numbers, start + 1, key=lambda row: windows.span(row, row + 1)[1])
    last = bisect_left(numbers, end, key=lambda row: windows.span(row, row + 1)[0])
    return Range(min(first, rows.start), max(last, rows.end))
