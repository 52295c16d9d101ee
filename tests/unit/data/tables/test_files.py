"""Tables are read from files of any kind as they were written, or an error names the file."""

import functools
import gzip
import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from numpy.lib import format as npy
from pyarrow import feather, ipc, parquet

from memtrain.core.errors import UserError
from memtrain.data.tables.files import open_tables
from memtrain.data.tables.source_files import source_files

ROWS = 200_000  # several batches of every kind
COLUMNS = {
    "x": np.linspace(0, 1, ROWS),
    "k": np.arange(ROWS) % 1000,
    "w": np.array(["one", "two", "three"])[np.arange(ROWS) % 3],
}
BLOCK = np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2)


@functools.cache
def csv_bytes():
    lines = [",".join(COLUMNS)]
    lines += [",".join(map(str, row)) for row in zip(*COLUMNS.values(), strict=True)]
    return ("\n".join(lines) + "\n").encode()


def records():
    return np.rec.fromarrays(list(COLUMNS.values()), names=list(COLUMNS)).view(np.ndarray)


def write_npz(path):
    np.savez_compressed(path, **COLUMNS)


def write_csv(path):
    path.write_bytes(csv_bytes())


def write_csv_gz(path):
    # A file may consist of several members, since `cat` joins files in this way.
    content = csv_bytes()
    path.write_bytes(gzip.compress(content[:1000]) + gzip.compress(content[1000:]))


def write_zip(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", csv_bytes())


def write_stream(path):
    table = pa.table(COLUMNS)
    with ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)


def write_one_group(path):
    parquet.write_table(pa.table(COLUMNS), path, row_group_size=ROWS)


WRITERS = {
    "t.npy": lambda path: np.save(path, records()),
    "t.npz": write_npz,
    "t.csv": write_csv,
    "t.csv.gz": write_csv_gz,
    "t.zip": write_zip,
    "t.parquet": write_one_group,
    "t.arrow": write_stream,
    "t.feather": lambda path: feather.write_feather(pa.table(COLUMNS), path),
}


