"""Rows in many files: every batch is what NumPy finds by plain indexing, whichever reader reads."""

import os
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.training import ShuffleSettings
from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Consecutive, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.loading.block_loader import BlockLoader
from tests.unit.loading.orders import READERS, drop_from_cache

pytestmark = pytest.mark.slow

TINY = ShuffleSettings(block_bytes=64, buffer_bytes=700)
DTYPES = ["<f4", ">i2", "<f2", "|u1", "<i8", "<u2", "<f8", ml_dtypes.bfloat16]
RECORD = np.dtype([("a", "<f4", (2,)), ("b", "|u1"), ("c", ">i4")])


def write_stream(folder, name, values, cuts, offsets):
    """Write the elements between cuts to parts of files; return their stream.

    Parts whose offset is negative lie in the file of the part before, behind a gap.
    """
    files = []
    for number, ((start, end), offset) in enumerate(zip(pairwise(cuts), offsets, strict=True)):
        content = values[start:end].tobytes()
        if offset < 0 and files:
            path, _, parts = files.pop()
            with open(path, "ab") as file:
                file.write(b"g" * -offset)
                parts.append((file.tell(), end - start))
                file.write(content)
        else:
            path = folder / f"{name}-{number}.bin"
            path.write_bytes(b"h" * abs(offset) + content)
            parts = [(abs(offset), end - start)]
        files.append((str(path), os.stat(path).st_size, parts))
    return Stream.of_parts(files, values.dtype, values.shape[1:])


@st.composite
def fields_of(draw, rows, number):
    """Return a function from a folder to a stored field of so many rows, its views and arrays."""
    dtype = draw(st.sampled_from([*DTYPES, RECORD]))
    width = () if dtype is RECORD else draw(st.sampled_from([(), (3,), (7, 2), (64,)]))
    length = draw(st.integers(1, 9)) if draw(st.booleans()) else None
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    header = draw(st.sampled_from([0, 1, 128, 4096]))
    name = f"field{number}"
    if length is None:
        elements, stride, borders = rows, 1, [0, rows]
        cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=6)))
    else:
        stride = draw(st.integers(1, 12))
        counts = draw(st.lists(st.integers(0, rows), max_size=5))
        firsts = [0, *sorted(min(count, rows) for count in counts), rows]
        borders = [0]
        for first, end in pairwise(firsts):
            spare = draw(st.integers(0, stride - 1))
            size = (end - first - 1) * stride + length + spare if end > first else length - 1
            borders.append(borders[-1] + size)
        elements = borders[-1]
        cuts = borders[1:-1]
        if draw(st.booleans()):
            cuts = sorted(draw(st.lists(st.integers(0, elements), max_size=4)))
    offsets = [
        draw(st.sampled_from([header, header, header + 3, -5, -4096])) for _ in range(len(cuts) + 1)
    ]
    raw = rng.integers(0, 100, (elements, *width, 13 if dtype is RECORD else 1)).astype(np.uint8)
    values = (
        raw.reshape(-1).view(RECORD) if dtype is RECORD else raw[..., 0].astype(np.dtype(dtype))
    )

    def build(folder):
        stream = write_stream(folder, name, values, [0, *cuts, elements], offsets)
        if length is None:
            stored = StoredField(name, stream, Consecutive(rows))
            expected = values
        else:
            addresses = Windows(length, stride, np.array(borders))
            stored = StoredField(name, stream, addresses)
            starts = [
                start
                for first, end in pairwise(borders)
                for start in range(first, end - length + 1, stride)
            ]
            expected = np.stack([values[start : start + length] for start in starts])
        assert len(expected) == rows
        return stored, *views_of(stored, expected)

    return build


def views_of(stored, expected):
    """Return views of a stored field, and the arrays that they show."""
    name = stored.name
    if expected.dtype.names and expected.ndim == 1:
        views = {f"{name}{each}": FieldView(name, (each,)) for each in "ab"}
        return views, {f"{name}{each}": expected[each] for each in "ab"}
    if expected.dtype.names:
        view = FieldView(name, ("a",))
        return {name: view}, {name: expected["a"]}
    if expected.ndim > 1 and expected.shape[1] > 1:
        views = {
            f"{name}x": FieldView(name, start=0, end=expected.shape[1] - 1),
            f"{name}y": FieldView(name, start=1),
        }
        return views, {f"{name}x": expected[:, :-1], f"{name}y": expected[:, 1:]}
    arrays = expected[:, np.newaxis] if expected.ndim == 1 else expected
    return {name: FieldView(name, is_column=True)}, {name: arrays}


@st.composite
def layouts(draw):
    rows = draw(st.integers(1, 120))
    count = draw(st.integers(1, 3))
    return rows, [draw(fields_of(rows, number)) for number in range(count)]


def build_layout(folder, builders):
    stored, views, expected = [], {}, {}
    for build in builders:
        one, its_views, arrays = build(folder)
        stored.append(one)
        views |= its_views
        expected |= arrays
    return FilesLayout(tuple(stored), views), expected


@given(
    layouts(),
    st.sampled_from([TINY, ShuffleSettings(block_bytes=5000, buffer_bytes=20000), None, True]),
    st.integers(1, 40),
    st.integers(1, 3),
    st.booleans(),
    st.data(),
)
@settings(max_examples=150)
def test_batches_are_the_rows_that_numpy_finds(
    tmp_path_factory, layout, shuffle, batch_size, steps, cached, data
):
    rows, builders = layout
    folder = tmp_path_factory.mktemp("rows")
    layout, expected = build_layout(folder, builders)
    first = data.draw(st.integers(0, rows - 1))
    slots = range(data.draw(st.integers(0, steps - 1)), steps)
    ranges = [(first, rows), (0, first // 2)] if data.draw(st.booleans()) else None
    dataset = MemmapDataset(layout)
    for reader in READERS:
        if not cached:
            for path in folder.iterdir():
                drop_from_cache(path)
        loader = BlockLoader(
            dataset,
            batch_size,
            shuffle=shuffle,
            seed=3,
            ranges=ranges,
            accumulation_steps=steps,
            slots=slots,
            epochs=2,
            reader=reader,
            tell_rows=True,
        )
        batches = 0
        for batch in loader:
            batches += 1
            assert list(batch) == list(layout.views)
            for name, tensor in batch.items():
                values = expected[name][loader.rows]
                np.testing.assert_array_equal(tensor.numpy(), values.astype(tensor.numpy().dtype))
        assert batches == len(loader)


@given(st.integers(1, 9), st.integers(1, 12), st.lists(st.integers(0, 60), min_size=1), st.data())
def test_windows_that_are_shifted_back(tmp_path_factory, length, stride, sizes, data):
    borders = np.concatenate([[0], np.cumsum(sizes)])
    values = np.arange(borders[-1], dtype=np.uint16)
    stream = write_stream(tmp_path_factory.mktemp("rows"), "w", values, borders, [2] * len(sizes))
    addresses = Windows(length, stride, borders, rest="shift")
    if addresses.rows == 0:
        return
    layout = FilesLayout((StoredField("w", stream, addresses),), {"features": FieldView("w")})
    firsts = addresses.starts(np.arange(addresses.rows))
    loader = BlockLoader(
        MemmapDataset(layout),
        7,
        shuffle=data.draw(st.sampled_from([TINY, None])),
        reader=data.draw(st.sampled_from(READERS)),
        tell_rows=True,
    )
    for batch in loader:
        expected = firsts[loader.rows][:, np.newaxis] + np.arange(length)
        np.testing.assert_array_equal(batch["features"].numpy(), expected)
