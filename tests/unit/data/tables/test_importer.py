"""How settings choose columns, and how the two passes treat missing values and changed files."""

import os

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from memtrain.config.dataset import ImportSettings
from memtrain.core.errors import UserError
from memtrain.data.record_file import create
from memtrain.data.tables.importer import TableImport

XY = {"features": ["x"], "target": ["y"]}
WY = {"features": ["w"], "target": ["y"], "categories": ["w"]}


@pytest.fixture
def import_table(tmp_path):
    """Return a function that imports a table, or the text of a CSV file."""

    def import_table(table, **keys):
        path = tmp_path / ("t.csv" if isinstance(table, str) else "t.parquet")
        path.write_text(table) if isinstance(table, str) else parquet.write_table(table, path)
        rows = TableImport(ImportSettings(path=str(path), **keys))
        rows.survey()
        with create(tmp_path / "data.npy", rows.dtype, rows.rows) as writer:
            rows.write(writer)
        return np.load(tmp_path / "data.npy"), rows.source()

    return import_table


def test_a_feature_of_words_is_written_as_codes(import_table):
    records, source = import_table("w,y\nb,0.5\na,1.5\nNA,2.5\n", **WY)
    assert records.dtype == np.dtype([("features_words", "<i8", (1,)), ("target", "<f4", (1,))])
    words = source.columns[0].words
    assert list(words) == ["NA", "a", "b"]
    assert records["features_words"].tolist() == [[words["b"]], [words["a"]], [words["NA"]]]
    assert records["target"].tolist() == [[0.5], [1.5], [2.5]]
    assert source.features == ["w"]


def test_a_column_whose_name_is_empty_is_one_like_others(import_table):
    records, source = import_table(",y\n3,0.5\n4,1.5\n", features=[""], target=["y"])
    assert records["features"].tolist() == [[3.0], [4.0]]
    assert source.features == [""]


@pytest.mark.parametrize("key", ["target", "own"])
def test_a_feature_called_target_has_the_key_for_itself(import_table, key):
    table = "target,y\n1,2\n,3\n2,\n"
    columns = {"features": ["target"], "target": ["y"]}
    missing = {"target": "keep", "y": "drop"}
    types = {"target": "float64"} if key == "target" else {"y": "float64"}
    records, _ = import_table(table, **columns, missing=missing, dtypes=types)
    assert records["target"].tolist() == [[2.0], [3.0]]
    fields = {name: records.dtype[name].base.name for name in ("features", "target")}
    doubles = {"features"} if key == "target" else {"target"}
    assert {name for name, kind in fields.items() if kind == "float64"} == doubles


def test_columns_keep_their_own_types_side_by_side(import_table):
    table = pa.table(
        {
            "a": [0.1, 0.2],
            "id": [2**62 + 1, 2**62 + 2],
            "w": ["x", None],
            "b": [1.5, 2.5],
            "n": pa.array([7, None], pa.int32()),
            "y": [1.0, 2.0],
        }
    )
    features = ["a", "id", "w", "b", "n"]
    records, source = import_table(
        table,
        features=features,
        target=["y"],
        categories=["w"],
        missing="keep",
        dtypes={"a": "float64", "id": "int64", "n": "int64"},
    )
    assert records["features_float64"].tolist() == [[0.1], [0.2]]
    assert records["features_float32"].tolist() == [[1.5], [2.5]]
    assert records["features_int64"].tolist() == [[2**62 + 1, 7], [2**62 + 2, 0]]
    assert records["features_words"][1].tolist() == [0]
    assert records["features_present"].tolist() == [[True, True], [True, False]]
    places = {one.name: (one.field, one.position, one.present) for one in source.columns}
    assert places["n"] == ("features_int64", 1, 1)
    assert places["b"] == ("features_float32", 0, None)
    assert places["y"] == ("target", 0, None)
    assert source.features == features


@pytest.mark.parametrize(("kind", "is_class"), [(pa.int8(), True), (pa.bool_(), True)])
def test_a_target_that_is_an_integer_in_the_table_is_a_class(import_table, kind, is_class):
    table = pa.table({"x": [1.0, 2], "y": pa.array([1, 0]).cast(kind)})
    assert import_table(table, **XY)[1].task == "classification"
    assert import_table(table, **XY, dtypes={"y": "float32"})[1].task == "regression"


