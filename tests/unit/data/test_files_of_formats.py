"""Rows are described in files of every format, by documents, names and columns."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import ipc
from safetensors.torch import save_file

from memtrain.config.files import FilesSettings
from memtrain.config.parsing import parse_settings_text
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.described_from import described_from
from memtrain.data.files_description import describe_files
from memtrain.data.files_layout import FilesLayout
from memtrain.data.formats.dtypes import BFLOAT16
from memtrain.data.row_chunks import read_chunks
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests
from tests.unit.data.formats import test_megatron, test_modded_nanogpt


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(settings):
    """Return the values of every field of all rows, through a written description."""
    layout, _ = describe_files(parse_settings_text(FilesSettings, settings))
    layout.write("rows.json")
    layout = FilesLayout.read("rows.json")
    chunks = [
        {name: one.copy() for name, one in layout.values(chunk).items()}
        for chunk in read_chunks("rows.json", layout, Range(0, layout.rows))
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in layout.views}


DOCUMENTS = [[[1, 2, 3], [4, 5]], [[6, 7]], [[8], [9, 10, 11]]]
WINDOWS = "windows: {length: 2, target: next, borders: documents}"


@pytest.mark.parametrize("path", ["corpus.bin", "corpus.idx", "*.bin", "*.idx"])
def test_documents_of_megatron(folder, path):
    test_megatron.write(folder, DOCUMENTS)
    found = rows_of(f"{{path: '{path}', {WINDOWS}}}")
    assert found["features"].tolist() == [[1, 2], [3, 4], [8, 9]]
    assert np.array_equal(found["target"], found["features"] + 1)


def test_a_dataset_of_megatron_is_not_counted_twice(folder):
    test_megatron.write(folder, DOCUMENTS)
    with pytest.raises(UserError, match=r"corpus\.idx: this and corpus\.bin are one dataset"):
        rows_of(f"{{path: 'corpus.*', {WINDOWS}}}")


def test_a_new_index_makes_another_description(folder):
    settings = parse_settings_text(FilesSettings, f"{{path: corpus.bin, {WINDOWS}}}")
    notes = FileNotes()

    def found():
        return described_from(settings, notes, KnownDigests(FileNotes()).digest)

    values, index = test_megatron.write(folder, DOCUMENTS)
    before = found()
    content = values.read_bytes()
    test_megatron.write(folder, [[[1, 2, 3]], [[4, 5, 6, 7]], [[8], [9, 10, 11]]], name="other")
    assert (folder / "other.bin").read_bytes() == content
    assert found() == before
    (folder / "other.idx").replace(index)
    assert found() != before


def test_tokens_of_modded_nanogpt(folder):
    test_modded_nanogpt.write(folder / "a1.bin", range(5))
    test_modded_nanogpt.write(folder / "a2.bin", range(10, 15))
    found = rows_of("{path: 'a*.bin', windows: {length: 4, target: next}}")
    assert found["features"].tolist() == [[0, 1, 2, 3], [10, 11, 12, 13]]
    assert found["target"].tolist() == [[1, 2, 3, 4], [11, 12, 13, 14]]


def test_tensors_of_bfloat16_and_their_labels(folder):
    values = torch.arange(12.0).reshape(6, 2).to(torch.bfloat16)
    save_file({"x": values, "y": torch.arange(6), "scale": torch.tensor(2.0)}, "a.safetensors")
    both = "{x: {path: a.safetensors, array: x}, y: {path: a.safetensors, array: y, target: true}}"
    found = rows_of(f"{{fields: {both}}}")
    assert found["features"].dtype == BFLOAT16
    assert np.array_equal(found["features"].astype("f4"), values.float().numpy())
    assert found["target"].tolist() == [[n] for n in range(6)]
    with pytest.raises(UserError, match="the array 'scale' is not read: it is a single value"):
        rows_of(f"{{fields: {both.replace('array: x', 'array: scale')}}}")


def test_columns_of_arrow_in_batches(folder):
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(20, dtype="f4")), 2)
    table = pa.table({"text": list("abcdefghij"), "x": lists, "y": np.arange(10)})
    with ipc.new_file("a.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    both = "{x: {path: a.arrow, array: x}, y: {path: a.arrow, array: y, target: true}}"
    found = rows_of(f"{{fields: {both}}}")
    assert np.array_equal(found["features"], np.arange(20, dtype="f4").reshape(10, 2))
    assert found["target"].tolist() == [[n] for n in range(10)]
    with pytest.raises(UserError, match="the array 'text' is not read: its type is string"):
        rows_of(f"{{fields: {both.replace('array: x', 'array: text')}}}")


def test_a_format_can_be_stated(folder):
    np.save("a.npy", np.zeros((4, 2)))
    assert len(rows_of("{path: a.npy, format: npy, target: '1:'}")["target"]) == 4
    with pytest.raises(UserError, match=r"a\.npy: .*not a safetensors file"):
        rows_of("{path: a.npy, format: safetensors, target: '1:'}")


def test_texts_are_no_rows(folder):
    np.save("x.npy", np.array(["a", "b"]))
    np.save("y.npy", np.zeros(2))
    with pytest.raises(UserError, match="x is <U1, and models are given numbers"):
        rows_of("{fields: {x: {path: x.npy}, y: {path: y.npy, target: true}}}")
