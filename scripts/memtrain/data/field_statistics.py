"""Statistics of the columns of a field that can be merged: count, mean, M2, minimum, maximum.

M2 is the sum of squared distances from the mean. Two parts are merged with the pairwise formula of
Chan, Golub and LeVeque ("Updating formulae and a pairwise algorithm for computing sample
variances", 1979), in double precision. Every sum runs in a fixed order over fixed pieces of rows,
so the same rows give the same bits, whatever shard they are in and whatever thread reads them.
"""

import math
import threading
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

#: Rows that are summed before parts are merged.
ROWS_PER_PIECE = 1024

#: Rows of a block, a whole number of pieces: enough for long loops in NumPy, and few enough for
#: their doubles to stay in the processor's cache.
_ROWS_PER_BLOCK = 32 * ROWS_PER_PIECE

#: Largest ratio of the sum of squares to M2 at which M2 is computed as a difference, which then
#: loses about two of a double's 16 digits. Above it, another pass squares the distances from the
#: mean.
_WELL_CONDITIONED = 100.0

#: The values of a field of one integer column are counted if all of them lie in
#: [0, COUNTED_VALUES), as class labels do.
COUNTED_VALUES = 1024

#: Values that are counted at one time, each as an integer of 8 bytes.
_VALUES_PER_COUNT = 1 << 18

#: float32 merges the values of a column that vary by less than this share of their mean: less than
#: 16 of its steps lie within one standard deviation.
LEAST_SPREAD = 2.0**-20


def least_spread(mean: np.ndarray, dtype: np.dtype | type = np.float32) -> np.ndarray:
    """Return the standard deviations below which a floating type merges values.

    Args:
        mean: the means of the values, float64 (columns,).
        dtype: the type.
    """
    kind = np.finfo(dtype)
    steps_per_value = 2.0 ** (kind.nmant - np.finfo(np.float32).nmant)
    # Around 0, all steps of a type have the size of the smallest one.
    return np.maximum(
        np.abs(mean) * LEAST_SPREAD / steps_per_value, 16 * float(kind.smallest_subnormal)
    )


_thread_memory = threading.local()


@dataclass(frozen=True)
class FieldStatistics:
    """Statistics of a field, over its finite values; the field has ``columns`` values a row.

    Integers of windows have ``columns`` values an element: their statistics are those of all
    positions of a row together.

    Attributes:
        count: int64 (columns,), the number of finite values.
        mean: float64 (columns,); 0 where there is no finite value.
        m2: float64 (columns,), the sum of squared distances from the mean; infinite where values
            beyond 1e154 have no finite square.
        minimum: float64 (columns,); +inf where there is no finite value.
        maximum: float64 (columns,); -inf where there is no finite value.
        missing: int64 (columns,), the number of values that are NaN.
        infinite: int64 (columns,), the number of values that are infinite.
        values: int64 (n,), how often each of 0, 1, ... n-1 occurs, for a field of one integer
            column whose values lie in [0, ``COUNTED_VALUES``), or of several columns that are
            counted together; None for every other field.
    """

    count: np.ndarray
    mean: np.ndarray
    m2: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    missing: np.ndarray
    infinite: np.ndarray
    values: np.ndarray | None = None

    @classmethod
    def from_rows(cls, array: np.ndarray, *, counts_together: bool = False) -> "FieldStatistics":
        """Return the statistics of rows of a field, of shape (rows, ...).

        Args:
            array: the rows.
            counts_together: whether integers of several columns are counted, all columns together:
                those of a target are the classes of a row's elements.
        """
        flat = array.reshape(len(array), math.prod(array.shape[1:]))
        with np.errstate(over="ignore", invalid="ignore"):
            whole = len(flat) - len(flat) % ROWS_PER_PIECE
            parts = [
                _block_statistics(flat[start : min(start + _ROWS_PER_BLOCK, whole)])
                for start in range(0, whole, _ROWS_PER_BLOCK)
            ]
            if whole < len(flat):
                parts.append(_piece_statistics(flat[whole:]))
            is_counted = flat.dtype.kind in "iub" and (flat.shape[1] == 1 or counts_together)
            found = merge_all(parts) if parts else cls._empty(flat.shape[1])
            return replace(found, values=_count_values(flat)) if is_counted else found

    @classmethod
    def _empty(cls, columns: int) -> "FieldStatistics":
        """Return the statistics of no rows, which ``merge`` adds without any effect."""
        return cls(
            count=np.zeros(columns, np.int64),
            mean=np.zeros(columns),
            m2=np.zeros(columns),
            minimum=np.full(columns, np.inf),
            maximum=np.full(columns, -np.inf),
            missing=np.zeros(columns, np.int64),
            infinite=np.zeros(columns, np.int64),
        )

    @property
    def standard_deviation(self) -> np.ndarray:
        """The population standard deviation of every column; 0 where there is no value."""
        return np.sqrt(self.m2 / np.maximum(self.count, 1))

    def merge(self, other: "FieldStatistics") -> "FieldStatistics":
        """Return the statistics of the rows of this part and of the other."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            delta = other.mean - self.mean
            mean = self.mean + delta * share
            m2 = self.m2 + other.m2 + delta * delta * self.count * share
        return FieldStatistics(
            count=count,
            mean=mean,
            m2=m2,
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            missing=self.missing + other.missing,
            infinite=self.infinite + other.infinite,
            values=_add_counts(self.values, other.values),
        )

    def columns(self, start: int, end: int) -> "FieldStatistics":
        """Return the statistics of columns ``start`` to ``end - 1``, without counts of values."""
        return FieldStatistics(
            count=self.count[start:end],
            mean=self.mean[start:end],
            m2=self.m2[start:end],
            minimum=self.minimum[start:end],
            maximum=self.maximum[start:end],
            missing=self.missing[start:end],
            infinite=self.infinite[start:end],
        )

    def spread(self, columns: int) -> "FieldStatistics":
        """Return the statistics of every column of a row of elements, where they are of them all.

        Args:
            columns: number of values of a row, a multiple of the columns of these statistics.
        """
        own = len(self.count)
        if own == columns:
            return self
        parts = {
            field.name: np.tile(getattr(self, field.name), columns // own)
            for field in fields(self)
            if field.name != "values"
        }
        return FieldStatistics(**parts, values=self.values)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists; None stands for an infinite M2, and for an extreme of no values."""
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
            "missing": self.missing.tolist(),
            "infinite": self.infinite.tolist(),
        }
        return content if self.values is None else content | {"values": self.values.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "FieldStatistics":
        """Return the statistics that ``to_json`` wrote."""
        values = content.get("values")
        return cls(
            count=np.array(content["count"], np.int64),
            mean=np.array(content["mean"], np.float64),
            m2=np.array([np.inf if v is None else v for v in content["m2"]], np.float64),
            minimum=np.array([np.inf if v is None else v for v in content["min"]], np.float64),
            maximum=np.array([-np.inf if v is None else v for v in content["max"]], np.float64),
            missing=np.array(content["missing"], np.int64),
            infinite=np.array(content["infinite"], np.int64),
            values=None if values is None else np.array(values, np.int64),
        )


def merge_all(parts: list[FieldStatistics]) -> FieldStatistics:
    """Merge one part or more as a binary tree, whose height limits the rounding error."""
    while len(parts) > 1:
        merged = [left.merge(right) for left, right in zip(parts[::2], parts[1::2], strict=False)]
        parts = merged + parts[len(merged) * 2 :]
    return parts[0]


def _block_statistics(block: np.ndarray) -> FieldStatistics:
    """Return the statistics of a block, (rows, columns), that is a whole number of pieces."""
    rows, columns = block.shape
    rows_abreast = _rows_abreast(columns)
    # (pieces, rows of a piece / rows abreast, rows abreast * columns)
    abreast = np.ascontiguousarray(block).reshape(
        -1, ROWS_PER_PIECE // rows_abreast, rows_abreast * columns
    )
    low = _fold(abreast.min(axis=1), columns, np.minimum)
    high = _fold(abreast.max(axis=1), columns, np.maximum)
    # NumPy returns NaN as an extreme of values with a NaN, and infinity is an extreme itself: where
    # both extremes are finite, all values are.
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return merge_all([_piece_statistics(piece) for piece in np.split(block, len(abreast))])
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
        missing=np.zeros(columns, np.int64),
        infinite=np.zeros(columns, np.int64),
    )


