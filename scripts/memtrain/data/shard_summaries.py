"""What is kept of rows: the digest of their bytes and the statistics of their fields."""

import os
from dataclasses import dataclass

import numpy as np

from memtrain.core.ranges import Range
from memtrain.data.field_statistics import FieldStatistics, merge_all
from memtrain.data.record_file import RecordLayout
from memtrain.data.row_chunks import read_chunks
from memtrain.data.row_digests import bytes_of_rows
from memtrain.system.digests import new_digest


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
        digest.update(bytes_of_rows(rows))
        parts.append(_field_statistics(rows, layout))
    statistics = {name: merge_all([part[name] for part in parts]) for name in layout.fields}
    return PieceSummary(piece, f"{algorithm}:{digest.hexdigest()}", statistics)


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
