"""Statistics of the columns of a field, exact to merge: count, mean, M2, minimum, maximum.

M2 is the sum of squared distances from the mean. Two parts are merged with the pairwise formula of
Chan, Golub and LeVeque ("Updating formulae and a pairwise algorithm for computing sample
variances", 1979), in double precision. Every sum runs in a fixed order over fixed pieces of rows,
so the same rows give the same bits whatever shard or thread they were read by.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Rows that are summed in one go; small enough that their doubles stay in the processor's cache.
_ROWS_PER_PIECE = 1024

#: Integer columns within [0, this) also have their values counted: class labels, above all.
COUNTED_VALUES = 1024


@dataclass(frozen=True)
class FieldStatistics:
    """Statistics of a field of ``columns`` values a row, over its finite values.

    Attributes:
        count: int64 (columns,), the finite values.
        mean: float64 (columns,); 0 where there is no finite value.
        m2: float64 (columns,), the sum of squared distances from the mean.
        minimum: float64 (columns,); +inf where there is no finite value.
        maximum: float64 (columns,); -inf where there is no finite value.
        nonfinite: int64 (columns,), the values that are NaN or infinite.
        values: int64 (n,), how often 0, 1, ... n-1 occur, for a field of one integer column within
            ``COUNTED_VALUES``; else None.
    """

    count: np.ndarray
    mean: np.ndarray
    m2: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    nonfinite: np.ndarray
    values: np.ndarray | None = None

    @classmethod
    def of(cls, array: np.ndarray) -> "FieldStatistics":
        """Return the statistics of rows of a field, of shape (rows, ...)."""
        flat = array.reshape(len(array), -1)
        pieces = [
            _of_piece(flat[start : start + _ROWS_PER_PIECE])
            for start in range(0, len(flat), _ROWS_PER_PIECE)
        ]
        return merge_all(pieces) if pieces else cls.of_nothing(flat.shape[1], _is_counted(flat))

    @classmethod
    def of_nothing(cls, columns: int, counted: bool = False) -> "FieldStatistics":
        """Return the statistics of no rows: what ``merge`` leaves everything else unchanged by."""
        return cls(
            count=np.zeros(columns, np.int64),
            mean=np.zeros(columns),
            m2=np.zeros(columns),
            minimum=np.full(columns, np.inf),
            maximum=np.full(columns, -np.inf),
            nonfinite=np.zeros(columns, np.int64),
            values=np.zeros(0, np.int64) if counted else None,
        )

    @property
    def standard_deviation(self) -> np.ndarray:
        """The population standard deviation of every column; 0 where there is no value."""
        return np.sqrt(self.m2 / np.maximum(self.count, 1))

    def merge(self, other: "FieldStatistics") -> "FieldStatistics":
        """Return the statistics of the rows of both."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        delta = other.mean - self.mean
        return FieldStatistics(
            count=count,
            mean=self.mean + delta * share,
            m2=self.m2 + other.m2 + delta * delta * self.count * share,
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            nonfinite=self.nonfinite + other.nonfinite,
            values=_add_counts(self.values, other.values),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain lists; a minimum or maximum of no value is null."""
        content = {
            "count": self.count.tolist(),
            "mean": self.mean.tolist(),
            "m2": self.m2.tolist(),
            "min": [low if n else None for low, n in zip(self.minimum.tolist(), self.count)],
            "max": [high if n else None for high, n in zip(self.maximum.tolist(), self.count)],
            "nonfinite": self.nonfinite.tolist(),
        }
        return content if self.values is None else content | {"values": self.values.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "FieldStatistics":
        """Return the statistics that ``to_json`` described."""
        values = content.get("values")
        return cls(
            count=np.array(content["count"], np.int64),
            mean=np.array(content["mean"], np.float64),
            m2=np.array(content["m2"], np.float64),
            minimum=np.array([np.inf if v is None else v for v in content["min"]], np.float64),
            maximum=np.array([-np.inf if v is None else v for v in content["max"]], np.float64),
            nonfinite=np.array(content["nonfinite"], np.int64),
            values=None if values is None else np.array(values, np.int64),
        )


def merge_all(parts: list[FieldStatistics]) -> FieldStatistics:
    """Merge neighbours with neighbours, as a tree: the rounding error grows with its height."""
    while len(parts) > 1:
        merged = [left.merge(right) for left, right in zip(parts[::2], parts[1::2])]
        parts = merged + parts[len(merged) * 2 :]
    return parts[0]


def _of_piece(piece: np.ndarray) -> FieldStatistics:
    """Return the statistics of a few rows, of shape (rows, columns)."""
    rows, columns = piece.shape
    low, high = piece.min(axis=0).astype(np.float64), piece.max(axis=0).astype(np.float64)
    # A NaN reaches both ends and an infinity one of them: finite ends mean finite values.
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return _of_piece_with_nonfinite(piece)
    doubles = piece.astype(np.float64)
    # Distances from a row of the piece itself keep the digits that a large mean would cost.
    shift = doubles[0].copy()
    doubles -= shift
    mean = doubles.sum(axis=0) / rows
    doubles -= mean
    return FieldStatistics(
        count=np.full(columns, rows, np.int64),
        mean=mean + shift,
        m2=np.einsum("rc,rc->c", doubles, doubles),
        minimum=low,
        maximum=high,
        nonfinite=np.zeros(columns, np.int64),
        values=_count_values(piece),
    )


def _of_piece_with_nonfinite(piece: np.ndarray) -> FieldStatistics:
    doubles = piece.astype(np.float64)
    finite = np.isfinite(doubles)
    count = finite.sum(axis=0)
    mean = np.where(finite, doubles, 0.0).sum(axis=0) / np.maximum(count, 1)
    distance = np.where(finite, doubles - np.where(finite, mean, 0.0), 0.0)
    return FieldStatistics(
        count=count,
        mean=mean,
        m2=(distance * distance).sum(axis=0),
        minimum=np.where(finite, doubles, np.inf).min(axis=0),
        maximum=np.where(finite, doubles, -np.inf).max(axis=0),
        nonfinite=len(piece) - count,
    )


def _is_counted(flat: np.ndarray) -> bool:
    return flat.shape[1] == 1 and flat.dtype.kind in "iub"


def _count_values(piece: np.ndarray) -> np.ndarray | None:
    if not _is_counted(piece) or piece.min() < 0 or piece.max() >= COUNTED_VALUES:
        return None
    return np.bincount(piece.reshape(-1).astype(np.int64))


def _add_counts(left: np.ndarray | None, right: np.ndarray | None) -> np.ndarray | None:
    if left is None or right is None:
        return None
    total = np.zeros(max(len(left), len(right)), np.int64)
    total[: len(left)] += left
    total[: len(right)] += right
    return total
