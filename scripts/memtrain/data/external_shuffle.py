"""Writes more rows than memory holds in a random order.

Every row goes to a bucket that is drawn at random. Each bucket fits in memory and is permuted.
Written one after the other, the buckets are a uniform permutation of all rows (Rao, "Generation of
random permutation of given number of elements using random sampling numbers", 1961; Sandelius, "A
simple randomization procedure", 1962).

The bucket of a row is looked up by the row's number, so the sizes of all buckets are known before
the first row arrives. The buckets lie side by side in one scratch file. It has no name, so nothing
of it is left behind, whatever ends the program.

The order depends on the seed, the number of rows and the size of a row. It does not depend on
memory, on threads, or on how many rows arrive at a time.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.random_streams import random_stream
from memtrain.data.record_file import RecordWriter, bytes_of_rows
from memtrain.system.atomic_files import reserve_space
from memtrain.system.progress import Progress

#: Average size of a bucket. Another size makes another order.
BUCKET_BYTES = 64 << 20

#: Rows whose buckets are drawn from one random stream. Another number makes another order.
ROWS_PER_CHUNK = 8192

#: Memory for rows that wait to be sorted into their buckets: more memory makes larger writes.
_WAITING_BYTES = 32 << 20

#: Memory that a waiting row takes besides itself: its bucket, before and after sorting, and its
#: place in that order.
_SORTING_BYTES = 16


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


class ShuffledWriter:
    """Takes rows in their order and writes them to a record file in a random order.

    Args:
        writer: writer of the record file.
        draw: the bucket of every row.
        scratch: an empty file, open for reading and writing.
        waiting_bytes: memory for rows that wait to be sorted into their buckets.

    Attributes:
        layout: layout of the record file.
    """

    def __init__(
        self,
        writer: RecordWriter,
        draw: BucketDraw,
        scratch: io.BufferedIOBase,
        waiting_bytes: int = _WAITING_BYTES,
    ):
        self.layout = writer.layout
        self._writer = writer
        self._draw = draw
        self._scratch = scratch
        self._edges = draw.edges()
        self._next_places = self._edges[:-1].copy()
        fitting = waiting_bytes // (self.layout.row_bytes + _SORTING_BYTES)
        self._waiting = self._empty(min(max(1, fitting), self.layout.rows))
        self._waiting_rows = 0
        self._sorted_rows = 0

    def write(self, start: int, rows: np.ndarray) -> None:
        """Take rows ``start``, ``start + 1``, ..., which must follow the rows before.

        Args:
            start: number of the first row.
            rows: rows of the file's dtype, (rows, *row_shape).

        Raises:
            ValueError: where the rows do not follow the last ones, are more than the file holds, or
                have another dtype or shape than the file.
        """
        expected = self._sorted_rows + self._waiting_rows
        if start != expected or start + len(rows) > self.layout.rows:
            raise ValueError(
                f"rows {start} to {start + len(rows)}, but row {expected} of {self.layout.rows} "
                "is next"
            )
        if rows.dtype != self.layout.dtype or rows.shape[1:] != self.layout.row_shape:
            raise ValueError(f"rows of {rows.dtype} {rows.shape[1:]} in a file of {self.layout}")
        while len(rows):
            room = self._waiting[self._waiting_rows :][: len(rows)]
            room[...] = rows[: len(room)]
            self._waiting_rows += len(room)
            rows = rows[len(room) :]
            if self._waiting_rows == len(self._waiting):
                self._sort_waiting_rows()

    def finish(self) -> None:
        """Write all rows into the record file.

        Raises:
            ValueError: where fewer rows arrived than the file is to hold.
        """
        if self._waiting_rows:
            self._sort_waiting_rows()
        if self._sorted_rows != self.layout.rows:
            raise ValueError(f"{self._sorted_rows} rows in a file of {self.layout}")
        with Progress("shuffling", self.layout.rows, "rows") as progress:
            for bucket in range(self._draw.buckets):
                progress.advance(self._write_bucket(bucket))

    def _sort_waiting_rows(self) -> None:
        """Append every waiting row to its bucket."""
        start = self._sorted_rows
        end = start + self._waiting_rows
        buckets = self._draw.draw(start, end)
        # Stable: the rows of a bucket keep their order, however many rows wait at a time.
        order = buckets.argsort(kind="stable")
        counts = np.bincount(buckets, minlength=self._draw.buckets)
        ends = counts.cumsum()
        for bucket in counts.nonzero()[0]:
            rows = self._waiting.take(order[ends[bucket] - counts[bucket] : ends[bucket]], axis=0)
            self._seek(self._next_places[bucket])
            self._scratch.write(bytes_of_rows(rows))
            self._next_places[bucket] += len(rows)
        self._sorted_rows = end
        self._waiting_rows = 0

    def _write_bucket(self, bucket: int) -> int:
        """Write one bucket into the record file, and return the number of its rows."""
        start, end = self._edges[bucket : bucket + 2].tolist()
        rows = self._empty(end - start)
        if len(rows):
            self._seek(start)
            self._scratch.readinto(bytes_of_rows(rows))
            self._draw.permute(bucket, rows)
            self._writer.write(start, rows)
        return len(rows)

    def _empty(self, rows: int) -> np.ndarray:
        return np.empty((rows, *self.layout.row_shape), self.layout.dtype)

    def _seek(self, row: int) -> None:
        self._scratch.seek(int(row) * self.layout.row_bytes)


@contextmanager
def shuffled(
    writer: RecordWriter,
    seed: int,
    path: str | Path,
    *,
    bucket_bytes: int = BUCKET_BYTES,
    rows_per_chunk: int = ROWS_PER_CHUNK,
    waiting_bytes: int = _WAITING_BYTES,
) -> Iterator[ShuffledWriter]:
    """Shuffle all rows that are written in a ``with`` block.

    The record file is written when the block ends.

    Memory holds the waiting rows and one bucket: about ``waiting_bytes + bucket_bytes``, and a few
    more rows where rows are so wide that a bucket holds few of them. The disk holds the rows twice.

    Args:
        writer: writer of a new record file of one row or more.
        seed: seed of the order, 0 or more, below 2**64.
        path: the record file; the scratch file lies in its folder.
        bucket_bytes: average size of a bucket; another size makes another order.
        rows_per_chunk: rows of one random stream; another number makes another order.
        waiting_bytes: memory for rows that wait to be sorted; the order does not depend on it.

    Yields:
        A writer that takes the rows in their order.

    Raises:
        UserError: before the first row, where the disk is too full.
        ValueError: where fewer rows were written in the block than the file is to hold.
    """
    path = Path(path)
    layout = writer.layout
    size_bytes = layout.rows * layout.row_bytes
    draw = BucketDraw(seed, layout.rows, -(-size_bytes // bucket_bytes), rows_per_chunk)
    with TemporaryFile(prefix=f".{path.name}.", suffix=".shuffle", dir=path.parent) as scratch:
        _reserve_scratch(scratch, size_bytes, path)
        shuffle = ShuffledWriter(writer, draw, scratch, waiting_bytes)
        yield shuffle
        shuffle.finish()


def _reserve_scratch(scratch: io.BufferedRandom, size_bytes: int, path: Path) -> None:
    try:
        reserve_space(scratch, size_bytes, path)
    except UserError as error:
        raise UserError(
            f"{error} (This is the space for shuffling: with `shuffle_once`, the rows take their "
            "space twice while they are written.)"
        ) from None
