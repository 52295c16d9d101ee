"""Features and target in two files are put side by side, row by row, or refused."""

import numpy as np
import pytest

from memtrain.config.dataset import ImportSettings
from memtrain.config.parsing import parse_settings
from memtrain.core.errors import UserError
from memtrain.data.record_file import create
from memtrain.data.tables.importer import TableImport
from memtrain.data.tables.source_rows import SourceRows
from tests.unit.data.test_import_data import run_import


def imported(tmp_path, x="X.npy", y="y.npy", **keys):
    paths = {"features": str(tmp_path / x), "target": str(tmp_path / y)}
    return run_import_of(tmp_path, paths, **({"features": ":", "target": ":"} | keys))


def run_import_of(tmp_path, path, **keys):
    rows = TableImport(parse_settings(ImportSettings, {"path": path, **keys}))
    rows.survey()
    (tmp_path / "out").mkdir(exist_ok=True)
    with create(tmp_path / "out" / "data.npy", rows.dtype, rows.rows) as writer:
        rows.write(writer)
    return np.load(tmp_path / "out" / "data.npy"), rows.source()


ROWS = 150_000


def test_columns_of_the_same_name_in_both_files(tmp_path):
    x = np.arange(3.0 * ROWS).reshape(ROWS, 3) % 1000
    np.save(tmp_path / "X.npy", x)
    np.save(tmp_path / "y.npy", np.arange(ROWS) % 7)
    keys = {"target": [0], "features": [2, 0], "dtypes": {"target": "int64", "0": "float64"}}
    records, source = imported(tmp_path, **keys)
    np.testing.assert_array_equal(records["features_float32"][:, 0], x[:, 2])
    np.testing.assert_array_equal(records["features_float64"][:, 0], x[:, 0])
    np.testing.assert_array_equal(records["target"][:, 0], np.arange(ROWS) % 7)
    assert (source.features, source.target) == (["2", "0"], ["target:0"])
    assert [file["path"].rsplit("/", 1)[1] for file in source.origin["files"]] == [
        "X.npy",
        "y.npy",
    ]


@pytest.mark.parametrize("targets", [(3, 5, 4), (12,), (7, 5)])
def test_files_belong_together_one_by_one_or_end_to_end(tmp_path, targets):
    x = np.arange(24.0).reshape(12, 2)
    for number, part in enumerate(np.split(x, [3, 8])):
        np.savez(tmp_path / f"X{number}.npz", a=part[:, 0], b=part[:, 1])
    ends = np.cumsum(targets)
    for number, (rows, end) in enumerate(zip(targets, ends, strict=True)):
        lines = [f"{value:g}" for value in x[end - rows : end, 0]]
        (tmp_path / f"y{number}.csv").write_text("\n".join(["y", *lines]) + "\n")
    records, _ = imported(tmp_path, "X*.npz", "y*.csv")
    np.testing.assert_array_equal(records["features"], x)
    np.testing.assert_array_equal(records["target"][:, 0], x[:, 0])


@pytest.mark.parametrize("rows", [4, 6, 0])
def test_different_numbers_of_rows_are_refused(tmp_path, rows):
    np.save(tmp_path / "X.npy", np.zeros((5, 2)))
    np.save(tmp_path / "y.npy", np.zeros(rows))
    with pytest.raises(UserError, match=rf"X\.npy has 5 rows, and .*y\.npy has {rows}\."):
        imported(tmp_path)


def test_each_side_has_its_own_columns_and_places(tmp_path):
    (tmp_path / "X.csv").write_text("a,b\n1,2\n\n3,no\n")
    (tmp_path / "y1.csv").write_text("y\n1\n")
    (tmp_path / "y2.csv").write_text("y\nnone\n")
    with pytest.raises(UserError) as error:
        imported(tmp_path, "X.csv", "y*.csv", features=["a", "y"], target="a")
    assert "there is no column 'y' (features)" in str(error.value)
    assert "there is no column 'a' (target)" in str(error.value)
    with pytest.raises(UserError) as error:
        imported(tmp_path, "X.csv", "y*.csv")
    assert "X.csv, line 4 (row 1), column 'b': found the text 'no'" in str(error.value)
    assert "y2.csv, line 2 (row 0))." in str(error.value)


@pytest.mark.parametrize(
    "path", [{"features": "X.npy"}, {"features": "X.npy", "target": 1}, {"x": "X.npy"}, 5, ""]
)
def test_paths_are_checked(path):
    with pytest.raises(UserError, match="path: found"):
        parse_settings(ImportSettings, {"path": path, "features": ":", "target": ":"})


def test_rows_are_found_in_both_files(tmp_path):
    np.save(tmp_path / "X.npy", np.array([[1.0, 2], [np.nan, 4], [5, 6]]))
    np.save(tmp_path / "y.npy", np.array([7.0, 8, 9]))
    _, source = imported(tmp_path, missing={"0": "drop"})
    rows = SourceRows(tmp_path / "out" / "data.npy", source)
    assert rows.columns == ["0", "1", "target:0"]
    [batch] = rows.batches(["target:0", "1"])
    assert batch.places.tolist() == [0, -1, 1]
    assert batch.content.column("target:0").to_pylist() == [7, 8, 9]
    assert rows.place_of(1, "0") == f"{tmp_path}/X.npy, row 2"
    assert rows.place_of(1, "target:0") == f"{tmp_path}/y.npy, row 2"


def test_the_command_line_takes_two_paths(tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((5, 2)))
    np.save(tmp_path / "y.npy", np.arange(5.0))
    records, _ = run_import(
        {"features": str(tmp_path / "X.npy"), "target": str(tmp_path / "y.npy")},
        tmp_path,
        features="0:2",
        target=":",
    )
    assert records["target"][:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_file_of_both_is_no_file_of_each(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UserError, match=r"t\.csv holds features and target.*Write `path: "):
        imported(tmp_path, "t.csv", "t.csv", target="y")
