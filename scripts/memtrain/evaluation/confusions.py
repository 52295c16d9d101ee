"""The pairs of classes that a model confuses most, exactly, in flat memory.

There are as many pairs as the square of the number of classes, too many to count at once. The
predictions are read in several passes, each of which counts the pairs of so many true classes that
their rows can be sorted in memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

#: Confused rows whose pairs are sorted in memory together.
_MOST_SORTED_ROWS = 1 << 22


@dataclass(frozen=True)
class PredictedClasses:
    """Some rows.

    Attributes:
        true: true classes, int64 (rows,).
        predicted: predicted classes, int64 (rows,).
    """

    true: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class ConfusedPair:
    """Rows of one class that are predicted as another.

    Attributes:
        true: the true class.
        predicted: the predicted class.
        rows: number of rows.
    """

    true: int
    predicted: int
    rows: int


def most_confused(
    read: Callable[[], Iterator[PredictedClasses]], confused_rows: np.ndarray, count: int
) -> list[ConfusedPair]:
    """Return the pairs with the most rows, the largest first; of equals those of lower classes.

    Args:
        read: reads all rows, again each time it is called.
        confused_rows: rows of each true class that are predicted as another, int64 (classes,).
        count: number of pairs to return, at most.
    """
    pairs: list[ConfusedPair] = []
    for first, end in _ranges(confused_rows):
        pairs += _confused_within(read, first, end, count)
        pairs.sort(key=lambda pair: (-pair.rows, pair.true, pair.predicted))
        del pairs[count:]
    return pairs


def _ranges(confused_rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield ranges ``[first, end)`` of true classes, whose rows are few enough to be sorted."""
    total = np.cumsum(confused_rows)
    first, before = 0, 0
    while first < len(total) and total[-1] > before:
        end = max(first + 1, int(np.searchsorted(total, before + _MOST_SORTED_ROWS, side="right")))
        yield first, end
        first, before = end, int(total[end - 1])


def _confused_within(
    read: Callable[[], Iterator[PredictedClasses]], first: int, end: int, count: int
) -> list[ConfusedPair]:
    """Return the pairs with the most rows among the true classes ``[first, end)``."""
    if end == first + 1:
        return _confused_with(read, first, count)
    parts = []
    for rows in read():
        chosen = (rows.true != rows.predicted) & (rows.true >= first) & (rows.true < end)
        parts.append(np.stack([rows.true[chosen], rows.predicted[chosen]], axis=1))
    keys = np.concatenate(parts).astype(np.int64)
    # A key of one number is sorted a hundred times faster than a pair.
    stride = int(keys[:, 1].max(initial=0)) + 1
    pairs, rows_of_pair = np.unique(keys[:, 0] * stride + keys[:, 1], return_counts=True)
    order = np.argsort(-rows_of_pair, kind="stable")[:count]
    return [
        ConfusedPair(*divmod(int(pair), stride), int(rows))
        for pair, rows in zip(pairs[order], rows_of_pair[order], strict=True)
    ]


def _confused_with(
    read: Callable[[], Iterator[PredictedClasses]], true: int, count: int
) -> list[ConfusedPair]:
    """Return the pairs of one true class, of which there may be any number of rows."""
    counts = np.zeros(0, np.int64)
    for rows in read():
        part = np.bincount(rows.predicted[rows.true == true], minlength=len(counts))
        part[: len(counts)] += counts
        counts = part
    counts[true : true + 1] = 0
    order = np.argsort(-counts, kind="stable")[:count]
    return [ConfusedPair(true, int(said), int(counts[said])) for said in order if counts[said]]
