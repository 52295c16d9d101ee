"""Rows in many files, side by side and in windows are loaded as NumPy indexes them."""

import os
import subprocess
import sys
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.training import ShuffleSettings
from memtrain.core.errors import UserError
from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Consecutive, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.field_files import FieldFiles
from tests.programs import quick_python
from tests.unit.loading.orders import ALL_MEMORY, READERS, drop_from_cache

DTYPES = ["<f4", ">i2", "<f2", "|u1", "<u2", "<i8", ml_dtypes.bfloat16]


def write_stream(folder, name, values, borders, headers):
    """Write the elements between borders to a file each, after headers of so many bytes."""
    files = []
    for number, (start, end) in enumerate(pairwise(borders)):
        header = headers[number % len(headers)]
        path = folder / f"{name}-{number}.bin"
        path.write_bytes(b"h" * header + values[start:end].tobytes())
        files.append((str(path), path.stat().st_size, [(header, end - start)]))
    return Stream.of_parts(files, values.dtype, values.shape[1:])


def windows_of(values, borders, length, stride):
    return [
        values[first : first + length]
        for start, end in pairwise(borders)
        for first in range(start, end - length + 1, stride)
    ]


@st.composite
def described_rows(draw):
    """A function that writes files to a folder, and returns their layout and the rows' arrays."""
    rows = draw(st.integers(1, 300))
    fields = draw(
        st.lists(st.tuples(st.sampled_from(DTYPES), st.booleans()), min_size=1, max_size=3)
    )
    widths = [draw(st.sampled_from([(), (3,), (2, 5)])) for _ in fields]
    length, stride = draw(st.integers(1, 9)), draw(st.integers(1, 12))
    headers = draw(st.lists(st.sampled_from([0, 3, 64, 128, 4096]), min_size=1, max_size=3))
    cuts = [draw(st.lists(st.integers(0, rows), max_size=4)) for _ in fields]

    def write(folder):
        stored, expected = [], {}
        for number, ((dtype, in_windows), width) in enumerate(zip(fields, widths, strict=True)):
            name = f"f{number}"
            # As many windows as rows: files of whole windows, with a rest that is dropped.
            step = stride if in_windows else 1
            own = sorted({0, *cuts[number], rows})
            sizes = [(end - start - 1) * step + length + 1 for start, end in pairwise(own)]
            borders = np.cumsum([0, *sizes]).tolist() if in_windows else own
            values = np.random.default_rng(number).integers(0, 100, (borders[-1], *width))
            values = values.astype(dtype)
            stream = write_stream(folder, name, values, borders, headers)
            if in_windows and stride > 1:
                addresses = Windows(length, stride, np.array(borders))
                found = np.stack(windows_of(values, borders, length, stride))
            else:
                addresses = Consecutive(stream.elements)
                found = values
            stored.append(StoredField(name, stream, addresses))
            expected[name] = found
        few = min(one.rows for one in stored)
        stored = [one for one in stored if one.rows == few]
        return (
            FilesLayout(tuple(stored), {one.name: FieldView(one.name) for one in stored}),
            {one.name: expected[one.name] for one in stored},
        )

    return write


@pytest.mark.slow
@settings(max_examples=60)
@given(described_rows(), st.sampled_from([*READERS, "auto"]), st.booleans(), st.data())
def test_batches_are_the_rows_of_the_arrays(tmp_path_factory, write, reader, cached, data):
    layout, expected = write(tmp_path_factory.mktemp("rows"))
    shuffle = data.draw(
        st.sampled_from([None, ShuffleSettings(block_bytes=512, buffer_bytes=8192)])
    )
    loader = BlockLoader(
        MemmapDataset(layout),
        data.draw(st.integers(1, 40)),
        shuffle=shuffle,
        seed=3,
        accumulation_steps=2,
        epochs=2,
        reader=reader,
        reserved_bytes=data.draw(st.sampled_from([0, ALL_MEMORY])),
        tell_rows=True,
    )
    if not cached:
        for field in layout.stored:
            for path in field.stream.paths:
                drop_from_cache(path)
    seen = []
    for batch in loader:
        seen.append(loader.rows.copy())
        for name, values in expected.items():
            found = batch[name].numpy()
            np.testing.assert_array_equal(found, values[loader.rows].astype(found.dtype))
    assert np.array_equal(np.sort(np.concatenate(seen)), np.repeat(np.arange(layout.rows), 2))


