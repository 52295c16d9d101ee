"""Rows in files are described by their headers, and every disagreement of files is named."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import ipc

from memtrain.config.files import FilesSettings
from memtrain.config.parsing import parse_settings_text
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.described_from import described_from
from memtrain.data.files_description import describe_files
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.places_in_files import bytes_of_document
from memtrain.data.row_chunks import read_chunks
from memtrain.data.source import Source
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def described(settings) -> tuple[FilesLayout, Source]:
    """Return the description of files, written and read again."""
    layout, source = describe_files(parse_settings_text(FilesSettings, settings))
    layout.write("rows.json")
    return FilesLayout.read("rows.json"), source


def values(layout):
    """Return the values of all rows by field."""
    parts = [
        {name: one.copy() for name, one in layout.values(chunk).items()}
        for chunk in read_chunks("rows.json", layout, Range(0, layout.rows))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in layout.views}


def save_parts(name, arrays):
    for number, array in enumerate(arrays):
        np.save(f"{name}{number}.npy", array)
    return np.concatenate(arrays)


def test_fields_side_by_side_over_several_files():
    generator = np.random.default_rng(1)
    x = save_parts("x", [generator.normal(size=(n, 3)).astype("f2") for n in (4, 9, 2)])
    y = save_parts("y", [generator.integers(0, 5, n) for n in (4, 9, 2)])
    layout, source = described("{fields: {x: {path: x*.npy}, y: {path: y*.npy, target: true}}}")
    found = values(layout)
    assert np.array_equal(found["features"], x)
    assert np.array_equal(found["target"], y[:, np.newaxis])
    assert source.features == ["x[0]", "x[1]", "x[2]"]
    assert (source.target, source.task, source.classes) == (["y"], "classification", None)


def test_several_fields_of_features_keep_their_types():
    save_parts("a", [np.zeros((6, 2), "f4")])
    save_parts("b", [np.arange(6, dtype="i4")])
    save_parts("y", [np.zeros(6, "f8")])
    layout, source = described(
        "{fields: {a: {path: a0.npy}, b: {path: b0.npy}, y: {path: y0.npy, target: true}}}"
    )
    assert {name: one.base.name for name, one in layout.fields.items()} == {
        "features_a": "float32",
        "features_b": "int32",
        "target": "float64",
    }
    assert source.features == ["a[0]", "a[1]", "b"]
    assert source.task == "regression"


@pytest.mark.parametrize("settings", ["features: '0:4', target: '4:'", "target: '4:'"])
def test_columns_of_one_matrix(settings):
    matrix = save_parts("m", [np.arange(42, dtype="f4").reshape(7, 6)])
    layout, source = described(f"{{path: m0.npy, {settings}}}")
    found = values(layout)
    assert np.array_equal(found["features"], matrix[:, :4])
    assert np.array_equal(found["target"], matrix[:, 4:])
    assert source.features + source.target == ["0", "1", "2", "3", "4", "5"]


def test_fields_of_records():
    records = np.zeros(5, [("a", "f4", (2,)), ("b", "i4"), ("c", "f4")])
    records["b"], records["c"] = np.arange(5), np.arange(5) / 2
    np.save("r.npy", records)
    layout, source = described("{path: r.npy, features: b, target: c, task: regression}")
    found = values(layout)
    assert np.array_equal(found["features"], records["b"][:, np.newaxis])
    assert np.array_equal(found["target"], records["c"][:, np.newaxis])
    assert (source.features, source.target) == (["b"], ["c"])


def windows_of(parts, length, stride, rest="drop"):
    """Return the windows of each part, as NumPy cuts them."""
    found = []
    for part in parts:
        starts = list(range(0, len(part) - length + 1, stride))
        if rest == "shift" and starts and starts[-1] + length < len(part):
            starts.append(len(part) - length)
        found += [part[start : start + length] for start in starts]
    return np.array(found)


@pytest.mark.parametrize(("stride", "rest"), [(8, "drop"), (3, "drop"), (8, "shift")])
def test_windows_of_tokens_and_what_follows_each(stride, rest):
    generator = np.random.default_rng(2)
    parts = [generator.integers(0, 999, n).astype("<u2") for n in (100, 5, 61)]
    for number, part in enumerate(parts):
        with open(f"t{number}.bin", "wb") as file:
            file.write(b"header" + part.tobytes())
    layout, source = described(
        "{path: t*.bin, dtype: uint16, header_bytes: 6, classes: 999, "
        f"windows: {{length: 8, stride: {stride}, target: next, rest: {rest}}}}}"
    )
    expected = windows_of(parts, 9, stride, rest)
    found = values(layout)
    assert np.array_equal(found["features"], expected[:, :8])
    assert np.array_equal(found["target"], expected[:, 1:])
    assert source.classes == 999


@pytest.mark.parametrize("borders", ["{delimiter: 0}", "{offsets: o.npy}", "none"])
def test_windows_cross_no_border_of_documents(borders):
    tokens = np.random.default_rng(3).integers(0, 12, 300).astype("u1")
    tokens[:150].tofile("t0.bin")
    tokens[150:].tofile("t1.bin")
    ends = np.flatnonzero(tokens == 0) + 1
    np.save("o.npy", ends)
    cuts = [] if borders == "none" else ends
    layout, _ = described(
        f"{{path: t*.bin, dtype: uint8, windows: {{length: 4, target: next, borders: {borders}}}}}"
    )
    assert np.array_equal(
        values(layout)["features"], windows_of(np.split(tokens, cuts), 5, 4)[:, :4]
    )


def test_the_target_of_a_window_is_the_same_window_of_another_field():
    generator = np.random.default_rng(4)
    tokens = generator.integers(0, 9, 200).astype("u1")
    tags = generator.integers(0, 5, (200, 2)).astype("i2")
    tokens.tofile("t.bin")
    save_parts("y", np.split(tags, [70, 150]))  # Cut elsewhere than the tokens are.
    windows = "{length: 4, stride: 3, target: y, borders: {delimiter: 0}}"
    layout, source = described(
        f"{{fields: {{x: {{path: t.bin, dtype: uint8, windows: {windows}}}, y: {{path: y*.npy}}}}}}"
    )
    found, cuts = values(layout), np.flatnonzero(tokens == 0) + 1
    assert np.array_equal(found["features"], windows_of(np.split(tokens, cuts), 4, 3))
    assert np.array_equal(found["target"], windows_of(np.split(tags, cuts), 4, 3))
    assert source.target[:3] == ["y[0,0]", "y[0,1]", "y[1,0]"]


def test_short_windows_are_padded_as_rows_that_vary_in_length():
    """They are the rows of the same offsets, so that padding is left out of every loss."""
    generator = np.random.default_rng(5)
    tokens = generator.integers(0, 9, 100).astype("u1")
    np.save("t.npy", tokens)
    np.save("y.npy", generator.integers(0, 5, 100))
    ends = np.flatnonzero(tokens == 0) + 1
    segments = [part for part in np.split(tokens, ends) if len(part)]
    rows = [one[start : start + 4] for one in segments for start in range(0, len(one), 4)]
    np.save("o.npy", np.cumsum([0, *map(len, rows)]))
    windows = "{length: 4, target: y, rest: pad, borders: {delimiter: 0}}"
    layout, _ = described(
        f"{{fields: {{x: {{path: t.npy, windows: {windows}}}, y: {{path: y.npy}}}}}}"
    )
    cut = "ragged: {borders: {offsets: o.npy}}"
    same, _ = describe_files(
        parse_settings_text(
            FilesSettings,
            f"{{fields: {{x: {{path: t.npy, {cut}}}, y: {{path: y.npy, target: true, {cut}}}}}}}",
        )
    )
    batch, expected = (MemmapDataset(one).gather(range(len(rows))) for one in (layout, same))
    assert list(batch) == list(expected)
    assert all(torch.equal(batch[name], expected[name]) for name in batch)
    assert batch["features_lengths"].tolist() == list(map(len, rows))
    assert batch["features"][~batch["features_mask"]].tolist() == [0] * (4 * len(rows) - 100)
    with pytest.raises(LookupError):
        bytes_of_document(layout.stored[0], 0)


def test_times_of_arrow_are_integers_whose_unit_is_named():
    for name, unit in (("a", "us"), ("b", "us"), ("c", "ms")):
        when = pa.array([1, 2, 3], pa.timestamp(unit))
        with ipc.new_file(f"{name}.arrow", pa.schema([("t", when.type), ("y", pa.int8())])) as to:
            to.write(pa.record_batch([when, pa.array([0, 1, 0], pa.int8())], names=["t", "y"]))
    layout, source = described("{path: [a.arrow, b.arrow], features: t, target: y}")
    assert values(layout)["features"].tolist() == [[1], [2], [3]] * 2
    assert source.features == ["t (us since 1970)"]
    with pytest.raises(UserError, match=r"c.arrow has elements of int64 in ms since 1970, but a"):
        described("{path: [a.arrow, c.arrow], features: t, target: y}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "{fields: {x: {path: y0.npy, windows: {length: 2, target: y}}, y: {path: x*.npy}}}",
            "these have 7 elements (y), 4 elements (x). x has 1 file, and y 2",
        ),
        (
            "{fields: {x: {path: x*.npy}, y: {path: y0.npy, target: true}}}",
            "x has 2 files, and y 1",
        ),
        (
            "{fields: {x: {path: x*.npy}, y: {path: [y0.npy, y0b.npy], target: true}}}",
            "7 rows (x), 8 rows (y). They part at x1.npy with 3 and y0b.npy with 4",
        ),
        ("{path: [x0.npy, y0.npy], target: '1:'}", "y0.npy has elements of int64, but x0.npy"),
        ("{path: x0.npy, target: '5:'}", "rows of x0.npy have 3"),
        ("{path: x0.npy, features: '0:2', target: '1:'}", "have columns in common"),
        ("{path: x0.npy, target: label}", "x0.npy has no array or field 'label'"),
        ("{path: gone.npy, target: '1:'}", "gone.npy: there is no such file"),
        ("{path: x0.npy, target: '1:2'}", "Say what the features are"),
        (
            "{path: y0.npy, windows: {length: 4, target: next}}",
            "takes 5 elements with its target, and the longest run of elements between borders",
        ),
        (
            "{path: y0.npy, windows: {length: 1, target: next, borders: {delimiter: 99}}}",
            "none of the 4 elements is 99",
        ),
        (
            "{path: y0.npy, windows: {length: 1, target: next, borders: {offsets: y0.npy}}}",
            "y0.npy is not ascending",
        ),
        ("{path: x0.npy, target: '1:', task: classification}", "classes are whole numbers"),
    ],
)
def test_a_disagreement_names_files_and_numbers(settings, message):
    save_parts("x", [np.zeros((4, 3), "f4"), np.zeros((3, 3), "f4")])
    np.save("y0.npy", np.array([2, 1, 0, 1]))
    np.save("y0b.npy", np.zeros(4, "i8"))
    with pytest.raises(UserError) as raised:
        described(settings)
    assert message in "\n".join(raised.value.problems)


def test_a_description_is_current_until_a_header_changes():
    settings = parse_settings_text(FilesSettings, "{path: 'x*.npy', target: '2:'}")

    def found():
        return described_from(settings, FileNotes(), KnownDigests(FileNotes()).digest)

    np.save("x0.npy", np.zeros((4, 3), "f4"))
    before = found()
    np.save("x0.npy", np.ones((4, 3), "f4"))
    assert found() == before
    np.save("x0.npy", np.ones((4, 3), "i4"))
    assert found() != before
    np.save("x0.npy", np.ones((4, 3), "f4"))
    np.save("x1.npy", np.ones((1, 3), "f4"))
    assert found() != before
