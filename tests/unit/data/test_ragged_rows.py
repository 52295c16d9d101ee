"""Rows of varying length are the slices between offsets, however they are asked for."""

import os
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from memtrain.core.errors import UserError
from memtrain.data.files_layout import FieldView, FilesLayout
from memtrain.data.found_offsets import find_offsets
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Ragged
from memtrain.data.streams.stored_field import StoredField
from tests.unit.data.test_files_layout import field_of, streams, write_stream


@st.composite
def ragged_streams(draw):
    """Values of a stream, the borders of its files, and the offsets of rows."""
    values, borders = draw(streams())
    offsets = draw(st.lists(st.integers(0, len(values)), min_size=2, max_size=12).map(sorted))
    return values, borders, np.array(offsets)


def layout_of(stream, offsets, **view):
    field = StoredField("words", stream, Ragged.described(offsets, stream.elements))
    return FilesLayout((field,), {"features": FieldView("words", **view)})


@pytest.mark.slow
@given(ragged_streams(), st.data())
def test_a_batch_is_padded_to_its_longest_row(tmp_path_factory, stream, data):
    values, borders, offsets = stream
    files = write_stream(tmp_path_factory.mktemp("rows"), values, borders, header=2)
    dataset = MemmapDataset(layout_of(files, offsets))
    expected = [values[start:end] for start, end in pairwise(offsets)]
    assert len(dataset) == len(expected)
    rows = data.draw(st.lists(st.integers(0, len(expected) - 1), min_size=1, max_size=20))
    batch = dataset.gather(rows)
    lengths = [len(expected[row]) for row in rows]
    assert batch["features_lengths"].tolist() == lengths
    assert batch["features_mask"].shape == (len(rows), max(1, *lengths))
    assert batch["features_mask"].sum(1).tolist() == lengths
    for row, found, length in zip(rows, batch["features"].numpy(), lengths, strict=True):
        np.testing.assert_array_equal(found[:length], expected[row].astype(found.dtype))
        assert not found[length:].any()
    np.testing.assert_array_equal(dataset.element_counts("features", np.array(rows)), lengths)


@pytest.mark.slow
@given(ragged_streams(), st.integers(0, 3), st.integers(-3, 0))
def test_trimmed_rows_are_slices_of_rows(tmp_path_factory, stream, start, end):
    values, borders, offsets = stream
    files = write_stream(tmp_path_factory.mktemp("rows"), values, borders)
    dataset = MemmapDataset(layout_of(files, offsets, start=start, end=end or None))
    for row, (first, last) in enumerate(pairwise(offsets)):
        expected = values[first:last][start : end or None]
        found = dataset[row]["features"].numpy()
        np.testing.assert_array_equal(found, expected.astype(found.dtype))
        assert dataset.element_counts("features", np.array([row])) == len(expected)


@given(
    st.sampled_from(["<f4", ">i2", "|u1"]),
    st.sampled_from(["<i8", ">i8", "<u4", "<i2"]),
    st.sampled_from(["npy", "raw"]),
)
def test_offsets_and_lengths_of_files_give_the_same_rows(tmp_path_factory, dtype, kind, form):
    folder = tmp_path_factory.mktemp("rows")
    stream = write_stream(folder, np.arange(20).astype(dtype), [0, 20])
    offsets = np.array([0, 3, 3, 10, 20]).astype(kind)
    found = []
    for name, numbers in (("offsets", offsets), ("lengths", np.diff(offsets).astype(kind))):
        path = folder / f"{name}.npy"
        if form == "npy":
            np.save(path, numbers)
        else:
            numbers.tofile(path)
        source = find_offsets(path, name, None if form == "npy" else kind)
        layout = layout_of(stream, source)
        layout.write(folder / "rows.json")
        dataset = MemmapDataset(folder / "rows.json")
        assert len(dataset) == 4
        found.append([row["features"].tolist() for row in DataLoader(dataset, batch_size=None)])
    assert found[0] == found[1]
    assert [len(row) for row in found[0]] == [3, 0, 7, 10]


