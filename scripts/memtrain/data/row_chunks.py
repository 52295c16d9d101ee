"""Reads rows in chunks, through one small buffer."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.field_statistics import ROWS_PER_PIECE
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout
from memtrain.data.ragged_rows import RaggedRows, RaggedValues
from memtrain.data.record_file import RecordLayout
from memtrain.data.streams.row_addresses import Ragged
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stored_rows import StoredRows

_CHUNK_BYTES = 3 << 19

#: Most rows of a chunk where rows vary in length, and rows whose lengths are looked at together.
_MOST_RAGGED_ROWS = 1 << 16

#: Rows that were read together.
Chunk = np.ndarray | RaggedRows


def read_chunks(data: str | os.PathLike, layout: RowLayout, rows: Range) -> Iterator[Chunk]:
    """Open the file or the files of rows, and yield some of the rows in chunks.

    Args:
        data: the record file, or the description of the files.
        layout: layout of its rows.
        rows: the rows to read.

    Yields:
        Arrays of shape (rows of the chunk, *row_shape); of rows in files, virtual records. All of
        them lie in one buffer, which the next chunk overwrites. Of rows that vary in length,
        ``RaggedRows``.

    Raises:
        UserError: where a file ends before the last row, or cannot be read.
    """
    with ChunkReader(data, layout) as reader:
        yield from reader.chunks(rows)


def values_of_chunk(chunk: Chunk, layout: RowLayout) -> dict[str, np.ndarray]:
    """Return the values of every field, (rows, ...); of one that varies in length, its elements.

    Args:
        chunk: rows that ``read_chunks`` yielded.
        layout: layout of the rows.
    """
    if isinstance(chunk, RaggedRows):
        assert isinstance(layout, FilesLayout), "rows of one file do not vary"
        return {name: chunk.values_of(view) for name, view in layout.views.items()}
    return dict(layout.values(chunk))


class ChunkReader:
    """The file or the files of rows, opened to read rows in chunks by several threads.

    Args:
        data: the record file, or the description of the files.
        layout: layout of its rows.
    """

    _stored: dict[str, StoredRows]

    def __init__(self, data: str | os.PathLike, layout: RowLayout):
        self._data = data
        self._layout = layout
        self._closing = ExitStack()

    def __enter__(self) -> "ChunkReader":
        if isinstance(self._layout, RecordLayout):
            file = self._closing.enter_context(Path(self._data).open("rb", buffering=0))
            self._fill = _filling_from_record_file(file, self._layout)
            return self
        self._stored = {one.name: StoredRows(one) for one in self._layout.stored}
        for rows in self._stored.values():
            self._closing.callback(rows.close)
        self._fill = _filling_from_fields(self._stored)
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()

    def chunks(self, rows: Range) -> Iterator[Chunk]:
        """Yield some rows in chunks, as ``read_chunks`` does."""
        if isinstance(self._layout, FilesLayout) and self._layout.ragged:
            for part in _ragged_parts(self._layout, rows):
                yield self._ragged_rows(part)
            return
        yield from self._records(rows)

    def _ragged_rows(self, rows: Range) -> RaggedRows:
        numbers = np.arange(rows.start, rows.end)
        stored = {name: _read_stored(one, numbers) for name, one in self._stored.items()}
        return RaggedRows(rows.rows, stored)

    def _records(self, rows: Range) -> Iterator[np.ndarray]:
        layout = self._layout
        rows_per_chunk = _rows_per_chunk(layout)
        buffer = np.empty((min(rows_per_chunk, rows.rows), *layout.row_shape), layout.dtype)
        for start in range(rows.start, rows.end, rows_per_chunk):
            chunk = buffer[: min(rows_per_chunk, rows.end - start)]
            self._fill(start, chunk)
            yield chunk


def _filling_from_fields(stored: dict[str, StoredRows]):
    """Return a function that reads rows ``start``, ``start + 1``, ... into virtual records."""

    def fill(start: int, chunk: np.ndarray) -> None:
        for name, rows in stored.items():
            chunk[name] = rows.read(start, start + len(chunk))

    return fill


def _filling_from_record_file(file: BinaryIO, layout: RecordLayout):
    """Return a function that reads rows ``start``, ``start + 1``, ... into an array."""

    def fill(start: int, chunk: np.ndarray) -> None:
        first, _ = layout.byte_range(start, start)
        target = chunk.view(np.uint8).reshape(-1)
        read_bytes = 0
        while read_bytes < len(target):
            count = os.preadv(file.fileno(), [target[read_bytes:].data], first + read_bytes)
            if count == 0:
                raise UserError(
                    f"{file.name}: it ends at byte {first + read_bytes:,}, within row "
                    f"{start + read_bytes // layout.row_bytes}, but its header announces "
                    f"{layout.rows:,} rows. Write the file anew."
                )
            read_bytes += count

    return fill


def _ragged_parts(layout: FilesLayout, rows: Range) -> Iterator[Range]:
    """Cut rows into parts of about ``_CHUNK_BYTES``, as their own lengths say and nothing else.

    Statistics are summed a chunk at a time, and must not change with rows elsewhere.
    """
    for first in range(rows.start, rows.end, _MOST_RAGGED_ROWS):
        numbers = np.arange(first, min(first + _MOST_RAGGED_ROWS, rows.end))
        ends = np.cumsum(sum(_bytes_of_rows(one, numbers) for one in layout.stored))
        start = 0
        while start < len(numbers):
            before = ends[start - 1] if start else 0
            end = max(start + 1, int(np.searchsorted(ends, before + _CHUNK_BYTES, side="right")))
            yield Range(first + start, first + end)
            start = end


def _read_stored(stored: StoredRows, rows: np.ndarray) -> RaggedValues | np.ndarray:
    if not stored.is_ragged:
        return stored.gather(rows)
    values, _, lengths = stored.read_ragged(rows)
    return RaggedValues(values[: int(lengths.sum())], lengths)


def _bytes_of_rows(field: StoredField, rows: np.ndarray) -> np.ndarray:
    """Return the size of each of some rows of a field in bytes, int64 (rows,)."""
    addresses = field.addresses
    if isinstance(addresses, Ragged):
        return addresses.lengths(rows) * field.stream.element_bytes
    return np.full(len(rows), field.row_bytes)


def _rows_per_chunk(layout: RowLayout) -> int:
    rows = max(1, _CHUNK_BYTES // max(1, layout.row_bytes))
    # A whole number of pieces where rows are small, so that statistics are always summed alike.
    return rows - rows % ROWS_PER_PIECE if rows > ROWS_PER_PIECE else rows
