"""The format of a file is known by what it begins with, whatever its name is."""

import io
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from pyarrow import ipc
from safetensors.torch import save_file

from memtrain.core.errors import UserError
from memtrain.data.formats.file_formats import read_array, read_arrays
from memtrain.data.formats.raw import RawFormat
from tests.unit.data.formats import test_megatron, test_modded_nanogpt
from tests.unit.data.formats.found import elements_of

VALUES = np.arange(6, dtype="<u2")


def write(path, kind):
    match kind:
        case "raw":
            VALUES.tofile(path)
        case "npy":
            with path.open("wb") as file:
                np.save(file, VALUES)
        case "modded_nanogpt":
            test_modded_nanogpt.write(path, VALUES)
        case "safetensors":
            save_file({"x": torch.from_numpy(VALUES.astype("<i2"))}, path)
        case "arrow":
            table = pa.table({"x": VALUES})
            with ipc.new_stream(path, table.schema) as writer:
                writer.write_table(table)
    return path


@pytest.mark.parametrize("ending", ["npy", "bin", "safetensors", "arrow", "x"])
@pytest.mark.parametrize("kind", ["raw", "npy", "modded_nanogpt", "safetensors", "arrow"])
def test_names_say_nothing(tmp_path, kind, ending):
    path = write(tmp_path / f"file.{ending}", kind)
    raw = RawFormat(VALUES.dtype) if kind == "raw" else None
    for stated in (None, kind):
        assert elements_of(path, read_array(path, raw=raw, format=stated)).tolist() == [*range(6)]


@pytest.mark.parametrize("kind", ["raw", "npy", "modded_nanogpt", "safetensors", "arrow"])
@pytest.mark.parametrize("stated", ["npy", "megatron", "modded_nanogpt", "safetensors", "arrow"])
def test_a_stated_format_has_to_be_that_of_the_file(tmp_path, kind, stated):
    path = write(tmp_path / "file.bin", kind)
    if kind != stated:
        with pytest.raises(UserError, match="file"):
            read_arrays(path, format=stated)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x89HDF\r\n\x1a\n", "HDF5 files are not read"),
        (b"FEA1", "Feather version 1 is not read"),
        (b"\x1f\x8b\x08", "gunzip"),
        (b"\x28\xb5\x2f\xfd", "unzstd"),
        (b"text", "does not say what it holds. If it is a raw file, state its dtype"),
    ],
)
def test_files_of_other_formats_are_told(tmp_path, content, told):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match=f"x: .*{told}"):
        read_arrays(tmp_path / "x")


def test_tables_and_archives_are_told(tmp_path):
    pyarrow.parquet.write_table(pa.table({"x": VALUES}), tmp_path / "x")
    with pytest.raises(UserError, match=r"Parquet files .* Import it as a table"):
        read_arrays(tmp_path / "x")
    content = io.BytesIO()
    np.savez(content, VALUES)
    assert zipfile.is_zipfile(content)
    (tmp_path / "x").write_bytes(content.getvalue())
    with pytest.raises(UserError, match=r"zip files \(\.npz, \.pt\)"):
        read_arrays(tmp_path / "x")


def test_an_array_without_a_name_has_none(tmp_path):
    path = write(tmp_path / "x", "npy")
    assert read_array(path, "").elements == 6
    with pytest.raises(UserError, match=r"one array, without a name\. Leave out the name 'x'"):
        read_array(path, "x")


def test_an_index_beside_a_file_of_another_format_is_not_used(tmp_path):
    test_megatron.write(tmp_path, [[[1, 2]]])
    found = read_array(write(tmp_path / "corpus.bin", "npy"))
    assert (found.elements, found.borders) == (6, None)


def test_tokens_that_look_like_another_format_are_raw_when_that_is_stated(tmp_path):
    (tmp_path / "x").write_bytes((20240520).to_bytes(4, "little") + bytes(2000))
    raw = RawFormat(np.dtype("<u2"))
    with pytest.raises(UserError, match="version 0"):
        read_arrays(tmp_path / "x", raw=raw)
    assert read_array(tmp_path / "x", raw=raw, format="raw").elements == 1002
