"""Reads the rows of a record file in chunks, through one small buffer."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.field_statistics import ROWS_PER_PIECE
from memtrain.data.record_file import RecordLayout

_CHUNK_BYTES = 3 << 19


def read_chunks(data: str | os.PathLike, layout: RecordLayout, rows: Range) -> Iterator[np.ndarray]:
    """Open a file and yield some of its rows in chunks.

    Args:
        data: the record file.
        layout: layout of its rows.
        rows: the rows to read.

    Yields:
        Arrays of shape (rows of the chunk, *row_shape). All of them lie in one buffer, which the
        next chunk overwrites.

    Raises:
        UserError: where the file ends before the last row.
    """
    with Path(data).open("rb", buffering=0) as file:
        yield from read_chunks_from(file, layout, rows)


def read_chunks_from(file: BinaryIO, layout: RecordLayout, rows: Range) -> Iterator[np.ndarray]:
    """Yield some rows of an open file in chunks, as ``read_chunks`` does.

    Several threads may read from the same file, since its file position is not used.
    """
    rows_per_chunk = _rows_per_chunk(layout)
    buffer = np.empty((min(rows_per_chunk, rows.rows), *layout.row_shape), layout.dtype)
    for start in range(rows.start, rows.end, rows_per_chunk):
        chunk = buffer[: min(rows_per_chunk, rows.end - start)]
        _fill(file, layout, start, chunk)
        yield chunk


def _fill(file: BinaryIO, layout: RecordLayout, start: int, chunk: np.ndarray) -> None:
    """Read rows ``start``, ``start + 1``, ... into an array."""
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


def _rows_per_chunk(layout: RecordLayout) -> int:
    rows = max(1, _CHUNK_BYTES // max(1, layout.row_bytes))
    # A whole number of pieces where rows are small, so that statistics are always summed alike.
    return rows - rows % ROWS_PER_PIECE if rows > ROWS_PER_PIECE else rows
