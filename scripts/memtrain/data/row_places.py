"""Orders in which the rows of a source are written: uniform, by classes, or by groups.

An order cuts the rows that are written into buckets, each of which fits in memory. Between its
number in the source and its number in the data file, a row has a *place*: buckets have the places
``[edges[b], edges[b + 1])``, and within each, an order of its own says which place is written when.
Places are given to rows one after the other, as they come, in flat memory.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from weakref import finalize

import numpy as np

from memtrain.core.fair_sequence import fair_sequence
from memtrain.core.permutations import mixed, permuted
from memtrain.core.random_streams import random_stream
from memtrain.data.value_counts import ValueCounts

#: Average size of a bucket. Another size makes another order.
BUCKET_BYTES = 64 << 20

#: Rows whose buckets are drawn from one random stream. Another number makes another order.
ROWS_PER_CHUNK = 8192

#: More values than this are not the classes of a column.
MOST_STRATA = 1000

#: Memory for each row of a bucket besides the row: its place, and its turn before and after.
_PLACE_BYTES = 24


class ChangedValuesError(Exception):
    """A row has a value that was not counted before."""


class RowPlaces(ABC):
    """The places of all rows, and the order in which places are written.

    Args:
        rows: number of rows.

    Attributes:
        keeps_order: whether the rows of each bucket have places in the order in which they come.
    """

    keeps_order = False

    def __init__(self, rows: int):
        self.rows = rows

    @cached_property
    def edges(self) -> np.ndarray:
        """Int64 (buckets + 1,): bucket b has the places ``[edges[b], edges[b + 1])``."""
        return self._cut()

    @property
    def buckets(self) -> int:
        """The number of buckets."""
        return len(self.edges) - 1

    @abstractmethod
    def _cut(self) -> np.ndarray:
        """Return the edges of the buckets."""

    @abstractmethod
    def start(self) -> None:
        """Begin with the first row of the source."""

    @abstractmethod
    def next_places(self, rows: int, codes: np.ndarray | None = None) -> np.ndarray:
        """Return the places of the next rows of the source, int64 (rows,).

        Args:
            rows: number of these rows.
            codes: codes of their values in the column of the order, uint64 (rows,); None for an
                order that has no column.

        Raises:
            ChangedValuesError: where the values are not those that the order was made for.
        """

    @abstractmethod
    def permute(self, bucket: int, rows: np.ndarray) -> None:
        """Bring the rows of a bucket, (rows, ...), from their places into the order of writing."""


class _PlacesInOrder(RowPlaces):
    """Places that are written in their order."""

    def permute(self, bucket: int, rows: np.ndarray) -> None:
        """Leave the rows of a bucket as they are."""


class SourcePlaces(_PlacesInOrder):
    """Rows that are written in the order of the source."""

    keeps_order = True

    def __init__(self, rows: int):
        super().__init__(rows)
        self.start()

    def _cut(self) -> np.ndarray:
        return np.array([0, self.rows])

    def start(self) -> None:
        """Begin with the first row of the source."""
        self._read_rows = 0

    def next_places(self, rows: int, codes: np.ndarray | None = None) -> np.ndarray:
        """Return the places of the next rows, int64 (rows,); codes play no part."""
        start = self._read_rows
        self._read_rows += rows
        return np.arange(start, self._read_rows)


@dataclass(frozen=True)
class BucketDraw:
    """The bucket of every row: all buckets are equally likely, and rows are independent.

    Attributes:
        seed: seed of the shuffle.
        rows: number of rows.
        buckets: number of buckets.
        rows_per_chunk: number of rows whose buckets are drawn from one random stream.
    """

    seed: int
    rows: int
    buckets: int
    rows_per_chunk: int = ROWS_PER_CHUNK

    def draw(self, start: int, end: int) -> np.ndarray:
        """Return the buckets of rows ``[start, end)``: unsigned integers (end - start,)."""
        chunks = range(start // self.rows_per_chunk, -(-end // self.rows_per_chunk))
        first = chunks.start * self.rows_per_chunk
        drawn = np.concatenate([self._draw_chunk(number) for number in chunks])
        return drawn[start - first : end - first]

    def edges(self) -> np.ndarray:
        """Return int64 (buckets + 1,): bucket b holds rows ``[edges[b], edges[b + 1])``."""
        edges = np.zeros(self.buckets + 1, np.int64)
        for start in range(0, self.rows, self.rows_per_chunk):
            drawn = self.draw(start, min(start + self.rows_per_chunk, self.rows))
            edges[1:] += np.bincount(drawn, minlength=self.buckets)
        return edges.cumsum()

    def permute(self, bucket: int, rows: np.ndarray) -> None:
        """Permute the rows of one bucket, (rows, ...), uniformly and in place."""
        random_stream(self.seed, "shuffle once, order in the bucket", bucket).shuffle(rows)

    def _draw_chunk(self, number: int) -> np.ndarray:
        generator = random_stream(self.seed, "shuffle once, bucket of the row", number)
        drawn = generator.integers(0, self.buckets, self.rows_per_chunk, dtype=np.uint32)
        # Sorting 16-bit numbers takes a tenth of the time of sorting 32-bit ones.
        return drawn.astype(np.min_scalar_type(self.buckets - 1))


class UniformPlaces(RowPlaces):
    """Rows in a uniformly random order: each goes to a bucket at random, which is then permuted.

    Args:
        draw: the bucket of every row.
    """

    keeps_order = True

    def __init__(self, draw: BucketDraw):
        super().__init__(draw.rows)
        self._draw = draw
        self.start()

    def _cut(self) -> np.ndarray:
        return self._draw.edges()

    @classmethod
    def of(
        cls,
        seed: int,
        rows: int,
        row_bytes: int,
        *,
        bucket_bytes: int = BUCKET_BYTES,
        rows_per_chunk: int = ROWS_PER_CHUNK,
    ) -> "UniformPlaces":
        """Return the order of a seed for some rows of some size."""
        return cls(BucketDraw(seed, rows, -(-rows * row_bytes // bucket_bytes), rows_per_chunk))

    def start(self) -> None:
        """Begin with the first row of the source."""
        self._read_rows = 0
        # The buckets are counted when they are needed: that takes a while.
        self._next_places: np.ndarray | None = None

    def next_places(self, rows: int, codes: np.ndarray | None = None) -> np.ndarray:
        """Return the places of the next rows, int64 (rows,); codes play no part."""
        start, end = self._read_rows, self._read_rows + rows
        self._read_rows = end
        if end > self.rows or not rows:
            # Rows beyond the last one that was written have places beyond the last.
            return np.arange(start, end)
        if self._next_places is None:
            self._next_places = self.edges[:-1].copy()
        return _counted_up(self._draw.draw(start, end), self._next_places)

    def permute(self, bucket: int, rows: np.ndarray) -> None:
        """Permute the rows of one bucket, (rows, ...), uniformly and in place."""
        self._draw.permute(bucket, rows)


class StratifiedPlaces(RowPlaces):
    """Rows in an order in which every range has the shares of all classes.

    The classes follow each other as in ``fair_sequence``, so that a range of any rows has less than
    2 rows of a class more or less than its share. Which row of a class comes when is random.

    A scratch file holds the class of every row that is written, 2 bytes each, and memory a number
    for every class in every bucket.

    Args:
        seed: seed of the order.
        counts: the number of rows of each class, at most ``MOST_STRATA`` of them.
        row_bytes: size of a row.
        bucket_bytes: average size of a bucket; the order does not depend on it.
        folder: where the scratch file lies; None for the system's folder of temporary files.
    """

    def __init__(
        self,
        seed: int,
        counts: ValueCounts,
        row_bytes: int,
        bucket_bytes: int = BUCKET_BYTES,
        folder: Path | None = None,
    ):
        rows = int(counts.counts.sum())
        super().__init__(rows)
        self._rows_per_bucket = _rows_per_bucket(row_bytes, bucket_bytes)
        key = _key(seed, "shuffle once, classes")
        # Which class comes first depends on the seed.
        order = mixed(counts.codes, key).argsort()
        self._class_of_code = order.argsort()
        self._codes = counts.codes
        self._counts = counts.counts[order].astype(np.uint64)
        self._keys = mixed(counts.codes[order], key)
        self._sequence = TemporaryFile(dir=folder)  # noqa: SIM115 - it is needed for longer.
        finalize(self, self._sequence.close)
        self._plan()
        self.start()

    def _cut(self) -> np.ndarray:
        return _even_edges(self.rows, self._rows_per_bucket)

    def start(self) -> None:
        """Begin with the first row of the source."""
        self._next_members = np.zeros(len(self._counts), np.int64)

    def next_places(self, rows: int, codes: np.ndarray | None = None) -> np.ndarray:
        """Return the places of the next rows, int64 (rows,), by the codes of their classes."""
        classes = self._class_of_code[_found_among(codes, self._codes)]
        members = _counted_up(classes, self._next_members).astype(np.uint64)
        if (members >= self._counts[classes]).any():
            raise ChangedValuesError
        ranks = permuted(members, self._counts[classes], self._keys[classes]).astype(np.int64)
        # Members of a class fill its cells, one for each bucket, in the order of their ranks.
        cells = np.searchsorted(self._firsts, self._class_edges[classes] + ranks, side="right") - 1
        inside = self._class_edges[classes] + ranks - self._firsts[cells]
        return self._cell_places[cells] + inside

    def permute(self, bucket: int, rows: np.ndarray) -> None:
        """Bring the rows of a bucket, sorted by class at their places, into the fair sequence."""
        start, end = self.edges[bucket : bucket + 2].tolist()
        self._sequence.seek(2 * start)
        sequence = np.frombuffer(self._sequence.read(2 * (end - start)), np.uint16)
        rows[sequence.argsort(kind="stable")] = rows.copy()

    def _plan(self) -> None:
        """Write the sequence of the classes, and count the members of each in every bucket."""
        shape = (len(self._counts), self.buckets)
        members = np.zeros(shape, np.int64)
        written = 0
        for piece in fair_sequence([int(count) for count in self._counts]):
            self._sequence.write(piece.tobytes())
            at = np.arange(written, written + len(piece))
            buckets = np.searchsorted(self.edges, at, side="right") - 1
            first, last = int(buckets[0]), int(buckets[-1]) + 1
            cells = piece.astype(np.int64) * (last - first) + (buckets - first)
            found = np.bincount(cells, minlength=shape[0] * (last - first))
            members[:, first:last] += found.reshape(shape[0], -1)
            written += len(piece)
        flat = members.reshape(-1)
        self._firsts = flat.cumsum() - flat
        self._class_edges = self._firsts[:: self.buckets].copy()
        below = members.cumsum(axis=0) - members
        self._cell_places = (self.edges[:-1] + below).reshape(-1)


class GroupedPlaces(_PlacesInOrder):
    """Groups in random order, each with its rows in the order of the source.

    Memory holds four numbers for each group, however many rows it has.

    Args:
        seed: seed of the order.
        counts: the number of rows of each group.
        row_bytes: size of a row.
        bucket_bytes: average size of a bucket; the order does not depend on it.
    """

    def __init__(
        self, seed: int, counts: ValueCounts, row_bytes: int, bucket_bytes: int = BUCKET_BYTES
    ):
        rows = int(counts.counts.sum())
        super().__init__(rows)
        self._rows_per_bucket = _rows_per_bucket(row_bytes, bucket_bytes)
        order = mixed(counts.codes, _key(seed, "shuffle once, groups")).argsort()
        sizes = counts.counts[order]
        #: The first row of every group in the data file, ascending, int64 (groups,).
        self.starts = sizes.cumsum() - sizes
        self._codes = counts.codes
        self._ends_by_code = np.empty_like(self.starts)
        self._ends_by_code[order] = self.starts + sizes
        self._starts_by_code = np.empty_like(self.starts)
        self._starts_by_code[order] = self.starts
        self.start()

    def _cut(self) -> np.ndarray:
        return _even_edges(self.rows, self._rows_per_bucket)

    def start(self) -> None:
        """Begin with the first row of the source."""
        self._next_places = self._starts_by_code.copy()

    def next_places(self, rows: int, codes: np.ndarray | None = None) -> np.ndarray:
        """Return the places of the next rows, int64 (rows,), by the codes of their groups."""
        groups = _found_among(codes, self._codes)
        places = _counted_up(groups, self._next_places)
        if (places >= self._ends_by_code[groups]).any():
            raise ChangedValuesError
        return places


def _rows_per_bucket(row_bytes: int, bucket_bytes: int) -> int:
    return max(1, bucket_bytes // (row_bytes + _PLACE_BYTES))


def _even_edges(rows: int, rows_per_bucket: int) -> np.ndarray:
    return np.append(np.arange(0, rows, rows_per_bucket), rows)


def _key(seed: int, purpose: str) -> int:
    return int(random_stream(seed, purpose).integers(0, 2**64, dtype=np.uint64))


def _counted_up(kinds: np.ndarray, next_numbers: np.ndarray) -> np.ndarray:
    """Number the rows of each kind in their order, and raise the next number of every kind.

    Args:
        kinds: the kind of each row, unsigned or int64 (rows,).
        next_numbers: the number of the next row of each kind, int64 (kinds,); it is changed.

    Returns:
        int64 (rows,).
    """
    order = kinds.argsort(kind="stable")
    sorted_kinds = kinds[order]
    is_first = np.append(True, sorted_kinds[1:] != sorted_kinds[:-1])
    firsts = np.flatnonzero(is_first[: len(kinds)])
    found, counts = sorted_kinds[firsts], np.diff(firsts, append=len(kinds))
    numbers = np.empty(len(kinds), np.int64)
    numbers[order] = np.arange(len(kinds)) + np.repeat(next_numbers[found] - firsts, counts)
    next_numbers[found] += counts
    return numbers


def _found_among(codes: np.ndarray | None, known: np.ndarray) -> np.ndarray:
    """Return the positions of codes among known ones, which are sorted."""
    assert codes is not None, "this order has a column"
    at = np.searchsorted(known, codes).clip(max=len(known) - 1)
    if not np.array_equal(known[at], codes):
        raise ChangedValuesError
    return at
