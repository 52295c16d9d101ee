"""safetensors files: tensors that the format's own package wrote; damage is named."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from memtrain.core.errors import UserError
from memtrain.data.formats.dtypes import BFLOAT16
from memtrain.data.formats.file_formats import read_array, read_arrays
from memtrain.data.formats.raw import RawFormat
from tests.unit.data.formats.found import damage, elements_of

DTYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint16, torch.uint32, torch.uint64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64),
]

shapes = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)
tensors = st.dictionaries(
    st.text(min_size=1, max_size=4), st.tuples(st.sampled_from(DTYPES), shapes), max_size=4
)


def tensor_of(dtype, shape):
    size = int(np.prod(shape)) * dtype.itemsize
    content = torch.arange(size, dtype=torch.uint8).remainder(2)
    return content.view(dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)


def bytes_of(tensor):
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.slow
@given(tensors, st.sampled_from([None, {"format": "pt"}]))
@settings(deadline=None)
def test_tensors_are_found(tmp_path_factory, described, metadata):
    path = tmp_path_factory.mktemp("safetensors") / "x.safetensors"
    written = {name: tensor_of(*one) for name, one in described.items()}
    written["rows"] = torch.arange(6.0).reshape(3, 2)
    save_file(written, path, metadata)
    found = read_arrays(path)
    readable = {name for name, tensor in written.items() if 0 not in tensor.shape[1:]}
    assert set(found) == readable
    for name, array in found.items():
        assert array.shape == tuple(written[name].shape[1:])
        assert elements_of(path, array).tobytes() == bytes_of(written[name])


def test_bfloat16_has_its_type(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.tensor([1.5, -2.0], dtype=torch.bfloat16)}, path)
    found = read_array(path)
    assert found.dtype == BFLOAT16
    assert elements_of(path, found).astype("f4").tolist() == [1.5, -2.0]


def test_tensors_that_are_not_read_are_told_when_they_are_asked_for(tmp_path):
    path = tmp_path / "x.safetensors"
    eight_bits = torch.zeros(4).to(torch.float8_e4m3fn)
    save_file({"rows": torch.zeros(3, 2), "scale": torch.tensor(1.0), "f8": eight_bits}, path)
    assert list(read_arrays(path)) == ["rows"]
    for name, told in (
        ("f8", "the array 'f8' is not read: its values are F8_E4M3"),
        ("scale", "the array 'scale' is not read: it is a single value"),
        ("row", "no array 'row', but .*rows.* Did you mean 'rows'"),
        (None, "several arrays. Name one of them: .*rows"),
    ):
        with pytest.raises(UserError, match=rf"x\.safetensors: .*{told}"):
            read_array(path, name)
    save_file({"f8": eight_bits, "g8": eight_bits.clone()}, path)
    with pytest.raises(UserError, match="F8_E4M3") as error:
        read_arrays(path)
    assert len(error.value.problems) == 2
    save_file({}, path)
    for read in (read_arrays, read_array):
        with pytest.raises(UserError, match="no arrays"):
            read(path)


def test_what_describes_itself_is_not_stated(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"rows": torch.zeros(8, 2)}, path)
    with pytest.raises(UserError, match="describes its arrays itself"):
        read_arrays(path, raw=RawFormat(np.dtype("<f4")))
    with pytest.raises(UserError, match="is a file of the format safetensors"):
        read_arrays(path, raw=RawFormat(np.dtype("u1")), format="raw")


def header(**tensors):
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text


def tensor(begin, end, shape=(4,), dtype="U8"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"1234567", "fewer|7 bytes"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "its header has 1,099,511,627,776 bytes"),
        ((3).to_bytes(8, "little") + b"{a}", "its header is no JSON"),
        ((2).to_bytes(8, "little") + b"[]", "no JSON object"),
        ((13).to_bytes(8, "little") + b'{"a":1,"a":2}', "a name stands in it twice"),
        (header(a=1), "tensor 'a' has not dtype, shape and data_offsets"),
        (header(a=tensor(0, 4, dtype="U9")) + bytes(4), "unknown dtype 'U9'"),
        (header(a=tensor(0, 4, shape=[-4])) + bytes(4), "has the shape"),
        (header(a=tensor(0, 4, shape=[4.0])) + bytes(4), "has the shape"),
        (header(a=tensor(0, 4, shape=[True])) + bytes(4), "has the shape"),
        (header(a=tensor(0, 3)) + bytes(3), "4 values of 8 bits, has the bytes 0 to 3"),
        (header(a=tensor(0, 4), b=tensor(2, 6)) + bytes(6), "'b' at byte 2 .* overlaps"),
        (header(a=tensor(0, 4), b=tensor(5, 9)) + bytes(9), "'b' at byte 5 .* leaves a hole"),
        (header(a=tensor(1, 5)) + bytes(5), "'a' at byte 1 .* leaves a hole"),
        (header(a=tensor(0, 4)) + bytes(3), "4 bytes, but 3 follow the header: .* cut short"),
        (header(a=tensor(0, 4)) + bytes(5), "grew"),
        (header(a=tensor(0, 6, dtype="F4")) + bytes(6), "4 values of 4 bits"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, told):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match=f"not a safetensors file .*({told})"):
        read_arrays(tmp_path / "x", format="safetensors")


@pytest.mark.slow
@given(st.data())
@settings(deadline=None, max_examples=300)
def test_damage_is_refused_or_read_as_the_package_reads_it(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "x.safetensors"
    save_file({"a": torch.arange(6).reshape(3, 2), "b": torch.arange(5.0)}, path)
    damage(path, data, path.stat().st_size - 48 - 20)
    try:
        found = read_arrays(path, format="safetensors")
    except UserError:
        return
    with safe_open(path, "pt") as file:
        for name, array in found.items():
            assert elements_of(path, array).tobytes() == bytes_of(file.get_tensor(name))


@pytest.mark.slow
@given(st.data())
@settings(deadline=None)
def test_what_the_package_refuses_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "x.safetensors"
    save_file({"a": torch.arange(6).reshape(3, 2), "b": torch.arange(5.0)}, path)
    damage(path, data)
    try:
        with safe_open(path, "pt"):
            return
    except (SafetensorError, OSError):
        with pytest.raises(UserError):
            read_arrays(path, format="safetensors")