def read(path, columns):
    """Return the columns of all tables of a path, and the number of batches."""
    batches = [
        batch.select(columns)
        for table in open_tables(source_files(str(path)))
        for batch in table.batches(columns)
    ]
    return pa.Table.from_batches(batches).combine_chunks(), len(batches)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_yields_the_chosen_columns_in_batches(tmp_path, name):
    WRITERS[name](tmp_path / name)
    (table,) = open_tables([tmp_path / name])
    assert table.name == str(tmp_path / name) + (":rows.csv" if name == "t.zip" else "")
    assert table.columns == ["x", "k", "w"]
    found, batches = read(tmp_path / name, ["w", "x"])
    assert batches > 1
    assert found.column_names == ["w", "x"]
    assert found["w"].cast(pa.string()).to_pylist() == COLUMNS["w"].tolist()
    assert [float(x) for x in found["x"].to_pylist()] == COLUMNS["x"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_is_cut_short_is_named(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    content = path.read_bytes()
    # A CSV file may end after any row, so this one is cut within a row.
    path.write_bytes(content[: content.rindex(b",")] if name == "t.csv" else content[:-100])
    with pytest.raises(UserError, match=re.escape(str(path))):
        read(path, ["x", "k"])


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_another_kind_than_its_ending_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\xff\xfe neither of them \x00" * 10)
    with pytest.raises(UserError, match=re.escape(str(path))):
        read(path, ["x"])


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_file_is_named(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=re.escape(name)):
        open_tables([tmp_path / name])


def test_all_files_that_cannot_be_opened_are_reported_at_once(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no")
    (tmp_path / "b.npz").write_bytes(b"no")
    with pytest.raises(UserError) as error:
        open_tables(source_files(str(tmp_path)))
    assert len(error.value.problems) == 2


@pytest.mark.parametrize("name", ["t.npz", "t.csv.gz", "t.zip"])
def test_damage_within_packed_bytes_is_noticed(tmp_path, name):
    WRITERS[name](tmp_path / name)
    content = bytearray((tmp_path / name).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1000] = bytes(1000)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        read(tmp_path / name, ["x", "k", "w"])


def test_a_damaged_arrow_file_is_refused_before_it_is_used(tmp_path):
    path = tmp_path / "t.arrow"
    table = pa.table({"w": pa.array(["one", "two", "three"] * 10)})
    with ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    offset = np.array([3, 6, 11], np.int32).tobytes()
    content = path.read_bytes()
    assert content.count(offset) == 1
    path.write_bytes(content.replace(offset, np.array([3, 10**9, 11], np.int32).tobytes()))
    with pytest.raises(UserError, match=r"t\.arrow.*out of bounds"):
        read(path, ["w"])


def test_a_matrix_has_numbered_columns(tmp_path):
    np.save(tmp_path / "m.npy", BLOCK)
    (table,) = open_tables([tmp_path / "m.npy"])
    assert table.columns == ["0", "1"]
    found, batches = read(tmp_path / "m.npy", ["1"])
    assert batches > 1
    np.testing.assert_array_equal(found["1"].to_numpy(), BLOCK[:, 1])


def test_a_vector_is_one_column(tmp_path):
    np.save(tmp_path / "v.npy", np.arange(3))
    assert read(tmp_path / "v.npy", ["0"])[0].to_pydict() == {"0": [0, 1, 2]}


def test_numpy_arrays_of_any_byte_order_and_text(tmp_path):
    rows = np.array([(1.5, -2, b"ab"), (2.5, 3, b"c")], [("x", ">f8"), ("k", ">i2"), ("w", "S2")])
    np.save(tmp_path / "r.npy", rows)
    assert read(tmp_path / "r.npy", ["x", "k", "w"])[0].to_pydict() == {
        "x": [1.5, 2.5],
        "k": [-2, 3],
        "w": [b"ab", b"c"],
    }


def write_block_npy(path):
    rows = np.zeros(ROWS, [("pixels", "<f4", (2,)), ("y", "<i8")])
    rows["pixels"] = BLOCK
    np.save(path, rows)


def block_table():
    return pa.table({"pixels": pa.FixedSizeListArray.from_arrays(pa.array(BLOCK.reshape(-1)), 2)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("b.npy", write_block_npy),
        ("b.npz", lambda path: np.savez(path, pixels=BLOCK)),
        ("b.parquet", lambda path: parquet.write_table(block_table(), path)),
        ("b.feather", lambda path: feather.write_feather(block_table(), path)),
    ],
)
def test_a_block_of_numbers_is_one_column_of_lists(tmp_path, name, write):
    write(tmp_path / name)
    found, batches = read(tmp_path / name, ["pixels"])
    assert batches > 1
    assert found["pixels"].type == pa.list_(pa.float32(), 2)
    assert found["pixels"].to_pylist() == BLOCK.tolist()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2), [("x", "f4")]), r"records in an array of shape \(2, 2\)"),
        (np.asfortranarray(np.zeros((3, 2))), "Fortran"),
        (np.array(1.0), "single value"),
        (np.array([(1j,)], [("0", "c8")]), "'0': it is of the type complex64"),
        (np.zeros(2, [("0", "f4", (2, 0))]), r"'0': it has rows of shape \(2, 0\), which hold no"),
    ],
)
def test_arrays_that_are_no_table_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.npy", ["0"])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.asfortranarray(np.zeros((3, 2))), "Fortran"),
        (np.array(1.0), r"shape \(\)"),
        (np.array([{}]), "Python objects"),
        (np.zeros(2, [("x", "f4")]), "records"),
    ],
)
def test_members_that_are_no_column_are_refused(tmp_path, array, message):
    np.savez(tmp_path / "a.npz", fine=np.arange(2), a=array)
    with pytest.raises(UserError, match=f"a.npz:a: .*{message}"):
        read(tmp_path / "a.npz", ["a"])