@pytest.fixture
def tokens(tmp_path):
    """Next-token windows of 64 tokens over 40 files of 1,000 tokens."""
    values = np.arange(40_000, dtype=np.uint16)
    borders = list(range(0, 40_001, 1000))
    stream = write_stream(tmp_path, "tokens", values, borders, [256])
    field = StoredField("tokens", stream, Windows(65, 64, np.array(borders)))
    views = {
        "features": FieldView("tokens", start=0, end=64),
        "target": FieldView("tokens", start=1, end=65),
    }
    return FilesLayout((field,), views)


SMALL = ShuffleSettings(block_bytes=2048, buffer_bytes=20_000)


@pytest.mark.parametrize("reader", READERS)
def test_features_and_target_of_tokens_are_views_of_one_window(tokens, reader):
    for batch in BlockLoader(MemmapDataset(tokens), 16, shuffle=SMALL, reader=reader):
        features, target = batch["features"], batch["target"]
        assert features.dtype == torch.int32
        assert torch.equal(target, features + 1)
        assert features.untyped_storage().data_ptr() == target.untyped_storage().data_ptr()


def test_processes_read_the_rows_of_one_process(tokens):
    def windows(**slots):
        loader = BlockLoader(
            MemmapDataset(tokens), 8, shuffle=SMALL, accumulation_steps=4, tell_rows=True, **slots
        )
        return [loader.rows.copy() for _ in loader.windows()]

    whole = windows()
    halves = zip(windows(slots=range(2)), windows(slots=range(2, 4)), strict=True)
    for both, (first, second) in zip(whole, halves, strict=True):
        assert np.array_equal(both, np.concatenate([first, second]))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("harm", ["cut", "grown", "gone"])
def test_a_file_that_changes_is_named(tokens, reader, harm):
    path = tokens.stored[0].stream.paths[7]
    loader = BlockLoader(MemmapDataset(tokens), 8, shuffle=SMALL, reader=reader)
    if harm == "gone":
        os.unlink(path)
    else:
        os.truncate(path, 999 if harm == "cut" else 9999)
    with pytest.raises(UserError, match=r"tokens-7.bin"):
        list(loader)


@pytest.mark.slow
def test_a_thousand_files_need_few_descriptors(tmp_path):
    program = """
import resource, sys
import numpy as np
resource.setrlimit(resource.RLIMIT_NOFILE, (110, 110))
from memtrain.config.training import ShuffleSettings
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.field_files import FieldFiles
small = ShuffleSettings(block_bytes=4096, buffer_bytes=200_000)
for reader in ("mmap", "pread", "direct"):
    loader = BlockLoader(MemmapDataset(sys.argv[1]), 50, shuffle=small, reader=reader)
    rows = np.concatenate([batch["features"][:, 0].numpy().copy() for batch in loader])
    assert np.array_equal(np.sort(rows), np.arange(20_000)), reader
"""
    values = np.repeat(np.arange(20_000, dtype=np.int32)[:, None], 8, axis=1)
    stream = write_stream(tmp_path, "part", values, range(0, 20_001, 20), [128])
    field = StoredField("part", stream, Consecutive(20_000))
    FilesLayout((field,), {"features": FieldView("part")}).write(tmp_path / "rows.json")
    command = [quick_python(), "-c", program, str(tmp_path / "rows.json")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_a_mapped_file_that_is_cut_is_named_before_the_next_buffer(tokens, monkeypatch):
    """The files are not looked at meanwhile, and the rest of the last page reads as zeros."""
    monkeypatch.setattr(FieldFiles, "require_sizes", lambda self, numbers: None)
    path = tokens.stored[0].stream.paths[7]
    batches = iter(BlockLoader(MemmapDataset(tokens), 8, shuffle=True, reader="mmap"))
    next(batches)
    os.truncate(path, 1999)
    with pytest.raises(UserError, match=r"tokens-7.bin: there is nothing at byte 1,999"):
        list(batches)
