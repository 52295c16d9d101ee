"""Record files: written whole or not at all, read by NumPy, and refused where damaged."""

import errno
import os
import resource
import stat
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.core.errors import UserError
from memtrain.data.record_file import (
    create,
    dtype_from_json,
    dtype_to_json,
    map_rows,
    read_record_layout,
    record_dtype,
)

dtypes = st.sampled_from(
    [
        np.dtype("<f4"),
        np.dtype(">f8"),
        np.dtype("u1"),
        record_dtype(features=("<f4", 3), target=("<i8", 1)),
        np.dtype([("image", "u1", (2, 2)), ("label", "<i2")]),
    ]
)


@pytest.mark.slow
@given(dtypes, st.integers(0, 40), st.integers(1, 5), st.data())
@settings(deadline=None)
def test_numpy_and_memtrain_read_what_was_written(tmp_path_factory, dtype, rows, width, data):
    path = tmp_path_factory.mktemp("records") / "rows.npy"
    shape = () if dtype.names else (width,)
    values = np.zeros((rows, *shape), dtype)
    values.view(np.uint8)[...] = np.random.default_rng(rows).integers(
        0, 255, values.view(np.uint8).shape, np.uint8
    )
    middle = data.draw(st.integers(0, rows))
    with create(path, dtype, rows, shape) as writer:
        writer.write(middle, values[middle:])
        writer.write(0, values[:middle])
    layout = read_record_layout(path)
    assert layout.offset == 4096
    assert layout.shape == values.shape
    for found in (np.load(path, mmap_mode="r"), map_rows(path, layout)):
        assert found.dtype == dtype
        assert found.tobytes() == values.tobytes()
    assert dtype_from_json(dtype_to_json(dtype)) == dtype


def test_names_of_fields_have_any_letters(tmp_path):
    values = np.array([(1, 2), (3, 4)], [("Größe", "<i2"), ("日本", "<i4")])
    with create(tmp_path / "rows.npy", values.dtype, 2) as writer:
        writer.write(0, values)
    assert np.array_equal(np.load(tmp_path / "rows.npy"), values)
    assert read_record_layout(tmp_path / "rows.npy").dtype == values.dtype


def test_any_npy_file_is_read(tmp_path):
    array = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "plain.npy", array)
    layout = read_record_layout(tmp_path / "plain.npy")
    assert np.array_equal(map_rows(tmp_path / "plain.npy", layout), array)


def test_the_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "rows.npy"
    path.write_bytes(b"before")

    def fail_halfway():
        with create(path, np.dtype("<f4"), 10, (2,)) as writer:
            writer.write(0, np.zeros((5, 2), "<f4"))
            assert path.read_bytes() == b"before"
            raise RuntimeError("power failure")

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["rows.npy"]


def test_other_users_can_read_the_file(tmp_path):
    mask = os.umask(0o022)
    try:
        with create(tmp_path / "rows.npy", np.dtype("<f4"), 1, (1,)):
            pass
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "rows.npy").stat().st_mode) == 0o644


def test_a_full_disk_is_an_error_before_the_first_row(tmp_path):
    rows = 10**15
    with (
        pytest.raises(UserError, match=r"rows\.npy: 8,000,000,000,004,096 bytes are needed and"),
        create(tmp_path / "rows.npy", np.dtype("<f8"), rows, (1,)),
    ):
        pytest.fail("a row could be written")
    assert os.listdir(tmp_path) == []


def test_a_limit_on_file_sizes_is_an_error_before_the_first_row(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with (
            pytest.raises(UserError, match=os.strerror(errno.EFBIG)),
            create(tmp_path / "rows.npy", np.dtype("<f8"), 1 << 20, (1,)),
        ):
            pytest.fail("a row could be written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("change", "state"), [(-1, "cut short"), (1, "larger")])
def test_a_file_of_another_size_is_refused(tmp_path, change, state):
    path = tmp_path / "rows.npy"
    with create(path, np.dtype("<f4"), 10, (2,)):
        pass
    layout = read_record_layout(path)
    os.truncate(path, path.stat().st_size + change)
    for look in (lambda: read_record_layout(path), lambda: map_rows(path, layout)):
        with pytest.raises(UserError, match=f"4,176 bytes, but the file has .*{state}"):
            look()


def test_files_that_hold_no_rows_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(UserError, match="no such file"):
        read_record_layout(path)
    path.write_text("text")
    with pytest.raises(UserError, match=r"not a \.npy file"):
        read_record_layout(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="Python objects"):
        read_record_layout(path)
    np.save(path, np.zeros(3))
    path.write_bytes(path.read_bytes().replace(b"(3,)", b"(3, "))
    with pytest.raises(UserError, match=r"not a \.npy file"):
        read_record_layout(path)
    with warnings.catch_warnings(action="ignore"):
        np.save(path, np.zeros(3, [("日本", "<f4")]))
    with pytest.raises(UserError, match=r"version 3\.0"):
        read_record_layout(path)
    np.save(path, np.float32(3))
    with pytest.raises(UserError, match="single value"):
        read_record_layout(path)
    np.save(path, np.asfortranarray(np.zeros((3, 4))))
    with pytest.raises(UserError, match="Fortran"):
        read_record_layout(path)
