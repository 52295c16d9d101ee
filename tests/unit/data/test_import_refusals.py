"""An import refuses values, columns and files that it cannot read exactly, and says why."""

import os
import re
import subprocess
import sys
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

import import_data
from memtrain.config.dataset import ImportSettings
from tests.unit.data.test_import_data import (
    NUMBERS,
    SCRIPT,
    WRITERS,
    XY,
    refusal,
    run_import,
    write_csv,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_text_in_a_column_of_numbers_is_found(tmp_path, name):
    x = np.char.mod("%d", np.arange(140_000))
    x[66_000] = "sixty"
    x[135_000] = "more"
    WRITERS[name](tmp_path / name, {"x": x, "y": np.arange(140_000)})
    problem = refusal(tmp_path / name, **XY)
    assert re.search(rf"{name}.*row 66,000\)?, column 'x': found the text 'sixty'", problem)
    assert "categories" in problem


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        (pa.array([1, 1.5]), "int64", "t.parquet, row 1, column 'x': 1.5 does not fit the type"),
        (pa.array([1, 300]), "uint8", "t.parquet, row 1, column 'x': 300 does not fit the type"),
        (pa.array([1, None]), "int64", "column 'x' has missing values (1, "),
        (pa.array([date(2013, 1, 1)]), "int8", "t.parquet, column 'x': it is of the type date32"),
        (pa.array([[1, 2]]), "int8", "list<element: int64>, which is no number. Save it as a list"),
        (
            pa.array([[1]], pa.large_list(pa.int8())),
            "int8",
            "which is no number. Save it as a list",
        ),
        (pa.array([{"a": 1}]), "int8", "struct<a: int64>, which is no number. Save it as numbers"),
    ],
)
def test_values_that_do_not_fit_are_named(tmp_path, values, dtype, message):
    table = pa.table({"x": values, "y": np.zeros(len(values))})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert message in refusal(tmp_path / "t.parquet", **XY, dtypes={"x": dtype})


@pytest.mark.parametrize(
    ("y", "keys", "message"),
    [
        ([0, -1], {"dtypes": {"y": "int64"}}, "row 1, column 'y': classes count from 0"),
        ([[0, 1], [1, 1]], {"dtypes": {"y": "int64"}}, "a class is one number, and this is 2"),
        ([0.5, 1], {"categories": ["y"]}, "of text or integers; this column is of the type double"),
        ([0, 1], {"categories": ["y"], "dtypes": {"y": "float32"}}, "dtypes: found float32"),
        ([0, 1], {"target": ["x", "y"], "features": ["z"], "categories": ["y"]}, "found x, y;"),
        (
            [0, 1],
            {"target": ["x", "y"], "features": ["z"], "dtypes": {"target": "int8"}},
            "a class is one column",
        ),
    ],
)
def test_targets_that_are_no_class_are_refused(tmp_path, y, keys, message):
    np.savez(tmp_path / "t.npz", x=np.zeros(2), y=np.array(y), z=np.zeros(2))
    assert message in refusal(tmp_path / "t.npz", **(XY | keys))


def test_all_problems_are_reported_at_once(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c,y\n1,p,,1\nq,2,,2\nr,s,3,300\n")
    problems = refusal(
        tmp_path / "t.csv", features=["a", "b", "c"], target=["y"], dtypes={"y": "uint8"}
    ).split("\n")
    assert [re.sub(r".*t\.csv|[:.;].*", "", problem) for problem in problems] == [
        ", line 3 (row 1), column 'a'",
        ", line 2 (row 0), column 'b'",
        ", line 4 (row 2), column 'y'",
        ", line 2 (row 0))",
    ]


def test_missing_columns_are_named(tmp_path):
    write_csv(tmp_path / "a.csv", {"distance": NUMBERS["x"], "delay": NUMBERS["y"]})
    write_csv(tmp_path / "b.csv", {"distance": NUMBERS["x"], "late": NUMBERS["y"]})
    keys = {"features": ["distanse", "distance"], "target": ["delay"]}
    assert refusal(tmp_path, **keys).split("\n") == [
        f"{tmp_path}/a.csv and 1 more: there is no column 'distanse'. Did you mean 'distance'? "
        "The columns are distance, delay.",
        f"{tmp_path}/b.csv: there is no column 'delay'. The columns are distance, late.",
    ]


def test_a_column_that_occurs_twice_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("x,x,y\n1,2,3\n")
    assert "more than one column is called 'x'" in refusal(tmp_path / "t.csv", **XY)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.npz", "none.npz: no such file"),
        ("*.npz", "*.npz: no such file"),
        ("t.xlsx", "t.xlsx: files of this kind are not read"),
        ("t.parquet", "t.parquet: it cannot be read"),
        ("t.npy", "t.npy: this is not a .npy file"),
        ("u.npy", "u.npy: this is not a .npy file"),
        ("t.csv", "t.csv, line 3 (row 1): it has 3 cells, but there are 2 columns"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, path, message):
    (tmp_path / "t.xlsx").touch()
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and then nothing PAR1")
    (tmp_path / "t.npy").write_bytes(b"\x93NUMPY\x01\x00\x02\x00({")
    (tmp_path / "u.npy").write_bytes(b"\x93NUMPY\x01\x00\x12\x00{b'a': 1, 'b': 2}\n")
    (tmp_path / "t.csv").write_text("x,y\n1,2\n1,2,3\n")
    assert message in refusal(tmp_path / path, **XY)


def test_settings_are_checked(tmp_path):
    assert "there is no such key" in refusal(tmp_path, **XY, misssing="drop")


@pytest.mark.slow
def test_a_mistake_ends_the_script_with_one_line_and_no_file(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2\nabc,2\n")
    keys = yaml.safe_dump({"path": "t.csv", **XY})
    done = subprocess.run(
        [sys.executable, SCRIPT, "--settings", keys, "--data", "d.npy", "--source", "s.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (
        "import_data.py: error: t.csv, line 3 (row 1), column 'x': found the text 'abc'"
        in done.stderr
    )
    assert sorted(os.listdir(tmp_path)) == ["t.csv"]


def test_help_explains_the_settings(capsys):
    with pytest.raises(SystemExit, match="0"):
        import_data.main(["--help"])
    text = capsys.readouterr().out
    for word in (*ImportSettings.model_fields, "example:", "exit status"):
        assert word in text


def test_integers_beside_floats_are_exact(tmp_path):
    (tmp_path / "t.csv").write_text(f"x,z,y\n5,0.5,1\n{2**53 + 1},0.5,1\n")
    keys = {"features": ["x", "z"], "target": ["y"], "dtypes": {"x": "int64"}}
    records, _ = run_import(tmp_path / "t.csv", **keys)
    assert records["features_int64"][:, 0].tolist() == [5, 2**53 + 1]
    assert records["features_float32"][:, 0].tolist() == [0.5, 0.5]
    records, _ = run_import(tmp_path / "t.csv", **(keys | {"features": ["x"]}))
    assert records["features"][:, 0].tolist() == [5, 2**53 + 1]
