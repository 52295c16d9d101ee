"""Statistics of the columns of a field, exact to merge: count, mean, M2, minimum, maximum.

M2 is the sum of squared distances from the mean. Two parts are merged with the pairwise formula of
Chan, Golub and LeVeque ("Updating formulae and a pairwise algorithm for computing sample
variances", 1979), in double precision. Every sum runs in a fixed order over fixed pieces of rows,
so the same rows give the same bits whatever shard or thread they were read by.
"""

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Rows that are summed in one go, before parts are merged.
ROWS_PER_PIECE = 1024

#: Rows that are looked at together: so many that NumPy's loops are long, and so few that their
#: doubles stay in the processor's cache. A whole number of pieces.
_ROWS_AT_ONCE = 32 * ROWS_PER_PIECE

#: Up to this ratio of the sum of squares to M2, their difference costs no digit that counts; above
#: it the distances from the mean are squared themselves, which takes one pass more.
_WELL_CONDITIONED = 100.0

#: Integer columns within [0, this) also have their values counted: class labels, above all.
COUNTED_VALUES = 1024


_of_this_thread = threading.local()


@dataclass(frozen=True)
class FieldStatistics:
    """Statistics of a field of ``columns`` values a row, over its finite values.

    Attributes:
        count: int64 (columns,), the finite values.
        mean: float64 (columns,); 0 where there is no finite value.
        m2: float64 (columns,), the sum of squared distances from the mean; infinite where values
            beyond 1e154 have no finite square.
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
        flat = array.reshape(len(array), math.prod(array.shape[1:]))
        with np.errstate(over="ignore", invalid="ignore"):
            return cls._of_rows(flat)

    @classmethod
    def _of_rows(cls, flat: np.ndarray) -> "FieldStatistics":
        whole = len(flat) - len(flat) % ROWS_PER_PIECE
        parts = [
            _of_block(flat[start : min(start + _ROWS_AT_ONCE, whole)])
            for start in range(0, whole, _ROWS_AT_ONCE)
        ]
        if whole < len(flat):
            parts.append(_of_piece(flat[whole:]))
        return merge_all(parts) if parts else cls.of_nothing(flat.shape[1], _is_counted(flat))

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
        with np.errstate(over="ignore", invalid="ignore"):
            return self._merged_with(other)

    def _merged_with(self, other: "FieldStatistics") -> "FieldStatistics":
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

    def columns(self, start: int, end: int) -> "FieldStatistics":
        """Return the statistics of some of the columns."""
        return FieldStatistics(
            count=self.count[start:end],
            mean=self.mean[start:end],
            m2=self.m2[start:end],
            minimum=self.minimum[start:end],
            maximum=self.maximum[start:end],
            nonfinite=self.nonfinite[start:end],
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain lists; null is a minimum or maximum of no value, and an infinite M2."""
        content = {
            "count": self.count.tolist(),
            "mean": self.mean.tolist(),
            "m2": [value if math.isfinite(value) else None for value in self.m2.tolist()],
            "min": [
                low if n else None for low, n in zip(self.minimum.tolist(), self.count, strict=True)
            ],
            "max": [
                high if n else None
                for high, n in zip(self.maximum.tolist(), self.count, strict=True)
            ],
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
            m2=np.array([np.inf if v is None else v for v in content["m2"]], np.float64),
            minimum=np.array([np.inf if v is None else v for v in content["min"]], np.float64),
            maximum=np.array([-np.inf if v is None else v for v in content["max"]], np.float64),
            nonfinite=np.array(content["nonfinite"], np.int64),
            values=None if values is None else np.array(values, np.int64),
        )


def merge_all(parts: list[FieldStatistics]) -> FieldStatistics:
    """Merge neighbours with neighbours, as a tree: the rounding error grows with its height."""
    while len(parts) > 1:
        merged = [left.merge(right) for left, right in zip(parts[::2], parts[1::2], strict=False)]
        parts = merged + parts[len(merged) * 2 :]
    return parts[0]


def _of_block(block: np.ndarray) -> FieldStatistics:
    """Return the statistics of a whole number of pieces, of shape (rows, columns)."""
    rows, columns = block.shape
    rows_abreast = _rows_abreast(columns)
    # (pieces, rows of a piece / rows abreast, rows abreast * columns)
    abreast = np.ascontiguousarray(block).reshape(
        -1, ROWS_PER_PIECE // rows_abreast, rows_abreast * columns
    )
    low = _fold(abreast.min(axis=1), columns, np.minimum)
    high = _fold(abreast.max(axis=1), columns, np.maximum)
    # A NaN reaches both ends and an infinity one of them: finite ends mean finite values.
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return merge_all([_of_piece(piece) for piece in np.split(block, len(abreast))])
    doubles = _scratch(abreast.shape)
    np.copyto(doubles, abreast)
    total = _fold(doubles.sum(axis=1), columns, np.add)
    mean = total / rows
    squares = _fold(np.einsum("pra,pra->pa", doubles, doubles), columns, np.add)
    m2 = squares - total * mean
    if np.any(squares > _WELL_CONDITIONED * m2):
        doubles -= np.tile(mean, rows_abreast)
        m2 = _fold(np.einsum("pra,pra->pa", doubles, doubles), columns, np.add)
    return FieldStatistics(
        count=np.full(columns, rows, np.int64),
        mean=mean,
        m2=m2,
        minimum=low.astype(np.float64),
        maximum=high.astype(np.float64),
        nonfinite=np.zeros(columns, np.int64),
        values=_count_values(block),
    )


def _scratch(shape: tuple[int, ...]) -> np.ndarray:
    """Return float64 memory of this thread's own, used again by its next call.

    Memory that is asked for anew comes as fresh pages each time, and having them mapped takes
    longer than the sums do.
    """
    size = math.prod(shape)
    if getattr(_of_this_thread, "memory", np.empty(0)).size < size:
        _of_this_thread.memory = np.empty(size)
    return _of_this_thread.memory[:size].reshape(shape)


def _rows_abreast(columns: int) -> int:
    """Return how many neighbouring rows are summed side by side, so that inner loops are long."""
    rows = ROWS_PER_PIECE // 4
    while rows > 1 and rows * columns > ROWS_PER_PIECE:
        rows //= 2
    return rows


def _fold(abreast: np.ndarray, columns: int, operation: np.ufunc) -> np.ndarray:
    """Reduce (pieces, rows abreast * columns) to (columns,), piece by piece and then over all."""
    pieces = operation.reduce(abreast.reshape(len(abreast), -1, columns), axis=1)
    return operation.reduce(pieces, axis=0)


def _of_piece(piece: np.ndarray) -> FieldStatistics:
    """Return the statistics of a few rows, of shape (rows, columns), finite or not."""
    doubles = piece.astype(np.float64)
    finite = np.isfinite(doubles)
    count = finite.sum(axis=0)
    shift = np.where(finite.any(axis=0), doubles[finite.argmax(axis=0), range(len(count))], 0.0)
    distance = np.where(finite, doubles, shift) - shift
    mean = distance.sum(axis=0) / np.maximum(count, 1)
    distance = np.where(finite, distance - mean, 0.0)
    return FieldStatistics(
        count=count,
        mean=mean + shift,
        m2=(distance * distance).sum(axis=0),
        minimum=np.where(finite, doubles, np.inf).min(axis=0),
        maximum=np.where(finite, doubles, -np.inf).max(axis=0),
        nonfinite=len(piece) - count,
        values=_count_values(piece),
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