def test_arrays_of_any_shape_have_columns_of_lists(tmp_path):
    array = np.arange(24.0).reshape(2, 3, 2, 2)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array)
    assert read(tmp_path / "a.npy", ["1"])[0]["1"].to_pylist() == array[:, 1].tolist()
    assert read(tmp_path / "a.npz", ["x"])[0]["x"].to_pylist() == array.tolist()


def test_a_file_of_many_fields_is_read(tmp_path):
    dtype = np.dtype([(f"a_column_{number:04d}", "<f4") for number in range(500)])
    np.save(tmp_path / "a.npy", np.ones(4, dtype))
    assert read(tmp_path / "a.npy", ["a_column_0499"])[0]["a_column_0499"].to_pylist() == [1] * 4


def test_a_header_that_numpy_cannot_read_back_is_explained(tmp_path):
    npy.open_memmap(tmp_path / "a.npy", "w+", "f4", (np.int64(4), 3)).flush()
    if b"np.int" not in (tmp_path / "a.npy").read_bytes()[:200]:
        pytest.skip("this version of NumPy writes plain integers")
    with pytest.raises(UserError, match=r"np\.int64\(4\), which NumPy itself cannot read back"):
        read(tmp_path / "a.npy", ["0"])


def test_a_pickle_is_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"any": "object"}]))
    with pytest.raises(UserError, match="Python objects"):
        read(tmp_path / "a.npy", ["0"])


def test_members_must_be_of_one_length(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.arange(4))
    with pytest.raises(UserError, match="x 3, y 4"):
        read(tmp_path / "a.npz", ["x", "y"])


def test_csv_members_of_a_zip_are_tables_in_name_order(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        for name in ("b.csv", "a.CSV", "notes.txt", "__MACOSX/._a.csv"):
            archive.writestr(name, f"x\n{name}\n")
    assert read(tmp_path / "t.zip", ["x"])[0].to_pydict() == {"x": [b"a.CSV", b"b.csv"]}


def test_a_zip_without_csv_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("notes.md", "x")
        archive.writestr("more.zip", "x")
    with pytest.raises(UserError, match=r"no file that ends in \.csv.*Unpack more\.zip"):
        open_tables([tmp_path / "t.zip"])


# Memory

MEASURE = """
import re, sys
from pathlib import Path
import import_data

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

before = peak()
import_data.main(sys.argv[1:])
print(peak() - before)
"""

LARGE_ROWS, LARGE_COLUMNS = 1_000_000, 20


def large_table():
    column = np.random.default_rng(0).random(LARGE_ROWS)
    return {str(number): column + number for number in range(LARGE_COLUMNS)}


def write_large_csv(path):
    line = b",".join(b"0.1234567" for _ in range(LARGE_COLUMNS)) + b"\n"
    header = ",".join(map(str, range(LARGE_COLUMNS))).encode() + b"\n"
    path.write_bytes(header + line * 800_000)


def write_one_batch(path):
    table = pa.table(large_table())
    with ipc.new_file(path, table.schema) as writer:
        writer.write_batch(table.combine_chunks().to_batches()[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", write_large_csv),
        ("t.npy", lambda path: np.save(path, np.column_stack(list(large_table().values())))),
        ("t.npz", lambda path: np.savez(path, **large_table())),
        (
            "t.parquet",
            lambda path: parquet.write_table(
                pa.table(large_table()), path, row_group_size=LARGE_ROWS, compression="none"
            ),
        ),
        ("t.arrow", write_one_batch),
    ],
)
def test_memory_of_an_import_does_not_grow_with_the_file(tmp_path, repository, name, write):
    path = tmp_path / name
    write(path)
    assert path.stat().st_size > 150 << 20
    columns = list(map(str, range(LARGE_COLUMNS)))
    keys = json.dumps({"path": str(path), "features": columns[1:], "target": columns[:1]})
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, "--settings", keys, "--data", "d.npy", "--source", "s"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository / "scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.splitlines()[-1]) < 120 << 20
