"""Rows in many files are the rows that NumPy finds there, however they lie."""

import os
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.files_layout import FieldView, FilesLayout
from memtrain.data.layouts import read_layout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import create
from memtrain.data.row_chunks import read_chunks
from memtrain.data.row_digests import digest_rows
from memtrain.data.rows_in_files import rows_in_files
from memtrain.data.streams.open_files import OpenFiles
from memtrain.data.streams.row_addresses import Consecutive, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream


def write_stream(folder, values, borders, header=0, name="part"):
    """Write the elements between borders to a file each, after a header; return their stream."""
    files = []
    for number, (start, end) in enumerate(pairwise(borders)):
        path = folder / f"{name}-{number}.bin"
        path.write_bytes(b"h" * header + values[start:end].tobytes())
        files.append((str(path), path.stat().st_size, [(header, end - start)]))
    return Stream.of_parts(files, values.dtype, values.shape[1:])


def field_of(stream, name="row"):
    return StoredField(name, stream, Consecutive(stream.elements))


DTYPES = st.sampled_from(["<f4", ">i2", "<f2", "|u1", "<i8", ml_dtypes.bfloat16])


@st.composite
def streams(draw):
    """Values of a stream, and the borders of its files."""
    elements = draw(st.integers(1, 60))
    width = draw(st.sampled_from([(), (3,), (2, 2)]))
    values = np.random.default_rng(0).integers(0, 100, (elements, *width))
    cuts = draw(st.lists(st.integers(0, elements), max_size=5))
    return values.astype(draw(DTYPES)), [0, *sorted(cuts), elements]


@pytest.mark.slow
@given(streams(), st.integers(0, 9), st.data())
def test_rows_of_many_files_are_those_of_one_array(tmp_path_factory, stream, header, data):
    values, borders = stream
    folder = tmp_path_factory.mktemp("rows")
    layout = FilesLayout(
        (field_of(write_stream(folder, values, borders, header)),), {"features": FieldView("row")}
    )
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=20))
    batch = MemmapDataset(layout).gather(rows)["features"]
    np.testing.assert_array_equal(batch.numpy(), values[rows].astype(batch.numpy().dtype))
    (chunk,) = read_chunks("rows.json", layout, Range(0, len(values)))
    assert chunk["row"].tobytes() == values.tobytes()


@pytest.mark.slow
@given(streams(), st.integers(1, 7), st.integers(1, 9), st.sampled_from(["drop", "shift"]))
def test_windows_are_slices_that_cross_no_border(tmp_path_factory, stream, length, stride, rest):
    values, borders = stream
    expected = []
    for start, end in pairwise(borders):
        last = end - length
        first_elements = list(range(start, last + 1, stride))
        if rest == "shift" and last >= start and first_elements[-1] != last:
            first_elements.append(last)
        expected += [values[first : first + length] for first in first_elements]
    addresses = Windows(length, stride, np.array(borders), rest)
    assert addresses.rows == len(expected)
    if not expected:
        return
    stream = write_stream(tmp_path_factory.mktemp("rows"), values, borders)
    layout = FilesLayout((StoredField("w", stream, addresses),), {"features": FieldView("w")})
    rows = np.random.default_rng(1).permutation(addresses.rows)
    batch = MemmapDataset(layout).gather(rows)["features"].numpy()
    np.testing.assert_array_equal(batch, np.stack(expected)[rows].astype(batch.dtype))


@pytest.fixture
def tokens(tmp_path):
    """Next-token windows of 4 tokens over two files of 11 and 9 tokens."""
    values = np.arange(20, dtype=np.uint16)
    stream = write_stream(tmp_path, values, [0, 11, 20], header=3)
    field = StoredField("tokens", stream, Windows(5, 4, np.array([0, 11, 20])))
    views = {
        "features": FieldView("tokens", start=0, end=4),
        "target": FieldView("tokens", start=1, end=5),
    }
    return FilesLayout((field,), views)


def test_the_target_of_a_token_is_the_next_one(tokens):
    rows = list(DataLoader(MemmapDataset(tokens), batch_size=None))
    assert [row["features"].tolist() for row in rows] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [11, 12, 13, 14],
        [15, 16, 17, 18],
    ]
    assert all(torch.equal(row["target"], row["features"] + 1) for row in rows)


def test_fields_side_by_side_make_one_row(tmp_path):
    dense = np.random.default_rng(0).random((30, 4), np.float32)
    labels = np.arange(30, dtype=np.int8)
    layout = FilesLayout(
        (
            field_of(write_stream(tmp_path, dense, [0, 10, 30], name="dense"), "dense"),
            field_of(write_stream(tmp_path, labels, [0, 7, 30], name="label"), "label"),
        ),
        {
            "features": FieldView("dense", start=1),
            "target": FieldView("label", is_column=True),
        },
    )
    batch = next(iter(DataLoader(MemmapDataset(layout, start_index=5), batch_size=9)))
    assert torch.equal(batch["features"], torch.from_numpy(dense[5:14, 1:]))
    assert batch["target"].tolist() == [[number] for number in range(5, 14)]
    assert batch["target"].dtype == torch.int8
    assert layout.view_dtype == np.dtype([("features", "<f4", (3,)), ("target", "i1", (1,))])


