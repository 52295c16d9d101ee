"""Record files: page-aligned ``.npy`` files, created, opened and checked.

A record file is a valid ``.npy`` (format version 1.0) whose header is padded so that the rows begin
at byte 4096. Blocks of rows can then start on a page, while ``np.load(path, mmap_mode="r")`` and
every other tool that reads ``.npy`` reads it too. Its dtype is plain (each row is an array of
numbers) or structured (each row is a record).

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib import format as npy

from memtrain.core.errors import UserError
from memtrain.data.field_view import FieldView
from memtrain.data.formats.dtypes import dtype_from_json as dtype_from_json
from memtrain.data.formats.dtypes import dtype_to_json as dtype_to_json
from memtrain.data.formats.npy import read_npy_header
from memtrain.data.formats.opened_file import opened
from memtrain.data.streams.row_addresses import Consecutive
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.system.atomic_files import atomic_file, reserve_space

#: Byte at which the rows of a new file begin: one page, so that O_DIRECT can read blocks of them.
ROWS_OFFSET = 4096

_BYTES_BETWEEN_SYNCS = 64 << 20

#: Name of the only field of a plain file, in place of the field names of a structured one.
PLAIN_FIELD = "row"


@dataclass(frozen=True)
class RecordLayout:
    """How the rows lie in a file: ``rows`` rows of ``row_shape`` values of ``dtype``.

    Attributes:
        dtype: dtype of one value (plain), or of one record (structured, with ``row_shape`` ``()``).
        row_shape: shape of one row of a plain file.
        rows: number of rows.
        offset: byte at which row 0 begins.
    """

    dtype: np.dtype
    row_shape: tuple[int, ...]
    rows: int
    offset: int = ROWS_OFFSET

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole array."""
        return (self.rows, *self.row_shape)

    @cached_property
    def row_bytes(self) -> int:
        """The size of one row, in bytes."""
        return self.dtype.itemsize * int(np.prod(self.row_shape, dtype=np.int64))

    @property
    def file_bytes(self) -> int:
        """The size that the file must have, in bytes."""
        return self.offset + self.rows * self.row_bytes

    @property
    def row_dtype(self) -> np.dtype:
        """One row as a dtype: the record, or the row shape of a plain file."""
        return np.dtype((self.dtype, self.row_shape)) if self.row_shape else self.dtype

    @property
    def fields(self) -> dict[str, np.dtype]:
        """The dtype of every field, with its shape; a plain file has the one field "row"."""
        if self.dtype.names is None:
            return {PLAIN_FIELD: self.row_dtype}
        return {name: self.dtype[name] for name in self.dtype.names}

    @property
    def view_dtype(self) -> np.dtype:
        """The fields of a row as one dtype: that of the record."""
        return self.dtype

    def values(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the values of every field by its name, without a copy."""
        if self.dtype.names is None:
            return {PLAIN_FIELD: rows}
        return {name: rows[name] for name in self.dtype.names}

    @property
    def views(self) -> dict[str, FieldView]:
        """What of the stored rows is each field."""
        if self.dtype.names is None:
            return {PLAIN_FIELD: FieldView("record")}
        return {name: FieldView("record", (name,)) for name in self.dtype.names}

    def stored(self, path: str | os.PathLike) -> StoredField:
        """Return the rows as a field whose values lie in one file."""
        file = (os.fspath(path), self.file_bytes, [(self.offset, self.rows)])
        stream = Stream.of_parts([file], self.dtype, self.row_shape)
        return StoredField("record", stream, Consecutive(self.rows))

    def byte_range(self, start: int, end: int) -> tuple[int, int]:
        """Return the bytes ``[first, last)`` of rows ``[start, end)``."""
        return self.offset + start * self.row_bytes, self.offset + end * self.row_bytes


def record_dtype(**fields: tuple[str, int | tuple[int, ...]]) -> np.dtype:
    """Return a packed record dtype: ``record_dtype(features=("<f4", 20), target=("<f4", 1))``.

    Args:
        fields: the dtype of every field, and how many values a row has, or their shape.
    """
    return np.dtype(
        [
            (name, dtype, (shape,) if isinstance(shape, int) else shape)
            for name, (dtype, shape) in fields.items()
        ]
    )


def read_record_layout(path: str | os.PathLike) -> RecordLayout:
    """Read and check the header of a ``.npy`` file.

    Raises:
        UserError: where the file is missing, is no ``.npy`` file, holds Python objects, a single
            value or columns in Fortran order, or has another size than its header says.
    """
    with opened(path) as file:
        header = read_npy_header(file)
    if header.version == (3, 0):
        raise UserError(
            f"{path}: version 3.0 of the .npy format is not read as a record file: use field names "
            "of plain letters."
        )
    layout = RecordLayout(header.dtype, header.shape[1:], header.shape[0], header.offset)
    check_size(path, layout)
    return layout


def check_size(path: str | os.PathLike, layout: RecordLayout) -> None:
    """Refuse a file that is not as large as its layout says.

    Reading a mapping past the end of its file kills the process with SIGBUS, without a traceback.
    So the size is checked before anything is mapped.

    Raises:
        UserError: with both sizes.
    """
    found = os.stat(path).st_size
    if found != layout.file_bytes:
        state = "cut short" if found < layout.file_bytes else "larger than that"
        raise UserError(
            f"{path}: {layout.rows:,} rows of {layout.row_bytes:,} bytes after a header "
            f"of {layout.offset:,} make {layout.file_bytes:,} bytes, but the file has {found:,}; "
            f"it is {state}. Write it anew."
        )


def bytes_of_rows(rows: np.ndarray) -> memoryview:
    """Return the bytes of contiguous rows, without a copy."""
    return rows.view(np.uint8).reshape(-1).data


def map_rows(path: str | os.PathLike, layout: RecordLayout) -> np.ndarray:
    """Map the rows of a file, read-only, after checking its size.

    Returns:
        A plain array of shape ``layout.shape`` over the mapping. It is not an ``np.memmap``, since
        each view of one costs a microsecond more.
    """
    check_size(path, layout)
    if layout.rows * layout.row_bytes == 0:
        return np.empty(layout.shape, layout.dtype)
    mapped = np.memmap(path, layout.dtype, "r", offset=layout.offset, shape=layout.shape)
    return mapped.view(np.ndarray)


class _BackgroundSync:
    """Writes a file through to the disk while rows are still being written to it.

    This keeps the disk busy from the start. A file that is synced only at its end waits for the
    disk twice as long.

    Args:
        descriptor: descriptor of the open file.
    """

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._pool = ThreadPoolExecutor(1)
        self._running: Future | None = None
        self._unsynced_bytes = 0

    def __enter__(self) -> "_BackgroundSync":
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown()
        if exception[0] is None and self._running is not None:
            self._running.result()

    def count_written(self, size_bytes: int) -> None:
        """Count bytes that were written, and start a sync when there are enough of them.

        Raises:
            OSError: where the sync before failed.
        """
        self._unsynced_bytes += size_bytes
        running = self._running
        if self._unsynced_bytes < _BYTES_BETWEEN_SYNCS or (running and not running.done()):
            return
        if running:
            # The system reports an error only once: the sync at the end would not raise it again.
            running.result()
        self._unsynced_bytes = 0
        self._running = self._pool.submit(os.fdatasync, self._descriptor)


class RecordWriter:
    """Writes rows anywhere in a new record file; several threads may write at the same time.

    Attributes:
        layout: layout of the file.
    """

    def __init__(self, descriptor: int, layout: RecordLayout, sync: _BackgroundSync):
        self._descriptor = descriptor
        self._sync = sync
        self.layout = layout

    def write(self, start: int, rows: np.ndarray) -> None:
        """Write rows ``start``, ``start + 1``, ...

        Args:
            start: number of the first row.
            rows: rows of the layout's dtype, (rows, *row_shape).

        Raises:
            ValueError: where the rows have another dtype or shape than the file's, or lie outside
                of the file.
        """
        if rows.dtype != self.layout.dtype or rows.shape[1:] != self.layout.row_shape:
            raise ValueError(f"rows of {rows.dtype} {rows.shape[1:]} in a file of {self.layout}")
        if start < 0 or start + len(rows) > self.layout.rows:
            raise ValueError(f"rows {start} to {start + len(rows)} in a file of {self.layout}")
        first, _ = self.layout.byte_range(start, start)
        left = bytes_of_rows(np.ascontiguousarray(rows))
        while left:
            written = os.pwrite(self._descriptor, left, first)
            left = left[written:]
            first += written
        self._sync.count_written(rows.nbytes)


@contextmanager
def create(
    path: str | os.PathLike, dtype: np.dtype, rows: int, row_shape: tuple[int, ...] = ()
) -> Iterator[RecordWriter]:
    """Create a record file with a known number of rows.

    The file appears at ``path`` when the ``with`` block ends without an error.

    Args:
        path: final name of the file.
        dtype: dtype of one value (plain, with ``row_shape``) or of one record.
        rows: number of rows; a row that is not written consists of zero bytes.
        row_shape: shape of one row of a plain file.

    Yields:
        The writer of its rows.

    Raises:
        UserError: before the first row is written, where the disk is too full.
    """
    layout = RecordLayout(np.dtype(dtype), tuple(row_shape), rows)
    with atomic_file(path) as file, _BackgroundSync(file.fileno()) as sync:
        reserve_space(file, layout.file_bytes, path)
        file.write(padded_header(layout))
        file.flush()
        yield RecordWriter(file.fileno(), layout, sync)


def padded_header(layout: RecordLayout) -> bytes:
    """Return the header of a record file, up to the byte at which its rows begin.

    Raises:
        UserError: where the description of the rows is longer than that.
    """
    # Letters that Latin-1 has not are written as escapes, which Python's parser reads.
    description = repr(
        {
            "descr": npy.dtype_to_descr(layout.dtype),
            "fortran_order": False,
            "shape": layout.shape,
        }
    ).encode("latin1", "backslashreplace")
    start = npy.magic(1, 0)
    length = layout.offset - len(start) - 2
    if len(description) >= length:
        raise UserError(
            f"a record of {len(layout.dtype.names or ())} fields needs a header of "
            f"{len(description):,} bytes, but at most {length - 1:,} fit. Use fewer or shorter "
            "names."
        )
    return start + length.to_bytes(2, "little") + description.ljust(length - 1) + b"\n"
