"""Arrow files and streams: columns that pyarrow wrote are found where they lie; damage is named."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, ipc

from memtrain.core.errors import UserError
from memtrain.data.formats.file_formats import read_array, read_arrays
from memtrain.data.formats.raw import RawFormat
from tests.unit.data.formats.found import damage, elements_of

DTYPES = [*(f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)), "i1", "u1"]
DTYPES += ["<f2", "<f4", "<f8", "<M8[us]", "<m8[s]"]


def column_of(values):
    """Return an Arrow array of values (rows, *shape): lists of a fixed size for every axis."""
    flat = pa.array(values.reshape(-1))
    for length in reversed(values.shape[1:]):
        flat = pa.FixedSizeListArray.from_arrays(flat, length)
    return flat


def write(path, table, kind, rows_per_batch=None):
    if kind == "feather":
        feather.write_feather(table, path, compression="uncompressed", chunksize=rows_per_batch)
        return path
    new = ipc.new_file if kind == "file" else ipc.new_stream
    with new(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows_per_batch)
    return path


kinds = st.sampled_from(["file", "stream", "feather"])
shapes = st.lists(st.integers(1, 3), max_size=2).map(tuple)


@given(
    st.lists(st.tuples(st.sampled_from(DTYPES), shapes), min_size=1, max_size=4),
    st.integers(0, 12),
    st.integers(0, 4),
    st.integers(1, 12),
    kinds,
)
@settings(deadline=None)
def test_columns_are_found(tmp_path_factory, columns, rows, left_out, rows_per_batch, kind):
    path = tmp_path_factory.mktemp("arrow") / "x.arrow"
    values = {
        f"c{number}": np.arange(rows * int(np.prod(shape))).astype(dtype).reshape(rows, *shape)
        for number, (dtype, shape) in enumerate(columns)
    }
    table = pa.table({name: column_of(one) for name, one in values.items()})
    # A slice has offsets into its buffers.
    write(path, table.slice(left_out), kind, rows_per_batch)
    found = read_arrays(path)
    assert list(found) == list(values)
    for name, array in found.items():
        kept = values[name][left_out:]
        if kept.dtype.kind in "mM":
            kept = kept.view("<i8")
        assert (array.dtype, array.shape) == (kept.dtype, kept.shape[1:])
        assert np.array_equal(elements_of(path, array), kept)
        assert len(array.parts) == -(-len(kept) // rows_per_batch)


@pytest.mark.parametrize(
    ("kind", "dtype", "unit"),
    [
        (pa.date32(), "<i4", "days since 1970"),
        (pa.date64(), "<i8", "ms since 1970"),
        (pa.time32("s"), "<i4", "s since midnight"),
        (pa.time64("ns"), "<i8", "ns since midnight"),
        (pa.timestamp("ms"), "<i8", "ms since 1970"),
        (pa.timestamp("us", "Europe/Berlin"), "<i8", "us since 1970 UTC"),
        (pa.duration("s"), "<i8", "s"),
    ],
)
def test_dates_and_times_are_their_integers(tmp_path, kind, dtype, unit):
    integers = np.array([0, 86_400_000, 172_800_000], dtype) // (10_000 if dtype == "<i4" else 1)
    column = pa.Array.from_buffers(kind, 3, [None, pa.py_buffer(integers)])
    path = write(tmp_path / "x", pa.table({"when": column}), "file")
    found = read_array(path, "when")
    assert (found.dtype, found.unit) == (np.dtype(dtype), unit)
    assert np.array_equal(elements_of(path, found), integers)


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_tensors_of_one_shape(tmp_path, kind):
    values = np.arange(24, dtype="<f4").reshape(4, 2, 3)
    table = pa.table({"x": pa.FixedShapeTensorArray.from_numpy_ndarray(values)})
    path = write(tmp_path / "x", table, kind)
    found = read_array(path)
    assert found.shape == (2, 3)
    assert np.array_equal(elements_of(path, found), values)


def test_columns_that_are_not_read_are_told_when_they_are_asked_for(tmp_path):
    numbers = pa.array([1, 2, 3], pa.int32())
    lists = pa.array([[1, 2], [3, None]], pa.list_(pa.int8(), 2))
    turned = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.int8(), (1, 2), permutation=[1, 0]),
        pa.array([[1, 2]] * 3, pa.list_(pa.int8(), 2)),
    )
    names = ["rows", "text", "flag", "gap", "gaps", "words", "days", "turned", "two", "two"]
    columns = [
        *(numbers, pa.array(["a", "b", "c"]), pa.array([True, False, True])),
        *(pa.array([1, None, 3]), pa.concat_arrays([lists, lists[:1]])),
        *(pa.array(["a", "b", "a"]).dictionary_encode(), numbers.cast(pa.decimal128(12)), turned),
        *(numbers, numbers),
    ]
    table = pa.Table.from_arrays(columns, names)
    for kind in ("file", "stream"):
        path = write(tmp_path / "x", table, kind)
        assert list(read_arrays(path)) == ["rows"]
        for name, told in (
            ("text", "its type is string; only numbers"),
            ("flag", "its type is bool, and Arrow packs eight .*uint8"),
            ("gap", r"it has missing values \(nulls\)"),
            ("gaps", r"it has missing values \(nulls\)"),
            ("words", "its type is dictionary"),
            ("days", "its type is decimal128"),
            ("turned", "its type is extension"),
            ("two", "several columns have this name"),
        ):
            with pytest.raises(UserError, match=rf"x: the array '{name}' is not read: {told}"):
                read_array(path, name)


def test_a_gap_in_a_later_batch_is_found(tmp_path):
    table = pa.table({"x": pa.array([1, 2, 3, None], pa.int64())})
    with pytest.raises(UserError, match="missing values"):
        read_arrays(write(tmp_path / "x", table, "stream", 2))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_columns_are_refused(tmp_path, compression):
    table = pa.table({"x": np.zeros(1000)})
    feather.write_feather(table, tmp_path / "x", compression=compression)
    with pytest.raises(UserError, match=r"they are compressed.* without compression"):
        read_arrays(tmp_path / "x")


def test_what_describes_itself_is_not_stated(tmp_path):
    for kind in ("file", "stream"):
        path = write(tmp_path / "x", pa.table({"x": np.arange(8)}), kind)
        with pytest.raises(UserError, match="describes its arrays itself"):
            read_arrays(path, raw=RawFormat(np.dtype("u1")))
        with pytest.raises(UserError, match="is a file of the format arrow"):
            read_arrays(path, raw=RawFormat(np.dtype("u1")), format="raw")


def test_a_stream_has_to_end(tmp_path):
    path = write(tmp_path / "x", pa.table({"x": np.arange(8)}), "stream", 4)
    content = path.read_bytes()
    for changed in (content[:-8], content * 2, content + b"x"):
        path.write_bytes(changed)
        with pytest.raises(UserError, match="this Arrow file is damaged"):
            read_arrays(path)


def test_other_files_are_no_arrow_files(tmp_path):
    for content in (b"", b"ARROW1\0\0", b"\xff" * 8, b"text" * 9):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(UserError, match="x: "):
            read_arrays(tmp_path / "x", format="arrow")


@pytest.mark.slow
@given(st.data(), kinds)
@settings(deadline=None, max_examples=400)
def test_damage_is_refused_or_read_as_pyarrow_reads_it(tmp_path_factory, data, kind):
    path = tmp_path_factory.mktemp("damaged") / "x.arrow"
    table = pa.table(
        {"a": np.arange(6, dtype="<i2"), "b": column_of(np.arange(12.0).reshape(6, 2))}
    )
    write(path, table, kind, 4)
    damage(path, data)
    try:
        found = read_arrays(path, format="arrow")
    except UserError:
        return
    with pa.memory_map(str(path)) as source:
        right = (ipc.open_stream if kind == "stream" else ipc.open_file)(source).read_all()
        for name, array in found.items():
            values = elements_of(path, array)
            expected = right[name].combine_chunks()
            while pa.types.is_fixed_size_list(expected.type):
                expected = expected.flatten()
            assert expected.to_numpy(zero_copy_only=False).tobytes() == values.tobytes()
