"""Raw and ``.npy`` files: the bytes that are found hold what NumPy wrote; damage is named."""

import os
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from memtrain.core.errors import UserError
from memtrain.data.formats.dtypes import BFLOAT16
from memtrain.data.formats.file_formats import read_arrays
from memtrain.data.formats.raw import RawFormat
from tests.unit.data.formats.found import damage, elements_of, found_or_refused, only_array

dtypes = st.sampled_from(
    [
        np.dtype("<u2"),
        np.dtype(">f8"),
        np.dtype("bool"),
        np.dtype("M8[s]"),
        np.dtype([("image", "u1", (2, 2)), ("label", "<i2")]),
        np.dtype([("a", "u1"), ("b", "<f8")], align=True),
        np.dtype([("Größe", "<f4"), ("日本", "<i8")]),
    ]
)
shapes = st.lists(st.integers(1, 4), max_size=2).map(tuple)


def values_of(dtype, shape):
    size = int(np.prod(shape)) * dtype.itemsize
    content = np.arange(size, dtype=np.uint8) % 2
    return content.view(dtype).reshape(shape)


def save(path, values, **settings):
    # NumPy warns of versions 2.0 and 3.0 of the format.
    with warnings.catch_warnings(action="ignore"), path.open("wb") as file:
        np.lib.format.write_array(file, values, **settings)


@given(dtypes, st.integers(0, 9), shapes, st.integers(0, 5))
@settings(deadline=None)
def test_raw_files(tmp_path_factory, dtype, elements, shape, header_bytes):
    path = tmp_path_factory.mktemp("raw") / "x.bin"
    values = values_of(dtype, (elements, *shape))
    path.write_bytes(b"h" * header_bytes + values.tobytes())
    found = only_array(path, raw=RawFormat(dtype, shape, header_bytes))
    assert found.elements == elements
    assert elements_of(path, found).tobytes() == values.tobytes()


@given(dtypes, st.integers(0, 9), shapes, st.sampled_from([None, (2, 0), (3, 0)]))
@settings(deadline=None)
def test_npy_files_of_every_version(tmp_path_factory, dtype, elements, shape, version):
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    values = values_of(dtype, (elements, *shape))
    if version == (2, 0) and not all(name.isascii() for name in dtype.names or ()):
        version = None
    save(path, values, version=version)
    found = only_array(path)
    assert (found.dtype, found.shape) == (values.dtype, shape)
    assert elements_of(path, found).tobytes() == values.tobytes()
    assert found.borders is None


def test_one_column_in_fortran_order_is_any_column(tmp_path):
    save(tmp_path / "x.npy", np.asfortranarray(np.arange(3)))
    found = only_array(tmp_path / "x.npy")
    assert np.array_equal(elements_of(tmp_path / "x.npy", found), np.arange(3))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((2, 3), order="F"), "column by column"),
        (np.array([{}], dtype=object), "Python objects"),
        (np.float32(3), "single value"),
        (np.zeros((3, 0)), "have no bytes"),
        (np.zeros(3, "V2"), "have no type"),
    ],
)
def test_arrays_that_are_no_elements_are_refused(tmp_path, values, told):
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(UserError, match=rf"x\.npy: .*{told}"):
        read_arrays(tmp_path / "x.npy")


def test_bfloat16_of_npy_has_to_be_stated(tmp_path):
    values = np.arange(6, dtype=BFLOAT16).reshape(3, 2)
    np.save(tmp_path / "x.npy", values)
    found = only_array(tmp_path / "x.npy", raw=RawFormat(BFLOAT16))
    assert found.dtype == BFLOAT16
    assert elements_of(tmp_path / "x.npy", found).tobytes() == values.tobytes()


def test_raw_files_named_npy(tmp_path):
    tokens = np.arange(10, dtype=np.uint16)
    tokens.tofile(tmp_path / "part-0.npy")
    found = only_array(tmp_path / "part-0.npy", raw=RawFormat(np.dtype("uint16")))
    assert np.array_equal(elements_of(tmp_path / "part-0.npy", found), tokens)
    with pytest.raises(UserError, match=r"named \.npy, but does not begin .* state its dtype"):
        read_arrays(tmp_path / "part-0.npy")


