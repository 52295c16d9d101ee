"""Which bytes of which files rows, elements and documents are, and which rows some bytes reach.

Rows may share elements, as windows that overlap do, and may leave elements out. Both directions are
exact: rows reach a byte where it is part of one of their elements.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from memtrain.core.ranges import Range, merge_ranges
from memtrain.data.files_layout import FilesLayout
from memtrain.data.streams.row_addresses import Consecutive, Ragged, RowAddresses, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream


class FileBytes(NamedTuple):
    """Bytes ``[start, end)`` of a file, whose path is as the configuration gives it."""

    path: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.path}, bytes [{self.start}, {self.end})"


def bytes_of_rows(layout: FilesLayout, rows: Range) -> Iterator[FileBytes]:
    """Yield the bytes of all fields of some rows, field by field, joined where they touch."""
    for field in layout.stored:
        starts, ends = element_runs(field.addresses, rows)
        yield from _bytes_of_runs(field.stream, starts, ends)


def span_of_rows(layout: FilesLayout, rows: Range) -> Iterator[FileBytes]:
    """Yield the bytes between the first and the last of some rows, in each file of each field.

    Bytes that are part of no row may lie between them.
    """
    for field in layout.stored:
        start, end = field.addresses.span(*rows)
        yield from _bytes_of_spans(field.stream, [(start, end)])


def file_borders(layout: FilesLayout) -> list[int]:
    """Return the rows at which a file of any field begins, ascending, without row 0.

    A row that lies in two files, such as a window across their border, belongs to the first one.
    """
    borders = [
        _first_rows(field.addresses, field.addresses.starts, field.stream.file_firsts[1:-1])
        for field in layout.stored
    ]
    rows = np.unique(np.concatenate(borders))
    return rows[(rows > 0) & (rows < layout.rows)].tolist()


def rows_of_bytes(layout: FilesLayout, path: str, span: Range | None = None) -> list[Range]:
    """Return the rows that some bytes of a file are part of, sorted.

    Args:
        layout: how the rows lie.
        path: the file, as the layout names it.
        span: the bytes ``[start, end)``; None for the whole file.
    """
    if span is not None and span.rows <= 0:
        return []
    found: list[Range] = []
    for field in layout.stored:
        starts, ends = _elements_of_bytes(field.stream, path, span)
        found += _rows_of_runs(field.addresses, starts, ends)
    return merge_ranges(found)


def bytes_of_elements(
    field: StoredField, elements: Range, path: str | None = None
) -> list[FileBytes]:
    """Return the bytes that some elements of a field are, joined where they touch.

    Args:
        field: the field.
        elements: the elements ``[start, end)``; those that there are not have no bytes.
        path: the file in which they are counted; None to count them in the whole stream.
    """
    spans = [
        (start + elements.start, min(start + elements.end, end))
        for start, end in _spans_of_file(field.stream, path)
    ]
    return _bytes_of_spans(field.stream, [span for span in spans if span[0] < span[1]])


def bytes_of_document(field: StoredField, number: int, path: str | None = None) -> list[FileBytes]:
    """Return the bytes that a document is, joined where they touch.

    A document is a segment of the stream that no window crosses the border of, or a ragged row.
    Where short windows are padded, no documents are known.

    Args:
        field: a field of windows, or of rows that vary in length.
        number: number of the document, counted from 0.
        path: the file in which they are counted; None to count them in the whole stream.

    Raises:
        LookupError: with the number of documents, where there are not so many.
    """
    addresses, count = field.addresses, 0
    is_cut = isinstance(addresses, Ragged) and not addresses.are_documents
    if isinstance(addresses, Consecutive) or is_cut:
        raise LookupError(0)
    borders = addresses.offsets if isinstance(addresses, Ragged) else addresses.borders
    for start, end in _spans_of_file(field.stream, path):
        first, last = np.searchsorted(borders[:-1], [start, end]).tolist()
        if number - count < last - first:
            place = first + number - count
            span = (int(borders[place]), int(borders[place + 1]))
            return _bytes_of_spans(field.stream, [span] if span[0] < span[1] else [])
        count += last - first
    raise LookupError(count)


def element_runs(addresses: RowAddresses, rows: Range) -> tuple[np.ndarray, np.ndarray]:
    """Return exactly which elements some rows are, as runs ``[start, end)`` of consecutive ones.

    Args:
        addresses: which elements each row is.
        rows: the rows.

    Returns:
        int64 (runs,) each. Runs overlap where rows of different runs share elements.
    """
    if isinstance(addresses, Windows) and addresses.stride > addresses.length:
        starts = addresses.starts(np.arange(rows.start, rows.end))
        return starts, starts + addresses.length
    return segment_runs(addresses, rows)


def segment_runs(addresses: RowAddresses, rows: Range) -> tuple[np.ndarray, np.ndarray]:
    """Return the elements that some rows lie in, as one run ``[start, end)`` of each segment.

    Elements between windows that do not touch each other are in the runs as well.

    Args:
        addresses: which elements each row is.
        rows: the rows.

    Returns:
        int64 (runs,) each.
    """
    if rows.rows <= 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if isinstance(addresses, Consecutive):
        return np.array([rows.start]), np.array([rows.end])
    if isinstance(addresses, Ragged):
        first, end = addresses.span(rows.start, rows.end)
        return np.array([first]), np.array([end])
    first_rows = addresses.first_rows
    inside = slice(
        np.searchsorted(first_rows, rows.start, "right"),
        np.searchsorted(first_rows, rows.end, "left"),
    )
    borders = np.unique(np.concatenate([[rows.start], first_rows[inside], [rows.end]]))
    return addresses.starts(borders[:-1]), addresses.ends(borders[1:] - 1)


def _bytes_of_spans(stream: Stream, spans: list[tuple[int, int]]) -> list[FileBytes]:
    runs = np.array(spans, np.int64).reshape(-1, 2)
    return list(_bytes_of_runs(stream, runs[:, 0], runs[:, 1]))


def _bytes_of_runs(stream: Stream, starts: np.ndarray, ends: np.ndarray) -> Iterator[FileBytes]:
    """Yield the bytes of runs of elements, joined where they touch or overlap in a file."""
    runs = stream.byte_runs(starts, ends)
    order = np.lexsort((runs.place, runs.file))
    files, places, sizes = (each[order].tolist() for each in (runs.file, runs.place, runs.size))
    last: FileBytes | None = None
    for file, start, size in zip(files, places, sizes, strict=True):
        path, end = stream.paths[file], start + size
        if last is not None and last.path == path and last.start <= start <= last.end:
            last = last._replace(end=max(last.end, end))
            continue
        if last is not None:
            yield last
        last = FileBytes(path, start, end)
    if last is not None:
        yield last


def _elements_of_bytes(
    stream: Stream, path: str, span: Range | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the elements that bytes of a file are part of, a run for every part of the file."""
    is_file = np.array([one == path for one in stream.paths])
    parts = np.flatnonzero(is_file[stream.part_files])
    firsts, ends = stream.firsts[parts], stream.firsts[parts + 1]
    if span is None:
        return firsts, ends
    size, offsets = stream.element_bytes, stream.part_offsets[parts]
    starts = firsts + np.maximum(span.start - offsets, 0) // size
    return starts, np.minimum(ends, firsts + -(-(span.end - offsets) // size))


def _spans_of_file(stream: Stream, path: str | None) -> Iterator[tuple[int, int]]:
    """Yield the elements ``[start, end)`` of a file wherever it is; of all files for None."""
    if path is None:
        yield 0, stream.elements
        return
    for file, name in enumerate(stream.paths):
        if name == path:
            yield int(stream.file_firsts[file]), int(stream.file_firsts[file + 1])


def _rows_of_runs(addresses: RowAddresses, starts: np.ndarray, ends: np.ndarray) -> list[Range]:
    """Return the rows that runs of elements ``[start, end)`` are part of; empty runs reach none."""
    is_there = ends > starts
    starts, ends = starts[is_there], ends[is_there]
    first = _first_rows(addresses, addresses.ends, starts + 1)
    last = _first_rows(addresses, addresses.starts, ends)
    return [Range(*pair) for pair in zip(first.tolist(), last.tolist(), strict=True)]


def _first_rows(
    addresses: RowAddresses, place_of: Callable[[np.ndarray], np.ndarray], places: np.ndarray
) -> np.ndarray:
    """Return the first row whose place is at or after each of some places.

    Args:
        addresses: which elements each row is.
        place_of: the function from rows to places, which ascend with the rows.
        places: int64 (places,).

    Returns:
        int64 (places,); the number of all rows where no row comes so late.
    """
    low, high = np.zeros(len(places), np.int64), np.full(len(places), addresses.rows, np.int64)
    while (is_open := low < high).any():
        middle = (low[is_open] + high[is_open]) // 2
        is_late = place_of(middle) >= places[is_open]
        high[is_open] = np.where(is_late, middle, high[is_open])
        low[is_open] = np.where(is_late, low[is_open], middle + 1)
    return low
