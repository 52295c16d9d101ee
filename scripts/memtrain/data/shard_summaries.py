"""Summaries of rows: the digest of their bytes and the statistics of their fields."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.field_statistics import FieldStatistics, merge_all
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout
from memtrain.data.number_types import as_numpy_numbers
from memtrain.data.ragged_rows import RaggedRows
from memtrain.data.record_file import RecordLayout
from memtrain.data.row_chunks import Chunk, read_chunks, values_of_chunk
from memtrain.data.row_digests import RowsDigest


@dataclass(frozen=True)
class PieceSummary:
    """Summary of consecutive rows, of a shard or of a part of one.

    Attributes:
        rows: the rows.
        digest: digest of their bytes, with the name of its algorithm: "sha256:...".
        statistics: statistics of each field, by its name.
    """

    rows: Range
    digest: str
    statistics: dict[str, FieldStatistics]


@dataclass(frozen=True, order=True)
class ValuePlace:
    """Place of one value.

    Attributes:
        row: number of the row.
        field: name of the field.
        column: position in the field's values of a row.
    """

    row: int
    field: str
    column: int


def summarize_rows(
    data: str | os.PathLike, layout: RowLayout, rows: Range, algorithm: str = "sha256"
) -> PieceSummary:
    """Read some rows once, through one small buffer; return their summary."""
    digest = RowsDigest(algorithm)
    parts: list[dict[str, FieldStatistics]] = []
    for chunk in read_chunks(data, layout, rows):
        digest.update(chunk)
        parts.append(_field_statistics(chunk, layout))
    statistics = {name: merge_all([part[name] for part in parts]) for name in layout.fields}
    return PieceSummary(rows, str(digest), statistics)


def first_nonfinite(
    data: str | os.PathLike,
    layout: RowLayout,
    rows: Range,
    filled: Mapping[str, np.ndarray] | None = None,
) -> ValuePlace:
    """Return the place of the first infinite or missing value in some rows.

    Args:
        data: the record file, or the description of rows in files.
        layout: layout of its rows.
        rows: the rows.
        filled: columns whose missing values do not count, booleans (columns,), by field.

    Raises:
        UserError: where there is none, because the file changed after it was indexed.
    """
    filled = filled or {}
    start = rows.start
    for chunk in read_chunks(data, layout, rows):
        found = [
            ValuePlace(start + _row_of(chunk, layout, name, int(place)), name, int(column))
            for name, values in _field_values(chunk, layout).items()
            if values.dtype.kind == "f"
            for place, column in np.argwhere(
                ~np.isfinite(values) & ~(np.isnan(values) & filled.get(name, False))
            )[:1]
        ]
        if found:
            return min(found)
        start += len(chunk)
    raise UserError(
        f"{data}: rows {rows} held NaN or infinity when the file was indexed, and hold none now. "
        "Run index_shards again."
    )


def _field_values(rows: Chunk, layout: RowLayout) -> dict[str, np.ndarray]:
    """Return the values of every field as numbers of NumPy, (rows, columns), by its name.

    Of a field that varies in length, they are (elements, columns).
    """
    return {
        name: as_numpy_numbers(values).reshape(len(values), math.prod(values.shape[1:]))
        for name, values in values_of_chunk(rows, layout).items()
    }


def _row_of(rows: Chunk, layout: RowLayout, field: str, place: int) -> int:
    """Return the row of a value of a field, counted from the first of these rows."""
    if isinstance(rows, RaggedRows) and isinstance(layout, FilesLayout):
        return rows.row_of(layout.views[field], place)
    return place


def _field_statistics(rows: Chunk, layout: RowLayout) -> dict[str, FieldStatistics]:
    """Return the statistics of every field, by its name."""
    shared = _shared_float(layout)
    if shared is None:
        values = _field_values(rows, layout)
        return {
            name: _statistics_of(values[name], _columns(layout, name), is_target=name == "target")
            for name in layout.fields
        }
    assert isinstance(rows, np.ndarray), "a record file has records"
    # Fields of one dtype without gaps form one matrix, so that one pass serves all of them.
    whole = FieldStatistics.from_rows(rows.view(shared).reshape(len(rows), -1))
    statistics: dict[str, FieldStatistics] = {}
    column = 0
    for name, dtype in layout.fields.items():
        width = int(np.prod(dtype.shape, dtype=np.int64))
        statistics[name] = whole.columns(column, column + width)
        column += width
    return statistics


def _statistics_of(values: np.ndarray, columns: int, *, is_target: bool) -> FieldStatistics:
    """Return the statistics of a field.

    Args:
        values: (rows, values of a row).
        columns: number of columns of the statistics; where a row has more values, it holds several
            elements of so many, which are all of one kind.
        is_target: whether the classes of the elements are counted.
    """
    is_pooled = columns < values.shape[1]
    elements = values.reshape(-1, columns)
    found = FieldStatistics.from_rows(elements, counts_together=is_target)
    # What is no target is counted where it is one column of a table: tokens are too many.
    return replace(found, values=None) if is_pooled and not is_target else found


def _columns(layout: RowLayout, field: str) -> int:
    """Return the number of columns of the statistics of a field."""
    if isinstance(layout, RecordLayout):
        return prod(layout.fields[field].shape)
    return prod(layout.statistics_shape(field))


def _shared_float(layout: RowLayout) -> np.dtype | None:
    """Return the floating-point type of all fields of a record file without gaps; else None."""
    if not isinstance(layout, RecordLayout):
        return None
    bases = {dtype.base for dtype in layout.fields.values()}
    packed = sum(dtype.itemsize for dtype in layout.fields.values()) == layout.row_bytes
    base = bases.pop()
    return base if not bases and packed and base.kind == "f" else None