def test_a_description_is_read_as_it_was_written(tokens, tmp_path):
    tokens.write(tmp_path / "rows.json")
    layout = read_layout(tmp_path / "rows.json")
    assert layout.to_json() == tokens.to_json()
    by_path, by_layout = (MemmapDataset(one) for one in (tmp_path / "rows.json", tokens))
    assert [row["target"].tolist() for row in by_path] == [
        row["target"].tolist() for row in by_layout
    ]
    assert digest_rows("", layout, Range(1, 3)) == digest_rows("", tokens, Range(1, 3))


def test_windows_of_documents_are_read_as_they_were_written(tmp_path):
    """Documents of 6, 3 and 11 tokens, over two files; the second is too short for a window."""
    values = np.arange(20, dtype=np.uint16)
    stream = write_stream(tmp_path, values, [0, 8, 20])
    fields = tuple(
        StoredField(name, stream, Windows(4, 2, np.array([0, 6, 9, 20]))) for name in ("x", "y")
    )
    layout = FilesLayout(fields, {"features": FieldView("x"), "target": FieldView("y")})
    layout.write(tmp_path / "rows.json")
    found = read_layout(tmp_path / "rows.json")
    assert found.to_json() == layout.to_json()
    for one, other in zip(found.stored, layout.stored, strict=True):
        assert one.addresses.first_rows.tolist() == other.addresses.first_rows.tolist()
        assert one.addresses.borders.tolist() == other.addresses.borders.tolist()
    features = MemmapDataset(found).gather(range(6))["features"]
    assert features[:, 0].tolist() == [0, 2, 9, 11, 13, 15]


def test_rows_in_a_record_file_of_their_virtual_records_are_the_same(tokens, tmp_path):
    with create(tmp_path / "copy.npy", tokens.dtype, tokens.rows) as writer:
        for chunk in read_chunks("", tokens, Range(0, tokens.rows)):
            writer.write(0, chunk)
    file, layout = tokens.in_record_file(tmp_path / "copy.npy")
    assert file == read_layout(tmp_path / "copy.npy")
    assert layout.view_dtype == tokens.view_dtype
    copied, whole = (MemmapDataset(one).gather([2, 0, 3]) for one in (layout, tokens))
    assert all(torch.equal(copied[name], whole[name]) for name in ("features", "target"))


@pytest.mark.parametrize("size", [5, 40])
def test_a_file_that_has_changed_its_size_is_named(tokens, size):
    path = tokens.stored[0].stream.paths[1]
    os.truncate(path, size)
    dataset = MemmapDataset(tokens)
    assert dataset[0]["features"].tolist() == [0, 1, 2, 3]
    with pytest.raises(UserError, match=rf"part-1.bin: it .* {size}.* had 21 bytes"):
        dataset[2]


def test_a_file_that_is_gone_is_named(tokens):
    os.unlink(tokens.stored[0].stream.paths[1])
    with pytest.raises(UserError, match=r"part-1.bin: this file cannot be opened any more"):
        MemmapDataset(tokens)[3]


def test_few_files_are_open_at_a_time(tmp_path):
    values = np.arange(3000, dtype=np.int32)
    stream = write_stream(tmp_path, values, range(0, 3001, 10))
    files = OpenFiles(stream.paths, stream.sizes.tolist(), most=8)
    before = len(os.listdir("/proc/self/fd"))
    for file in range(300):
        target = bytearray(4)
        files.read(file, 4, memoryview(target))
        assert np.frombuffer(target, np.int32) == file * 10 + 1
        assert len(os.listdir("/proc/self/fd")) <= before + 8
    files.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_was_replaced_while_it_was_closed_is_named(tmp_path):
    stream = write_stream(tmp_path, np.arange(30, dtype=np.int32), [0, 10, 20, 30])
    files = OpenFiles(stream.paths, stream.sizes.tolist(), most=1)
    for file in range(3):
        files.read(file, 0, memoryview(bytearray(4)))
    other = tmp_path / "other"
    other.write_bytes(bytes(40))
    os.replace(other, stream.paths[0])
    with pytest.raises(UserError, match=r"part-0.bin: it was replaced or written while"):
        files.read(0, 0, memoryview(bytearray(4)))
    files.close()


def test_a_program_describes_rows_by_the_keys_of_the_configuration(tmp_path):
    np.arange(100, dtype=np.uint16).tofile(tmp_path / "tokens.bin")
    layout = rows_in_files(
        path=str(tmp_path / "*.bin"), dtype="uint16", windows={"length": 8, "target": "next"}
    )
    batch = MemmapDataset(layout).gather([0, 11])
    assert batch["features"][1].tolist() == list(range(88, 96))
    assert torch.equal(batch["target"], batch["features"] + 1)
    with pytest.raises(ValueError, match="windwos"):
        rows_in_files(path="x", windwos={})
    with pytest.raises(UserError, match="tokens\\.txt"):
        rows_in_files(
            path=str(tmp_path / "tokens.txt"),
            dtype="uint8",
            windows={"length": 8, "target": "next"},
        )
