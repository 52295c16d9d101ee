"""Rows and bytes of files, both ways, against a walk over every element."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.core.ranges import Range
from memtrain.data.files_layout import FieldView, FilesLayout
from memtrain.data.places_in_files import (
    bytes_of_document,
    bytes_of_elements,
    bytes_of_rows,
    file_borders,
    rows_of_bytes,
)
from memtrain.data.streams.row_addresses import Consecutive, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream


@dataclass
class Walked:
    """A field, and what a walk over its elements finds.

    Attributes:
        field: the field.
        files: the file of every element, and the bytes that it is there.
        rows: the elements of every row.
        borders: the borders of its segments; None without.
    """

    field: StoredField
    files: list[tuple[int, range]]
    rows: list[list[int]]
    borders: list[int] | None

    def cells(self, row):
        """Return the bytes of a row as pairs of path and byte."""
        paths = self.field.stream.paths
        places = [self.files[element] for element in self.rows[row]]
        return {(paths[file], byte) for file, found in places for byte in found}


@st.composite
def fields(draw, name="field", rows=None):
    """Draw a field of some files, with gaps between the parts of a file."""
    size = draw(st.integers(1, 3))
    parts_of_files = draw(
        st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), min_size=1, max_size=4)
    )
    described, files = [], []
    for file, counts in enumerate(parts_of_files):
        place, parts = 0, []
        for count in counts:
            place += draw(st.integers(0, 5))
            parts.append((place, count))
            files += [
                (file, range(place + size * one, place + size * (one + 1))) for one in range(count)
            ]
            place += count * size
        described.append((f"{name}-{file}.bin", place, parts))
    stream = Stream.of_parts(described, np.dtype(f"V{size}"))
    is_windows = draw(st.booleans()) if rows is None else False
    if not is_windows:
        walked = [[element] for element in range(len(files))]
        return Walked(StoredField(name, stream, Consecutive(len(files))), files, walked, None)
    inner = draw(st.sets(st.integers(0, len(files)), max_size=4))
    borders = sorted({0, len(files), *inner})
    length, stride = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    rest = draw(st.sampled_from(["drop", "shift"]))
    walked = []
    for start, end in pairwise(borders):
        places = [one for one in range(start, end, stride) if one + length <= end]
        if rest == "shift" and places and places[-1] + length < end:
            places.append(end - length)
        walked += [list(range(one, one + length)) for one in places]
    addresses = Windows(length, stride, np.array(borders, np.int64), rest)
    return Walked(StoredField(name, stream, addresses), files, walked, borders)


def layout_of(*walked):
    names = [one.field.name for one in walked]
    return FilesLayout(
        tuple(one.field for one in walked), {name: FieldView(stored=name) for name in names}
    )


def row_set(ranges):
    return {row for one in ranges for row in range(*one)}


@given(fields(), st.data())
@settings(deadline=None)
def test_rows_are_the_bytes_of_their_elements(walked, data):
    count = len(walked.rows)
    start = data.draw(st.integers(0, count))
    rows = Range(start, data.draw(st.integers(start, count)))
    runs = list(bytes_of_rows(layout_of(walked), rows))
    found = [(one.path, byte) for one in runs for byte in range(one.start, one.end)]
    expected = set().union(*(walked.cells(row) for row in range(*rows)))
    assert set(found) == expected
    assert len(found) == len(expected)


@given(fields(), st.data())
@settings(deadline=None)
def test_bytes_reach_the_rows_that_hold_one_of_them(walked, data):
    file = data.draw(st.sampled_from(walked.field.stream.paths))
    start = data.draw(st.integers(0, 60))
    span = data.draw(st.none() | st.integers(start, 70).map(lambda end: Range(start, end)))
    asked = {(file, byte) for byte in range(*(span or (0, 1000)))}
    expected = {row for row in range(len(walked.rows)) if walked.cells(row) & asked}
    assert row_set(rows_of_bytes(layout_of(walked), file, span)) == expected


def cells_of(places):
    """Return bytes as pairs of path and byte, and check that no byte comes twice."""
    found = [(one.path, byte) for one in places for byte in range(one.start, one.end)]
    assert len(found) == len(set(found))
    return set(found)


def cells_of_elements(walked, elements):
    paths = walked.field.stream.paths
    places = [walked.files[one] for one in elements]
    return {(paths[file], byte) for file, found in places for byte in found}


@given(fields(), st.data())
@settings(deadline=None)
def test_elements_are_their_bytes_and_reach_the_rows_that_hold_one_of_them(walked, data):
    paths = walked.field.stream.paths
    start = data.draw(st.integers(0, 40))
    asked = Range(start, data.draw(st.integers(start, 50)))
    path = data.draw(st.none() | st.sampled_from(paths))
    counted = [
        element
        for element, (file, _) in enumerate(walked.files)
        if path is None or paths[file] == path
    ]
    elements = set(counted[asked.start : asked.end])
    found = bytes_of_elements(walked.field, asked, path)
    assert cells_of(found) == cells_of_elements(walked, elements)
    expected = {row for row, those in enumerate(walked.rows) if elements & set(those)}
    reached = [
        rows_of_bytes(layout_of(walked), one.path, Range(one.start, one.end)) for one in found
    ]
    assert set().union(*map(row_set, reached)) == expected


@given(fields(), st.data())
@settings(deadline=None)
def test_documents_are_the_elements_between_borders(walked, data):
    number = data.draw(st.integers(0, 5))
    path = data.draw(st.none() | st.sampled_from(walked.field.stream.paths))
    paths = walked.field.stream.paths
    documents = [
        range(start, end)
        for start, end in pairwise(walked.borders or [])
        if path is None or paths[walked.files[start][0]] == path
    ]
    if number >= len(documents):
        with pytest.raises(LookupError, match=f"^{len(documents)}$"):
            bytes_of_document(walked.field, number, path)
        return
    found = bytes_of_document(walked.field, number, path)
    assert cells_of(found) == cells_of_elements(walked, documents[number])


@given(fields("a"), fields("b"))
@settings(deadline=None)
def test_grids_begin_anew_where_rows_begin_in_another_file(first, second):
    rows = min(len(first.rows), len(second.rows))
    files = [
        tuple(walked.files[walked.rows[row][0]][0] for walked in (first, second))
        for row in range(rows)
    ]
    expected = [row for row in range(1, rows) if files[row] != files[row - 1]]
    found = file_borders(layout_of(*sorted((first, second), key=lambda one: len(one.rows))))
    assert [row for row in found if row < rows] == expected


@pytest.mark.slow
def test_a_hundred_thousand_files_are_searched_as_arrays():
    elements = 1_000_003
    stream = Stream.of_parts(
        [(f"part-{n}.bin", 4 * elements, [(0, elements)]) for n in range(100_000)], np.dtype("<u4")
    )
    windows = Windows(1024, 512, stream.file_firsts)
    layout = layout_of(Walked(StoredField("tokens", stream, windows), [], [], None))
    borders = file_borders(layout)
    assert borders == windows.first_rows[1:-1].tolist()
    row = borders[70_000]
    assert [str(one) for one in bytes_of_rows(layout, Range(row - 1, row + 2))] == [
        f"part-70000.bin, bytes [{4 * 512 * 1951}, {4 * (512 * 1951 + 1024)})",
        f"part-70001.bin, bytes [0, {4 * 1536})",
    ]
    assert rows_of_bytes(layout, "part-70001.bin", Range(0, 4)) == [Range(row, row + 1)]
