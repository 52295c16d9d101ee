"""A random order for more rows than memory holds, while they are written.

Every row goes to a bucket that is drawn at random; each bucket fits in memory and is permuted by
itself; one bucket after the other, they are a uniform permutation of all rows (Rao, "Generation of
random permutation of given number of elements using random sampling numbers", 1961; Sandelius, "A
simple randomization procedure", 1962).

The bucket of a row is looked up by the row's number, so the sizes of all buckets are known before
the first row comes. They lie side by side in one scratch file. It has no name, so that nothing of
it is left, whatever ends the program.

The order depends on the seed, the number of rows and the bytes of a row: not on memory, threads or
the pieces that the rows come in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.random_streams import stream
from memtrain.data.record_file import RecordWriter
from memtrain.system.atomic_files import reserve_space
from memtrain.system.progress import Progress

#: What a bucket takes on average. This and the next are part of the order: others make another.
BUCKET_BYTES = 64 << 20

#: Rows whose buckets are drawn from one stream.
ROWS_PER_CHUNK = 8192

#: Rows that wait to be sorted into their buckets: the more, the larger are the pieces written.
_WAITING_BYTES = 32 << 20

#: What a waiting row takes besides itself: its bucket, as drawn and as sorted, and its place.
_SORTING_BYTES = 16


@dataclass(frozen=True)
class BucketDraw:
    """Which bucket every row goes to: each with the same chance, and independent of the others.

    Attributes:
        seed: of the shuffle.
        rows: the number of rows.
        buckets: the number of buckets.
        rows_per_chunk: the rows of one random stream.
    """

    seed: int
    rows: int
    buckets: int
    rows_per_chunk: int = ROWS_PER_CHUNK

    def buckets_of(self, start: int, end: int) -> np.ndarray:
        """Return the buckets of rows ``[start, end)``: unsigned integers (end - start,)."""
        chunks = range(start // self.rows_per_chunk, -(-end // self.rows_per_chunk))
        first = chunks.start * self.rows_per_chunk
        drawn = np.concatenate([self._chunk(number) for number in chunks])
        return drawn[start - first : end - first]

    def edges(self) -> np.ndarray:
        """Return int64 (buckets + 1,): bucket b holds rows ``[edges[b], edges[b + 1])``."""
        edges = np.zeros(self.buckets + 1, np.int64)
        for start in range(0, self.rows, self.rows_per_chunk):
            drawn = self.buckets_of(start, min(start + self.rows_per_chunk, self.rows))
            edges[1:] += np.bincount(drawn, minlength=self.buckets)
        return edges.cumsum()

    def permute(self, bucket: int, rows: np.ndarray) -> None:
        """Bring the rows of one bucket, an array (rows, ...), into a uniform order, in place."""
        stream(self.seed, "shuffle once, order in the bucket", bucket).shuffle(rows)

    def _chunk(self, number: int) -> np.ndarray:
        generator = stream(self.seed, "shuffle once, bucket of the row", number)
        drawn = generator.integers(0, self.buckets, self.rows_per_chunk, dtype=np.uint32)
        # Sorting 16 bits takes a tenth of the time.
        return drawn.astype(np.min_scalar_type(self.buckets - 1))


class ShuffledWriter:
    """Takes rows in their order, as a ``RecordWriter`` does, and writes them in a random one.

    Args:
        writer: of the record file.
        draw: of the buckets.
        scratch: an empty file, open for reading and writing.
        waiting_bytes: held in memory before they are sorted into buckets.
    """

    def __init__(
        self,
        writer: RecordWriter,
        draw: BucketDraw,
        scratch: BinaryIO,
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
        self._waiting_rows = self._sorted_rows = 0

    def write(self, start: int, rows: np.ndarray) -> None:
        """Take rows ``start``, ``start + 1``, ...: those that follow the rows before.

        Raises:
            ValueError: where they do not, or are of another dtype or shape than the file's.
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
            ValueError: where there are fewer than the file is to hold.
        """
        if self._waiting_rows:
            self._sort_waiting_rows()
        if self._sorted_rows != self.layout.rows:
            raise ValueError(f"{self._sorted_rows} rows in a file of {self.layout}")
        with Progress("shuffling", self.layout.rows, "rows") as progress:
            for bucket in range(self._draw.buckets):
                progress.advance(self._write_bucket(bucket))

    def _sort_waiting_rows(self) -> None:
        """Put every waiting row behind those of its bucket."""
        start, end = self._sorted_rows, self._sorted_rows + self._waiting_rows
        buckets = self._draw.buckets_of(start, end)
        # Stable: the rows of a bucket keep their order, however many rows wait at a time.
        order = buckets.argsort(kind="stable")
        counts = np.bincount(buckets, minlength=self._draw.buckets)
        ends = counts.cumsum()
        for bucket in counts.nonzero()[0]:
            rows = self._waiting.take(order[ends[bucket] - counts[bucket] : ends[bucket]], axis=0)
            self._seek(self._next_places[bucket])
            self._scratch.write(_bytes_of(rows))
            self._next_places[bucket] += len(rows)
        self._sorted_rows, self._waiting_rows = end, 0

    def _write_bucket(self, bucket: int) -> int:
        start, end = self._edges[bucket : bucket + 2].tolist()
        rows = self._empty(end - start)
        if len(rows):
            self._seek(start)
            self._scratch.readinto(_bytes_of(rows))
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
    bucket_bytes: int = BUCKET_BYTES,
    rows_per_chunk: int = ROWS_PER_CHUNK,
    waiting_bytes: int = _WAITING_BYTES,
) -> Iterator[ShuffledWriter]:
    """Yield a writer that takes all rows in their order; they are written when the block ends.

    Memory holds the waiting rows and one bucket: about ``waiting_bytes + bucket_bytes``, and some
    rows more where a row is so wide that few of them make a bucket. The disk holds the rows twice.

    Args:
        writer: of a new record file of one row or more.
        seed: 0 or more, below 2**64.
        path: of the record file; the scratch file lies in its folder.
        bucket_bytes: of a bucket on average; another size is another order.
        rows_per_chunk: of one random stream; likewise.
        waiting_bytes: held before they are sorted into buckets; any size gives the same order.

    Raises:
        UserError: before the first row, where the disk is too full.
        ValueError: where not all rows were written in the block.
    """
    path, layout = Path(path), writer.layout
    size_bytes = layout.rows * layout.row_bytes
    draw = BucketDraw(seed, layout.rows, -(-size_bytes // bucket_bytes), rows_per_chunk)
    with TemporaryFile(prefix=f".{path.name}.", suffix=".shuffle", dir=path.parent) as scratch:
        _reserve_scratch(scratch, size_bytes, path)
        shuffle = ShuffledWriter(writer, draw, scratch, waiting_bytes)
        yield shuffle
        shuffle.finish()


def _reserve_scratch(scratch: BinaryIO, size_bytes: int, path: Path) -> None:
    try:
        reserve_space(scratch, size_bytes, path)
    except UserError as error:
        raise UserError(
            f"{error} (This is the space for shuffling: with `shuffle_once`, the rows take their "
            "space twice while they are written.)"
        ) from None


def _bytes_of(rows: np.ndarray) -> memoryview:
    return memoryview(rows).cast("B")
