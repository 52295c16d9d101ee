"""Writes more rows than memory holds in another order, such as a random one.

Every row has a place (see ``row_places``), which lies in a bucket. Each bucket fits in memory,
where its rows are brought into their order. With buckets that are drawn at random and permuted,
this is a uniform permutation of all rows (Rao, "Generation of random permutation of given number
of elements using random sampling numbers", 1961; Sandelius, "A simple randomization procedure",
1962).

The sizes of all buckets are known before the first row arrives. They lie side by side in one
scratch file. It has no name, so nothing of it is left behind, whatever ends the program.

The order does not depend on memory, on threads, or on how many rows arrive at a time.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.record_file import RecordWriter, bytes_of_rows
from memtrain.data.row_places import (
    BUCKET_BYTES,
    ROWS_PER_CHUNK,
    RowPlaces,
    UniformPlaces,
)
from memtrain.system.atomic_files import reserve_space
from memtrain.system.progress import Progress

#: Memory for rows that wait to be sorted into their buckets: more memory makes larger writes.
_WAITING_BYTES = 32 << 20

#: Memory that a waiting row takes besides itself: its code, its place and its bucket, before and
#: after sorting.
_SORTING_BYTES = 64

#: Rows of a bucket that are brought into their order at a time.
_PIECE_BYTES = 4 << 20


class ShuffledWriter:
    """Takes rows in their order and writes them to a record file in another one.

    Args:
        writer: writer of the record file.
        places: the places of the rows.
        scratch: an empty file, open for reading and writing.
        waiting_bytes: memory for rows that wait to be sorted into their buckets.

    Attributes:
        layout: layout of the record file.
    """

    def __init__(
        self,
        writer: RecordWriter,
        places: RowPlaces,
        scratch: io.BufferedIOBase,
        waiting_bytes: int = _WAITING_BYTES,
    ):
        self.layout = writer.layout
        self._writer = writer
        self._places = places
        self._scratch = scratch
        #: Where the next row of every bucket goes in the scratch file; rows lie as they came.
        self._next_rows = places.edges[:-1].copy()
        fitting = waiting_bytes // (self.layout.row_bytes + _SORTING_BYTES)
        self._waiting = self._empty(min(max(1, fitting), self.layout.rows))
        self._waiting_codes = np.empty(len(self._waiting), np.uint64)
        self._waiting_rows = 0
        self._sorted_rows = 0

    def write(self, start: int, rows: np.ndarray, codes: np.ndarray | None = None) -> None:
        """Take rows ``start``, ``start + 1``, ..., which must follow the rows before.

        Args:
            start: number of the first row.
            rows: rows of the file's dtype, (rows, *row_shape).
            codes: codes of their values in the column of the order, uint64 (rows,); None for an
                order without a column.

        Raises:
            ChangedValuesError: where the values are not those that the order was made for.
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
            if codes is not None:
                self._waiting_codes[self._waiting_rows :][: len(room)] = codes[: len(room)]
                codes = codes[len(room) :]
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
            for bucket in range(self._places.buckets):
                progress.advance(self._write_bucket(bucket))

    def _sort_waiting_rows(self) -> None:
        """Append every waiting row to its bucket."""
        count, edges = self._waiting_rows, self._places.edges
        places = self._places.next_places(count, self._waiting_codes[:count])
        buckets = np.searchsorted(edges, places, side="right") - 1
        # Stable: the rows of a bucket keep their order, however many rows wait at a time.
        order = buckets.argsort(kind="stable")
        counts = np.bincount(buckets, minlength=self._places.buckets)
        ends = counts.cumsum()
        for bucket in counts.nonzero()[0]:
            chosen = order[ends[bucket] - counts[bucket] : ends[bucket]]
            self._seek(self._next_rows[bucket])
            self._scratch.write(bytes_of_rows(self._waiting.take(chosen, axis=0)))
            if not self._places.keeps_order:
                self._seek_place(self._next_rows[bucket])
                self._scratch.write((places[chosen] - edges[bucket]).tobytes())
            self._next_rows[bucket] += len(chosen)
        self._sorted_rows += count
        self._waiting_rows = 0

    def _write_bucket(self, bucket: int) -> int:
        """Write one bucket into the record file, and return the number of its rows."""
        start, end = self._places.edges[bucket : bucket + 2].tolist()
        rows = self._empty(end - start)
        if not len(rows):
            return 0
        self._seek(start)
        self._scratch.readinto(bytes_of_rows(rows))
        if self._places.keeps_order:
            self._places.permute(bucket, rows)
            self._writer.write(start, rows)
            return len(rows)
        order = self._order_in_bucket(bucket, start, end)
        step = max(1, _PIECE_BYTES // self.layout.row_bytes)
        for first in range(0, len(rows), step):
            self._writer.write(start + first, rows[order[first : first + step]])
        return len(rows)

    def _order_in_bucket(self, bucket: int, start: int, end: int) -> np.ndarray:
        """Return which row of a bucket, as they came, is written when, int64 (rows,)."""
        places = np.empty(end - start, np.int64)
        self._seek_place(start)
        self._scratch.readinto(places.view(np.uint8).data)
        order = np.empty(end - start, np.int64)
        order[places] = np.arange(end - start)
        self._places.permute(bucket, order)
        return order

    def _empty(self, rows: int) -> np.ndarray:
        return np.empty((rows, *self.layout.row_shape), self.layout.dtype)

    def _seek(self, row: int) -> None:
        self._scratch.seek(int(row) * self.layout.row_bytes)

    def _seek_place(self, row: int) -> None:
        """Go to where the place of a row stands: behind all rows, 8 bytes each."""
        self._scratch.seek(self.layout.rows * self.layout.row_bytes + 8 * int(row))


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
    """Shuffle all rows that are written in a ``with`` block, uniformly.

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
    layout = writer.layout
    sizes = {"bucket_bytes": bucket_bytes, "rows_per_chunk": rows_per_chunk}
    places = UniformPlaces.of(seed, layout.rows, layout.row_bytes, **sizes)
    with reordered(writer, places, path, waiting_bytes=waiting_bytes) as ordered:
        yield ordered


@contextmanager
def reordered(
    writer: RecordWriter,
    places: RowPlaces,
    path: str | Path,
    *,
    waiting_bytes: int = _WAITING_BYTES,
) -> Iterator[ShuffledWriter]:
    """Bring all rows that are written in a ``with`` block into another order.

    The record file is written when the block ends.

    Memory holds the waiting rows and one bucket: about ``waiting_bytes`` and the size of a bucket,
    and a few more rows where rows are so wide that a bucket holds few of them. The disk holds the
    rows twice.

    Args:
        writer: writer of a new record file of one row or more.
        places: the places of the rows.
        path: the record file; the scratch file lies in its folder.
        waiting_bytes: memory for rows that wait to be sorted; the order does not depend on it.

    Yields:
        A writer that takes the rows in their order.

    Raises:
        UserError: before the first row, where the disk is too full.
        ValueError: where fewer rows were written in the block than the file is to hold.
    """
    path = Path(path)
    layout = writer.layout
    size_bytes = layout.rows * (layout.row_bytes + (0 if places.keeps_order else 8))
    with TemporaryFile(prefix=f".{path.name}.", suffix=".shuffle", dir=path.parent) as scratch:
        _reserve_scratch(scratch, size_bytes, path)
        shuffle = ShuffledWriter(writer, places, scratch, waiting_bytes)
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
