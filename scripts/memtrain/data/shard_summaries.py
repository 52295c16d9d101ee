"""What is kept of rows: the digest of their bytes and the statistics of their fields."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.field_statistics import ROWS_PER_PIECE, FieldStatistics, merge_all
from memtrain.data.record_file import RecordLayout
from memtrain.system.digests import new_digest

_CHUNK_BYTES = 3 << 19


@dataclass(frozen=True)
class PieceSummary:
    """What is kept of a piece of consecutive rows.

    Attributes:
        rows: the piece.
        digest: of its bytes, with the name of the algorithm before it: "sha256:...".
        statistics: of every field.
    """

    rows: Range
    digest: str
    statistics: dict[str, FieldStatistics]


def summarize_rows(
    data: str | os.PathLike, layout: RecordLayout, piece: Range, algorithm: str = "sha256"
) -> PieceSummary:
    """Read a piece of a file and return its digest and statistics, in flat memory."""
    digest = new_digest(algorithm)
    parts: list[dict[str, FieldStatistics]] = []
    for rows in read_chunks(data, layout, piece):
        digest.update(rows.view(np.uint8).reshape(-1).data)
        parts.append(_field_statistics(rows, layout))
    statistics = {name: merge_all([part[name] for part in parts]) for name in layout.fields}
    return PieceSummary(piece, f"{algorithm}:{digest.hexdigest()}", statistics)


def digest_rows(
    data: str | os.PathLike, layout: RecordLayout, piece: Range, algorithm: str = "sha256"
) -> str:
    """Read a piece of a file and return the digest of its bytes, in flat memory."""
    return digest_chunks(read_chunks(data, layout, piece), algorithm)


def digest_chunks(chunks: Iterable[np.ndarray], algorithm: str = "sha256") -> str:
    """Return the digest of the bytes of all chunks of rows, one after the other."""
    digest = new_digest(algorithm)
    for rows in chunks:
        digest.update(rows.view(np.uint8).reshape(-1).data)
    return f"{algorithm}:{digest.hexdigest()}"


def first_nonfinite(
    data: str | os.PathLike, layout: RecordLayout, piece: Range
) -> tuple[int, str, int] | None:
    """Return row, field and column of the first NaN or infinity in a piece, or None."""
    start = piece.start
    for rows in read_chunks(data, layout, piece):
        found = [
            (start + int(row), name, int(column))
            for name, values in _fields(rows, layout).items()
            if values.dtype.kind == "f"
            for row, column in np.argwhere(~np.isfinite(values))[:1]
        ]
        if found:
            return min(found)
        start += len(rows)
    return None


def read_chunks(
    data: str | os.PathLike, layout: RecordLayout, piece: Range
) -> Iterator[np.ndarray]:
    """Yield the rows of a piece in chunks, all in one buffer that the next chunk overwrites."""
    with Path(data).open("rb", buffering=0) as file:
        yield from chunks_of(file, layout, piece)


def chunks_of(file: BinaryIO, layout: RecordLayout, piece: Range) -> Iterator[np.ndarray]:
    """Yield the same of a file that is open; several threads may read from one.

    Raises:
        UserError: where the file ends before the last row.
    """
    rows_per_chunk = _rows_per_chunk(layout)
    buffer = np.empty((min(rows_per_chunk, piece.rows), *layout.row_shape), layout.dtype)
    for start in range(piece.start, piece.end, rows_per_chunk):
        rows = buffer[: min(rows_per_chunk, piece.end - start)]
        _read_rows(file, layout, start, rows.view(np.uint8).reshape(-1))
        yield rows


def _read_rows(file: BinaryIO, layout: RecordLayout, start: int, target: np.ndarray) -> None:
    first, _ = layout.byte_range(start, start)
    read = 0
    while read < len(target):
        count = os.preadv(file.fileno(), [target[read:].data], first + read)
        if count == 0:
            raise UserError(
                f"{file.name}: it ends at byte {first + read:,}, within row "
                f"{start + read // layout.row_bytes}, where {layout.rows:,} rows were "
                "announced. Write the file anew."
            )
        read += count


def _rows_per_chunk(layout: RecordLayout) -> int:
    # A whole number of pieces wherever rows are small, so that statistics are summed as always.
    rows = max(1, _CHUNK_BYTES // max(1, layout.row_bytes))
    return rows - rows % ROWS_PER_PIECE if rows > ROWS_PER_PIECE else rows


def _fields(rows: np.ndarray, layout: RecordLayout) -> dict[str, np.ndarray]:
    """Return every field of some rows as (rows, columns)."""
    if layout.dtype.names is None:
        return {name: rows.reshape(len(rows), -1) for name in layout.fields}
    return {name: rows[name].reshape(len(rows), -1) for name in layout.fields}


def _field_statistics(rows: np.ndarray, layout: RecordLayout) -> dict[str, FieldStatistics]:
    shared = _shared_float(layout)
    if shared is None:
        return {name: FieldStatistics.of(values) for name, values in _fields(rows, layout).items()}
    # Fields of one type lie side by side as one matrix: one pass serves all of them.
    whole = FieldStatistics.of(rows.view(shared).reshape(len(rows), -1))
    statistics, column = {}, 0
    for name, dtype in layout.fields.items():
        width = int(np.prod(dtype.shape, dtype=np.int64))
        statistics[name] = whole.columns(column, column + width)
        column += width
    return statistics


def _shared_float(layout: RecordLayout) -> np.dtype | None:
    """Return the float type that all fields have, lying without gaps, or None."""
    bases = {dtype.base for dtype in layout.fields.values()}
    packed = sum(dtype.itemsize for dtype in layout.fields.values()) == layout.row_bytes
    base = bases.pop()
    return base if not bases and packed and base.kind == "f" else None