@pytest.fixture
def documents(tmp_path):
    """Documents of words, with a label each and the next word as a target."""
    words = np.arange(12, dtype=np.uint16)
    labels = np.array([1, 0, 1], np.int8)
    stored = StoredField(
        "words",
        write_stream(tmp_path, words, [0, 5, 12], name="words"),
        Ragged.described(np.array([0, 4, 5, 12]), 12),
    )
    label = field_of(write_stream(tmp_path, labels, [0, 3], name="label"), "label")
    views = {
        "features": FieldView("words", end=-1),
        "target": FieldView("words", start=1),
        "label": FieldView("label", is_column=True),
    }
    return FilesLayout((stored, label), views)


def test_ragged_fields_lie_beside_plain_ones(documents):
    (batch,) = DataLoader(MemmapDataset(documents), batch_size=3)
    assert batch["features"].tolist() == [
        [0, 1, 2, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [5, 6, 7, 8, 9, 10],
    ]
    assert batch["target"].tolist() == [
        [1, 2, 3, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [6, 7, 8, 9, 10, 11],
    ]
    assert batch["target_lengths"].tolist() == [3, 0, 6]
    assert batch["label"].tolist() == [[1], [0], [1]]
    assert batch["features_mask"].dtype == torch.bool
    assert not {"label_lengths", "label_mask"} & batch.keys()


@pytest.mark.parametrize("shown", ["rows", "batches"])
def test_a_transform_keeps_rows_together(documents, shown):
    seen = []

    def double(row):
        seen.append(row)
        return row | {"features": row["features"] * 2}

    double.batched = shown == "batches"
    dataset = MemmapDataset(documents, transform=double)
    plain = MemmapDataset(documents).gather([2, 0])
    batch = dataset.gather([2, 0])
    assert torch.equal(batch["features"], plain["features"] * 2)
    assert batch.keys() == plain.keys()
    assert torch.equal(batch["features_mask"], plain["features_mask"])
    assert dataset[0]["features"].tolist() == [0, 2, 4]
    if shown == "rows":
        assert [row["features"].shape for row in seen] == [(6,), (3,), (3,)]


def test_a_pickled_dataset_holds_no_offsets(tmp_path):
    values = np.zeros(1, np.uint8)
    np.save(tmp_path / "offsets.npy", np.zeros(100_000, np.int64))
    stream = write_stream(tmp_path, values, [0, 1])
    dataset = MemmapDataset(layout_of(stream, find_offsets(tmp_path / "offsets.npy")))
    assert dataset[99_998]["features"].shape == (0,)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 10_000
    assert len(pickle.loads(pickled)) == 99_999


@pytest.mark.slow
def test_rows_in_other_processes(documents):
    loader = DataLoader(MemmapDataset(documents), batch_size=2, num_workers=1)
    assert [batch["target_lengths"].tolist() for batch in loader] == [[3, 0], [6]]


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([0, 5, 3, 10], r"offsets.npy: row 1 begins at 5 and ends at 3"),
        ([0, 5, 11, 12], r"offsets.npy: row 1 ends at element 11, but the files have 10"),
        ([-1, 5], r"offsets.npy: row 0 begins at -1"),
        ([], r"offsets.npy: it is empty"),
        ([[0, 1]], r"offsets.npy: it has the shape \(1, 2\)"),
        ([0.0, 1.0], r"offsets.npy: it holds float64, but offsets of rows are integers"),
    ],
)
def test_wrong_offsets_name_file_and_row(tmp_path, offsets, message):
    np.save(tmp_path / "offsets.npy", np.array(offsets, None if len(offsets) else np.int64))
    with pytest.raises(UserError, match=message):
        Ragged.described(find_offsets(tmp_path / "offsets.npy"), 10)


def test_a_fall_between_chunks_is_found(tmp_path):
    offsets = np.arange(1 << 19)
    offsets[1 << 18] = 7
    np.save(tmp_path / "offsets.npy", offsets)
    with pytest.raises(UserError, match=r"row 262,143 begins at 262143 and ends at 7"):
        Ragged.described(find_offsets(tmp_path / "offsets.npy"), 1 << 19)