def test_a_target_of_words_becomes_a_class(import_table):
    records, source = import_table("x,y\n1,no\n2,yes\n3,maybe\n", **XY, categories=["y"])
    assert records["target"].tolist() == [[1], [2], [0]]
    assert records.dtype["target"].base == np.dtype("<i8")
    assert (source.task, source.classes) == ("classification", 3)
    assert source.class_names == ["maybe", "no", "yes"]
    assert source.target == ["y"]


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
@pytest.mark.parametrize("name", ["y", "target"])
def test_a_target_of_integers_is_a_class(import_table, name, dtype):
    records, source = import_table("x,y\n1,0\n2,1\n3,0\n", **XY, dtypes={name: dtype})
    assert records.dtype["target"].base == np.dtype(dtype)
    assert (source.task, source.classes, source.class_names) == ("classification", 2, None)


def test_a_class_keeps_all_of_its_digits(import_table):
    records, source = import_table(
        "x,y\n1,9007199254740993\n2,\n", **XY, dtypes={"y": "int64"}, missing="drop"
    )
    assert records["target"].tolist() == [[0]]
    assert source.classes == 1
    assert source.class_names == [str(2**53 + 1)]


@pytest.mark.parametrize(
    ("dtypes", "features", "target"),
    [
        ({}, "<f4", "<f4"),
        ({"features": "int16"}, "<i2", "<f4"),
        ({"features": "int16", "b": "int16", "target": "float16"}, "<i2", "<f2"),
        ({"a": "uint8", "b": "uint8", "c": "uint8"}, "|u1", "<f4"),
    ],
)
def test_the_type_of_a_column_overrides_that_of_its_field(import_table, dtypes, features, target):
    keys = {"features": ["a", "b", "c"], "target": ["y"], "dtypes": dtypes}
    records, _ = import_table("a,b,c,y\n1,0,1,1\n", **keys)
    assert records.dtype == np.dtype([("features", features, (3,)), ("target", target, (1,))])
    assert records["features"].tolist() == [[1, 0, 1]]


@pytest.mark.slow
def test_wide_rows_are_written_in_pieces(import_table):
    wide = np.random.default_rng(0).normal(size=(8000, 1000)).astype(np.float32)
    x = pa.FixedSizeListArray.from_arrays(wide.reshape(-1), 1000)
    records, _ = import_table(pa.table({"x": x, "y": np.arange(8000.0)}), **XY)
    np.testing.assert_array_equal(records["features"], wide)
    np.testing.assert_array_equal(records["target"][:, 0], np.arange(8000))


