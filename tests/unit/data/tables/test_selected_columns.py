"""Columns are selected by name, pattern, position, type, or as all but some."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.unit.data.test_import_data import refusal, run_import

COLUMNS = ["id", "p_1", "p_2", "word", "p_3", "flag", "y", "p*"]


@pytest.fixture(params=["t.csv", "t.parquet"])
def table(request, tmp_path):
    """Return the path of a table with columns of several types."""
    columns = {
        "id": [7, 8],
        "p_1": [0.5, 1.5],
        "p_2": [2, 3],
        "word": ["a", "b"],
        "p_3": [4.0, 5.0],
        "flag": [True, False],
        "y": [1.0, 2.0],
        "p*": [6.0, 7.0],
    }
    path = tmp_path / request.param
    if request.param == "t.csv":
        rows = [columns, *zip(*columns.values(), strict=True)]
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    else:
        parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("features", "names"),
    [
        ("p_*", ["p_1", "p_2", "p_3"]),
        ("p_[13]", ["p_1", "p_3"]),
        ("p*", ["p*"]),  # a name goes before a pattern
        (["p_3", "p_1"], ["p_3", "p_1"]),
        (["p_3", "p_*"], ["p_3", "p_1", "p_2"]),
        ("0:3", ["id", "p_1", "p_2"]),
        ("-3:", ["flag", "p*"]),
        ({"type": "number"}, ["id", "p_1", "p_2", "p_3", "p*"]),
        ({"type": "boolean"}, ["flag"]),
        ([{"type": "boolean"}, "id"], ["flag", "id"]),
        ({"all_but": ["word", "p_*"]}, ["id", "flag", "p*"]),
        ([{"all_but": "word"}, "id"], ["id", "p_1", "p_2", "p_3", "flag", "p*"]),
    ],
)
def test_features_are_selected(table, tmp_path, features, names):
    _, source = run_import(table, tmp_path, features=features, target="y")
    assert source.features == names
    assert source.origin["settings"]["features"] == names
    assert source.target == ["y"]


def test_settings_by_column_are_selected_as_well(table, tmp_path):
    _, source = run_import(
        table,
        tmp_path,
        features=":",
        target="y",
        categories=[{"type": "text"}],
        dtypes={"p_*": "float64", "p_1": "float32", "0:1": "int64"},
        missing={"features": "keep", "p_?": "drop"},
        inexact={"p_[12]": "round"},
    )
    settings = source.origin["settings"]
    assert settings["features"] == [name for name in COLUMNS if name != "y"]
    assert settings["categories"] == ["word"]
    assert settings["dtypes"] == {
        "id": "int64",
        "p_1": "float32",
        "p_2": "float64",
        "p_3": "float64",
    }
    assert settings["missing"] == {
        "features": "keep",
        **dict.fromkeys(("p_1", "p_2", "p_3"), "drop"),
    }
    assert settings["inexact"] == {"p_1": "round", "p_2": "round"}


@pytest.mark.parametrize(
    ("keys", "messages"),
    [
        (
            {"features": ["q_*", "p_4", {"type": "time"}], "target": "z"},
            [
                "no column is meant by 'q_*' (features).",
                "there is no column 'p_4'. Did you mean 'p_",
                "no column is meant by {type: time} (features)",
                "there is no column 'z'. The columns are id, p_1",
            ],
        ),
        ({"features": ["p_1", "p_1"]}, ["features: the column 'p_1' is named twice"]),
        ({"features": ["p_1", "y"]}, ["features and target: both name the column 'y'"]),
        ({"features": {"all_but": ["wort"]}}, ["no column 'wort' (all_but). Did you mean 'word'?"]),
        (
            {"dtypes": {"p_4": "int8"}, "categories": ["word"], "missing": {"q*": "drop"}},
            [
                "dtypes names 'p_4', which is not among features and target. Did you mean 'p_1'?",
                "categories names 'word', which is not among",
                "missing names 'q*', which",
            ],
        ),
        (
            {"dtypes": {"p_*": "int8", "*_1": "int16"}},
            ["column 'p_1' is meant by 'p_*' (int8) and by '*_1' (int16)"],
        ),
        ({"csv": {"null_values": {"wort": "NA"}}}, ["'wort' (csv.null_values). Did you mean"]),
        ({"features": {"typ": "number"}}, ["columns are selected by a name, a pattern"]),
        ({"features": {"type": "numbers"}}, ["columns are selected by a name, a pattern"]),
        ({"features": [["p_1"]]}, ["features.0: found ['p_1']; columns are selected by a name"]),
        ({"features": []}, ["features: found []"]),
    ],
)
def test_selections_that_mean_nothing_are_refused_together(table, keys, messages):
    problem = refusal(table, **({"features": ["p_1"], "target": "y"} | keys))
    for message in messages:
        assert message in problem


def test_a_pattern_means_the_same_columns_in_all_files(tmp_path):
    (tmp_path / "a.csv").write_text("p1,p2,y\n1,2,3\n")
    (tmp_path / "b.csv").write_text("y,p2,p1\n3,2,1\n")
    records, _ = run_import(tmp_path / "*.csv", tmp_path, features="p*", target="y")
    assert records["features"].tolist() == [[1, 2], [1, 2]]
    (tmp_path / "b.csv").write_text("y,p2,p1,p3\n3,2,1,5\n")
    problem = refusal(tmp_path / "*.csv", features="p*", target="y")
    assert "'p*' means other columns in" in problem
    assert "b.csv than in" in problem
    assert ": p3. Name the columns" in problem


def test_types_of_text_files_are_those_of_all_cells(tmp_path):
    rows = "".join(f"{row},{row},{row}\n" for row in range(1000))
    (tmp_path / "t.csv").write_text("a,b,y\n" + rows + "1,one,2\n")
    _, source = run_import(tmp_path / "t.csv", tmp_path, features={"type": "number"}, target="y")
    assert source.features == ["a"]


def test_columns_of_a_matrix_by_position(tmp_path):
    np.save(tmp_path / "m.npy", np.arange(12.0).reshape(2, 6))
    records, source = run_import(tmp_path / "m.npy", tmp_path, features="0:5", target=5)
    assert source.features == ["0", "1", "2", "3", "4"]
    assert records["target"].tolist() == [[5], [11]]