def _scratch(shape: tuple[int, ...]) -> np.ndarray:
    """Return float64 memory of this thread; the thread's next call returns the same memory.

    New memory would come as fresh pages each time, and mapping them takes longer than the sums do.
    """
    size = math.prod(shape)
    if getattr(_thread_memory, "memory", np.empty(0)).size < size:
        _thread_memory.memory = np.empty(size)
    return _thread_memory.memory[:size].reshape(shape)


def _rows_abreast(columns: int) -> int:
    """Return the number of neighbouring rows to sum side by side, so that inner loops are long."""
    rows = ROWS_PER_PIECE // 4
    while rows > 1 and rows * columns > ROWS_PER_PIECE:
        rows //= 2
    return rows


def _fold(abreast: np.ndarray, columns: int, operation: np.ufunc) -> np.ndarray:
    """Reduce (pieces, rows abreast * columns) to (columns,): each piece first, then all pieces."""
    pieces = operation.reduce(abreast.reshape(len(abreast), -1, columns), axis=1)
    return operation.reduce(pieces, axis=0)


def _piece_statistics(piece: np.ndarray) -> FieldStatistics:
    """Return the statistics of a few rows, of shape (rows, columns), whose values may be NaN."""
    doubles = piece.astype(np.float64)
    finite = np.isfinite(doubles)
    count = finite.sum(axis=0)
    missing = np.isnan(doubles).sum(axis=0)
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
        missing=missing,
        infinite=len(piece) - count - missing,
    )


def _count_values(rows: np.ndarray) -> np.ndarray | None:
    """Return how often 0, 1, ... occur in some integers; None where others occur."""
    if not rows.size:
        return np.zeros(0, np.int64)
    low, high = int(rows.min()), int(rows.max())
    if low < 0 or high >= COUNTED_VALUES:
        return None
    counts = np.zeros(high + 1, np.int64)
    rows_per_count = max(1, _VALUES_PER_COUNT // rows.shape[1])
    for start in range(0, len(rows), rows_per_count):
        part = rows[start : start + rows_per_count].reshape(-1)
        counts += np.bincount(part.astype(np.int64), minlength=high + 1)
    return counts


def _add_counts(left: np.ndarray | None, right: np.ndarray | None) -> np.ndarray | None:
    if left is None or right is None:
        return None
    total = np.zeros(max(len(left), len(right)), np.int64)
    total[: len(left)] += left
    total[: len(right)] += right
    return total