def test_what_is_stated_is_compared_with_a_header(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4, 3), "<f4"))
    for agrees in (("<f4", (), 0), ("<f4", (3,), 128)):
        assert only_array(path, raw=RawFormat(np.dtype(agrees[0]), *agrees[1:])).elements == 4
    for stated, told in (
        (("<u2", (), 0), "dtype float32, but uint16 is stated"),
        (("<f4", (2,), 0), r"shape \(3,\), but \(2,\) is stated"),
        (("<f4", (), 64), "header_bytes 128, but 64 is stated"),
    ):
        with pytest.raises(UserError, match=told):
            read_arrays(path, raw=RawFormat(np.dtype(stated[0]), *stated[1:]))


def test_a_header_is_not_read_as_values(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(4, "u1"))
    with pytest.raises(UserError, match="is a file of the format npy"):
        read_arrays(tmp_path / "x.npy", raw=RawFormat(np.dtype("u1")), format="raw")
    found = only_array(tmp_path / "x.npy", raw=RawFormat(np.dtype("u1"), (), 130), format="raw")
    assert found.elements == 2


def test_raw_files_of_a_wrong_size(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(11))
    with pytest.raises(UserError, match=r"x\.bin: the file ends 3 bytes after byte 8"):
        read_arrays(path, raw=RawFormat(np.dtype("<f4")))
    with pytest.raises(UserError, match="11 bytes, fewer than the 12"):
        read_arrays(path, raw=RawFormat(np.dtype("<f4"), (), 12))
    with pytest.raises(UserError, match="does not say what it holds"):
        read_arrays(path)
    with pytest.raises(UserError, match="does not say what it holds"):
        read_arrays(path, format="raw")
    path.write_bytes(b"")
    with pytest.raises(UserError, match="empty"):
        read_arrays(path)


def test_files_that_cannot_be_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, told in (("none", "no such file"), ("", "a folder"), ("pipe", "a pipe")):
        with pytest.raises(UserError, match=told):
            read_arrays(tmp_path / name, raw=RawFormat(np.dtype("u1")))


@pytest.mark.slow
@given(st.data())
@settings(deadline=None, max_examples=300)
def test_damaged_headers_are_refused_or_right(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "x.npy"
    dtype = data.draw(dtypes)
    save(path, values_of(dtype, (5, 3)))
    damage(path, data, path.stat().st_size - 15 * dtype.itemsize)
    found = found_or_refused(path)
    if found is None:
        return
    with warnings.catch_warnings(action="ignore"):
        right = np.load(path, max_header_size=1 << 20)
    assert (found.dtype, found.shape) == (right.dtype, right.shape[1:])
    assert elements_of(path, found).tobytes() == right.tobytes()


@pytest.mark.slow
@given(arrays.nested_dtypes(max_leaves=3), st.integers(0, 3))
@settings(deadline=None)
def test_any_dtype_is_read_as_numpy_reads_it_or_refused(tmp_path_factory, dtype, elements):
    path = tmp_path_factory.mktemp("dtypes") / "x.npy"
    save(path, np.zeros(elements, dtype))
    try:
        found = only_array(path)
    except UserError:
        assert np.zeros(1, dtype).nbytes == 0
        return
    assert found.dtype == np.load(path).dtype
    assert found.elements == elements


def test_a_thousand_headers_are_described_quickly(tmp_path):
    paths = [tmp_path / f"part-{number}.npy" for number in range(1000)]
    np.save(paths[0], np.zeros((1, 512), "<f4"))
    content = paths[0].read_bytes()
    for path in paths:
        path.write_bytes(content)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        assert all(only_array(path).elements == 1 for path in paths)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.3, "many times what it takes, to allow for a busy machine"
