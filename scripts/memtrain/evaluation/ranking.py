"""How well scores rank rows: AUROC and average precision, exactly, in flat memory.

Both depend on the order of all scores. The scores lie in a file, which is read in several passes: a
first one counts the rows by the upper half of the bits of their scores, and each further one
handles a range of scores, from the highest down, with few enough rows to be sorted in memory. The
results are those of the formulas, with equal scores taken together; nothing is put into bins.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

#: Rows whose scores are sorted in memory together.
_MOST_SORTED_ROWS = 1 << 22

#: Numbers of the upper and of the lower half of a float32.
_HALF = 1 << 16


@dataclass(frozen=True)
class ScoredChunk:
    """Some rows.

    Attributes:
        scores: float32 (rows,), none of them negative or NaN.
        positive: whether a row is positive, bool (rows,).
    """

    scores: np.ndarray
    positive: np.ndarray


@dataclass(frozen=True)
class Ranking:
    """How well scores rank the positive rows above the others.

    Attributes:
        auroc: the probability that a positive row scores higher than another one, where equal
            scores count half: the area under the receiver operating characteristic.
        average_precision: the mean precision at the positive rows.
        positive_share: share of the rows that are positive, which is the average precision of
            scores that say nothing.
    """

    auroc: float
    average_precision: float
    positive_share: float

    def of_constant(self) -> "Ranking":
        """Return the ranking of the same rows by scores that are all equal."""
        return Ranking(0.5, self.positive_share, self.positive_share)


def mean_ranking(rankings: Sequence[Ranking | None]) -> Ranking | None:
    """Return the mean of the rankings that exist; None if none does."""
    known = [one for one in rankings if one is not None]
    if not known:
        return None
    return Ranking(
        *(
            math.fsum(getattr(one, name) for one in known) / len(known)
            for name in ("auroc", "average_precision", "positive_share")
        )
    )


#: Reads all rows again, each time it is called.
Reader = Callable[[], Iterator[ScoredChunk]]


def rank(read: Reader) -> Ranking | None:
    """Return how well scores rank rows; None unless there are positive and other rows.

    Args:
        read: reads all rows, again each time it is called.
    """
    counts = np.zeros((_HALF, 2), np.int64)
    for chunk in read():
        flat = 2 * (_bits(chunk.scores) >> 16).astype(np.int64) + chunk.positive
        counts += np.bincount(flat, minlength=2 * _HALF).reshape(_HALF, 2)
    others, positives = (int(total) for total in counts.sum(0))
    if not others or not positives:
        return None
    pairs, precisions, above = 0.0, 0.0, np.zeros(2, np.int64)
    for first, last in _ranges(counts.sum(1)):
        at_score = _counts_by_score(read, first, last)
        # Rows above each score, (scores, 2), without those at it.
        before = above + np.cumsum(at_score, axis=0) - at_score
        upto = before + at_score
        # Twice the pairs that are ranked right, so that halves stay integers.
        pairs += float((at_score[:, 0] * (2 * before[:, 1] + at_score[:, 1])).sum())
        precisions += float((at_score[:, 1] * (upto[:, 1] / upto.sum(1))).sum())
        above = upto[-1]
    return Ranking(
        auroc=pairs / (2.0 * positives * others),
        average_precision=precisions / positives,
        positive_share=positives / (positives + others),
    )


def _bits(scores: np.ndarray) -> np.ndarray:
    """Return the bits of scores, uint32; their order is that of the scores, as none is negative."""
    # Adding 0 makes a zero of a negative zero.
    return (scores.astype(np.float32) + np.float32(0)).view(np.uint32)


def _ranges(rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield ranges of upper halves, from the highest down, as their first and last number.

    Args:
        rows: rows by the upper half of their scores, int64 (65536,).
    """
    occupied = np.flatnonzero(rows)[::-1]
    start = 0
    while start < len(occupied):
        total = np.cumsum(rows[occupied[start:]])
        count = max(1, int(np.searchsorted(total, _MOST_SORTED_ROWS, side="right")))
        yield int(occupied[start + count - 1]), int(occupied[start])
        start += count


def _counts_by_score(read: Reader, first: int, last: int) -> np.ndarray:
    """Return how many other and positive rows have each score, int64 (scores, 2), from the highest.

    Args:
        read: reads all rows.
        first: lowest upper half of the scores to count.
        last: highest upper half.
    """
    if first == last:  # Any number of rows may share one upper half.
        counts = np.zeros((_HALF, 2), np.int64)
        for bits, positive in _within(read, first, last):
            flat = 2 * (bits % _HALF).astype(np.int64) + positive
            counts += np.bincount(flat, minlength=2 * _HALF).reshape(_HALF, 2)
        return counts[counts.any(1)][::-1]
    parts = list(_within(read, first, last))
    bits = np.concatenate([part for part, _ in parts])
    positive = np.concatenate([part for _, part in parts])
    order = np.argsort(bits)
    bits, positive = bits[order], positive[order]
    starts = np.flatnonzero(np.r_[True, bits[1:] != bits[:-1]])
    rows = np.diff(np.r_[starts, len(bits)])
    positives = np.add.reduceat(positive.astype(np.int64), starts)
    return np.stack([rows - positives, positives], axis=1)[::-1]


def _within(read: Reader, first: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the bits of the scores within a range, and which of their rows are positive."""
    for chunk in read():
        bits = _bits(chunk.scores)
        inside = (bits >> 16 >= first) & (bits >> 16 <= last)
        yield bits[inside], chunk.positive[inside]