def test_a_negative_length_names_its_row(tmp_path):
    np.save(tmp_path / "lengths.npy", np.array([3, 1, -2]))
    with pytest.raises(UserError, match=r"lengths.npy: the length of row 2 is -2"):
        Ragged.described(find_offsets(tmp_path / "lengths.npy", "lengths"), 10)


def test_offsets_that_changed_are_refused(tmp_path):
    path = tmp_path / "offsets.npy"
    np.save(path, np.array([0, 2, 4]))
    stream = write_stream(tmp_path, np.zeros(4, np.uint8), [0, 4])
    layout = layout_of(stream, find_offsets(path))
    layout.write(tmp_path / "rows.json")
    with open(path, "ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match=r"offsets.npy: it has \d+ bytes, but it had"):
        MemmapDataset(tmp_path / "rows.json").gather([0])
    os.unlink(path)
    with pytest.raises(UserError, match=r"offsets.npy: this file of offsets cannot be read"):
        MemmapDataset(tmp_path / "rows.json").gather([0])


def test_a_raw_file_of_other_integers_is_refused(tmp_path):
    (tmp_path / "offsets.bin").write_bytes(b"123456789")
    with pytest.raises(UserError, match="9 bytes are no whole number of int64"):
        find_offsets(tmp_path / "offsets.bin", dtype="int64")


def test_places_that_rows_do_not_have_are_refused(documents):
    (words, _) = documents.stored
    with pytest.raises(ValueError, match="vary in length"):
        FilesLayout((words,), {"features": FieldView("words", start=0, end=3)})


@pytest.mark.parametrize("length", [3, 900])
def test_fields_of_records_vary_in_length_together(tmp_path, length):
    """Short rows are gathered in one go, and long ones copied one by one."""
    records = np.zeros(2 * length, [("word", "<u2"), ("place", "<f4", 2)])
    records["word"] = np.arange(2 * length)
    records["place"] = np.random.default_rng(0).random((2 * length, 2))
    stream = write_stream(tmp_path, records, [0, length // 2, 2 * length])
    stored = StoredField(
        "both", stream, Ragged.described(np.array([0, length - 1, 2 * length]), 2 * length)
    )
    views = {
        "features": FieldView("both", ("word",)),
        "target": FieldView("both", ("place",), start=1),
    }
    batch = MemmapDataset(FilesLayout((stored,), views)).gather([1, 0])
    assert batch["features_lengths"].tolist() == [length + 1, length - 1]
    np.testing.assert_array_equal(batch["features"][0], records["word"][length - 1 :])
    np.testing.assert_array_equal(batch["features"][1, : length - 1], records["word"][: length - 1])
    np.testing.assert_array_equal(batch["target"][0], records["place"][length:])
    np.testing.assert_array_equal(
        batch["target"][1, : length - 2], records["place"][1 : length - 1]
    )
    assert not batch["features"][1, length - 1 :].any()
    assert not batch["target"][1, length - 2 :].any()


@pytest.mark.slow
@given(st.integers(1, 40), st.integers(200, 400))
def test_long_rows_are_padded_alike(tmp_path_factory, rows, longest):
    generator = np.random.default_rng(rows)
    offsets = np.concatenate([[0], np.cumsum(generator.integers(0, longest, rows))])
    values = generator.random((offsets[-1], 2)).astype(np.float16)
    stream = write_stream(tmp_path_factory.mktemp("rows"), values, [0, len(values)])
    batch = MemmapDataset(layout_of(stream, offsets)).gather(np.arange(rows)[::-1])
    for row, found in zip(range(rows)[::-1], batch["features"].numpy(), strict=True):
        expected = values[offsets[row] : offsets[row + 1]]
        np.testing.assert_array_equal(found[: len(expected)], expected.astype(np.float32))
        assert not found[len(expected) :].any()