@pytest.mark.parametrize("missing", ["error", "keep"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_blank_lines_are_no_rows(import_table, dtype, missing):
    text = "\n\nx,y\n1,1\n" + "\n" * (4 << 20) + "2,2\n\n"
    records, _ = import_table(text, **XY, dtypes={"target": dtype}, missing=missing)
    assert records["features"].tolist() == [[1], [2]]


GAPS = "a,b,w,y\n1,,p,1\n2,4,,2\n3,8,q,3\n,6,p,4\n,6,p,\n"


def test_rows_with_missing_values_are_dropped_and_counted(import_table):
    keys = {"features": ["a", "b", "w"], "target": ["y"], "categories": ["w"]}
    records, source = import_table(GAPS, **keys, missing="drop")
    assert records["features_float32"].tolist() == [[3, 8]]
    # Words that occur in dropped rows alone are none of the category.
    assert list(source.columns[2].words) == ["q"]
    assert (source.origin["rows_read"], source.origin["rows_dropped"]) == (5, 4)


def test_missing_numbers_stay_missing(import_table):
    text = "a,b,w,y\n1,,p,1\n2,4,,2\nNA,8,q,3\n"
    keys = {"features": ["a", "b", "w"], "target": ["y"], "categories": ["w"]}
    records, source = import_table(text, **keys, missing="keep")
    np.testing.assert_array_equal(records["features_float32"], [[1, np.nan], [2, 4], [np.nan, 8]])
    words = source.columns[2].words
    assert records["features_words"][:, 0].tolist() == [words["p"], 0, words["q"]]
    assert source.origin["missing"] == {"a": 1, "b": 1, "w": 1}
    assert source.origin["rows_dropped"] == 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_all_missing_numbers_are_the_same_bytes(import_table, dtype):
    kinds = np.array([0x7FF8000000000000, 0xFFF8000000000001, 0x7FF4000000000000], np.uint64)
    table = pa.table({"x": pa.array(kinds.view(np.float64)), "y": np.zeros(3)})
    records, _ = import_table(table, **XY, missing="keep", dtypes={"x": dtype})
    assert records["features"].tobytes() == 3 * np.array(np.nan, dtype).tobytes()


def test_each_column_has_its_own_policy(import_table):
    text = "a,b,y\n1,,1\n,4,2\n3,8,\n"
    keys = {"features": ["a", "b"], "target": ["y"]}
    policies = {"features": "keep", "b": "drop", "target": "drop"}
    records, source = import_table(text, **keys, missing=policies)
    np.testing.assert_array_equal(records["features"], [[np.nan, 4]])
    assert source.origin["missing"] == {"a": 1}
    assert source.origin["rows_dropped"] == 2


def test_every_number_of_a_block_may_be_missing(import_table):
    x = pa.array([[1, 2], None, [3, float("nan")], [8, 10]], pa.list_(pa.float32(), 2))
    table = pa.table({"x": x, "y": [1.0, 2, 3, 4]})
    nan = np.nan
    records, _ = import_table(table, **XY, missing="keep")
    np.testing.assert_array_equal(records["features"], [[1, 2], [nan, nan], [3, nan], [8, 10]])
    records, _ = import_table(table, **XY, missing="drop")
    assert records["features"].tolist() == [[1, 2], [8, 10]]


def test_the_first_missing_value_of_many_rows_is_named(import_table):
    x = np.arange(200_000.0)
    x[[70_000, 70_005, 190_000]] = np.nan
    with pytest.raises(UserError, match=r"'x' has missing values \(3, the first in .*row 70,000\)"):
        import_table(pa.table({"x": x, "y": np.zeros(200_000)}), **XY)


@pytest.fixture
def threads_of_arrow():
    before = pa.cpu_count()
    yield pa.set_cpu_count
    pa.set_cpu_count(before)


def test_many_rows_keep_their_order_on_any_number_of_threads(
    tmp_path, import_table, threads_of_arrow
):
    rows = 300_000
    table = pa.table({"x": np.arange(rows), "y": np.arange(rows) % 7})
    csv.write_csv(table, tmp_path / "text.csv")
    found = []
    for threads in (1, 4):
        threads_of_arrow(threads)
        for content in (table, (tmp_path / "text.csv").read_text()):
            found.append(import_table(content, **XY, dtypes={"x": "int32", "y": "int8"})[0])
    assert len({records.tobytes() for records in found}) == 1
    np.testing.assert_array_equal(found[0]["features"][:, 0], np.arange(rows))


@pytest.mark.parametrize(
    "text",
    [
        "x,w,y\n1,a,1\n2,b,1\n3,a,1\n",  # a row more
        "x,w,y\n1,a,1\n",  # a row less
        "x,w,y\n1,a,1\n2,c,1\n",  # another word
        "x,w,y\n1,a,1\n2,b,p\n",  # text in a column of numbers
        "x,w,y\n1,a,1\n2,b,7\n",  # another number, and nothing else
        None,  # no file
    ],
)
def test_files_that_change_between_the_passes(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text("x,w,y\n1,a,1\n2,b,1\n")
    keys = {"features": ["x", "w"], "target": ["y"], "categories": ["w"]}
    rows = TableImport(ImportSettings(path=str(path), **keys))
    rows.survey()
    path.write_text(text) if text else path.unlink()
    with (
        pytest.raises(UserError, match=r"changed while|No such file"),
        create(tmp_path / "data.npy", rows.dtype, rows.rows) as writer,
    ):
        rows.write(writer)
    assert not [name for name in os.listdir(tmp_path) if name != "t.csv"]


def test_a_file_with_fewer_rows_is_noticed_where_size_and_time_are_the_same(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n1,1\n2,2\n")
    before = path.stat()
    rows = TableImport(ImportSettings(path=str(path), **XY))
    rows.survey()
    path.write_text("x,y\n1,1\n\n\n\n\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    with (
        pytest.raises(UserError, match="changed while"),
        create(tmp_path / "data.npy", rows.dtype, rows.rows) as writer,
    ):
        rows.write(writer)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_that_is_replaced_is_noticed_where_size_and_time_are_the_same(tmp_path, in_place):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n1,1\n2,2\n")
    before = path.stat()
    rows = TableImport(ImportSettings(path=str(path), **XY))
    rows.survey()
    other = path if in_place else tmp_path / "other.csv"
    other.write_text("x,y\n5,1\n7,2\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with (
        pytest.raises(UserError, match="changed while"),
        create(tmp_path / "data.npy", rows.dtype, rows.rows) as writer,
    ):
        rows.write(writer)
    assert os.listdir(tmp_path) == ["t.csv"]
