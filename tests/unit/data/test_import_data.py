"""An import brings rows of any kind of file into a record file exactly, or refuses them."""

import csv
import gzip
import hashlib
import json
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, ipc, parquet

import import_data
from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError
from memtrain.data.source import Source
from memtrain.system.digests import digest_of_file

SCRIPT = Path(import_data.__file__)


def run_import(path, folder=None, **keys):
    """Import into a folder; return the records and the source."""
    folder = Path(folder or tempfile.mkdtemp())
    data, source = folder / "out" / "data.npy", folder / "out" / "source.json"
    arguments = ["--data", str(data), "--source", str(source)]
    import_data.main(
        [
            "--settings",
            json.dumps({"path": path if isinstance(path, dict) else str(path), **keys}),
            *arguments,
        ]
    )
    return np.load(data), Source.read(source)


def refusal(path, **keys):
    """Return the problems of an import that is refused, and check that it wrote nothing."""
    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(UserError) as error:
            run_import(path, folder, **keys)
        assert list(Path(folder).rglob("*.*")) == []
    return "\n".join(error.value.problems)


# Every kind of file


def as_records(columns):
    return np.rec.fromarrays(list(columns.values()), names=list(columns)).view(np.ndarray)


def as_table(columns):
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def write_csv(path, columns, opened=open):
    with opened(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))


def write_zip(path, columns):
    write_csv(path.with_name("member.csv"), columns)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_name("member.csv"), "member.csv")


def write_stream(path, columns):
    table = as_table(columns)
    with ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    "t.npy": lambda path, columns: np.save(path, as_records(columns)),
    "t.npz": lambda path, columns: np.savez(path, **columns),
    "t.csv": write_csv,
    "t.csv.gz": lambda path, columns: write_csv(path, columns, gzip.open),
    "t.zip": write_zip,
    "t.parquet": lambda path, columns: parquet.write_table(as_table(columns), path),
    "t.arrow": write_stream,
    "t.feather": lambda path, columns: feather.write_feather(as_table(columns), path),
}

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
ROWS = st.lists(
    st.tuples(
        st.just(float("nan")) | st.floats(-1e100, 1e100) | st.sampled_from([1 / 3, -0.0, np.inf]),
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        WORDS,
        st.integers(0, 2**63 - 1),
    ),
    min_size=1,
    max_size=8,
)


def _without_line(match):
    """Return a place of a text file as other files have it: the row without the line."""
    return f"t, {match[2]}" if match[2] else "t"


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(ROWS, st.sampled_from(["drop", "keep"]))
def test_the_same_rows_give_the_same_bytes_from_every_kind(rows, missing):
    x, k, flag, word, y = zip(*rows, strict=True)
    columns = {
        "x": np.array(x, np.float64),
        "k": np.array(k, np.int64),
        "flag": np.array(flag),
        "word": np.array(word, str),
        "y": np.array(y, np.int64),
    }
    keys = {
        "features": ["x", "k", "flag", "word"],
        "target": ["y"],
        "dtypes": {"x": "float64", "k": "int64", "y": "int64"},
        "categories": ["word"],
        "missing": missing,
    }
    outcomes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, write in WRITERS.items():
            path = Path(folder) / name
            write(path, columns)
            try:
                records, source = run_import(path, folder, **keys)
                outcomes[name] = (records.dtype, records.tobytes(), source.features, source.classes)
            except UserError as error:
                # An empty word, or no number for a mean: messages differ by the file alone.
                outcomes[name] = re.sub(
                    r"\S*/t\.[^\s,)]*(, line \d+ \((row \d+)\))?", _without_line, str(error)
                )
    assert all(outcome == outcomes["t.npy"] for outcome in outcomes.values()), outcomes


NUMBERS = {"x": np.array([0.5, 1.5, 2.5]), "y": np.array([1.0, 2.0, 4.0])}
XY = {"features": ["x"], "target": ["y"]}


@pytest.mark.parametrize("name", WRITERS)
def test_rows_are_written_as_records(tmp_path, name):
    WRITERS[name](tmp_path / name, NUMBERS)
    records, source = run_import(tmp_path / name, **XY)
    assert records.dtype == np.dtype([("features", "<f4", (1,)), ("target", "<f4", (1,))])
    assert records["features"].tolist() == [[0.5], [1.5], [2.5]]
    assert records["target"].tolist() == [[1.0], [2.0], [4.0]]
    assert (source.features, source.target, source.task) == (["x"], ["y"], "regression")


def test_columns_of_a_matrix_are_named_by_number(tmp_path):
    np.save(tmp_path / "m.npy", np.arange(6.0).reshape(2, 3))
    records, source = run_import(tmp_path / "m.npy", features=[2, 0], target=[1])
    assert records["features"].tolist() == [[2, 0], [5, 3]]
    assert records["target"].tolist() == [[1], [4]]
    assert source.features == ["2", "0"]


def test_a_block_of_numbers_becomes_as_many_columns(tmp_path):
    pixels = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    np.savez(tmp_path / "b.npz", pixels=pixels, y=NUMBERS["y"])
    records, source = run_import(tmp_path / "b.npz", features=["pixels"], target=["y"])
    np.testing.assert_array_equal(records["features"], pixels)
    assert source.features == ["pixels[0]", "pixels[1]"]


def test_a_block_alone_keeps_its_shape(tmp_path):
    windows = np.arange(48.0).reshape(4, 6, 2)
    np.savez(tmp_path / "b.npz", x=windows, z=windows[:, :, 0], y=np.zeros(4))
    records, source = run_import(tmp_path / "b.npz", **XY)
    np.testing.assert_array_equal(records["features"], windows)
    assert source.features[:3] == ["x[0,0]", "x[0,1]", "x[1,0]"]
    records, _ = run_import(tmp_path / "b.npz", features=["x", "z"], target=["y"])
    side_by_side = np.concatenate([windows.reshape(4, 12), windows[:, :, 0]], axis=1)
    np.testing.assert_array_equal(records["features"], side_by_side)


@pytest.mark.parametrize("inexact", ["round", {"x": "round"}])
def test_integers_are_refused_or_rounded_as_asked(tmp_path, inexact):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n20240101,2\n")
    problem = refusal(tmp_path / "t.csv", **XY)
    assert (
        "t.csv, line 3 (row 1), column 'x': the integer 20240101 would become 20240100" in problem
    )
    assert "inexact: round" in problem
    records, _ = run_import(tmp_path / "t.csv", **XY, inexact=inexact)
    assert records["features"].tolist() == [[1], [20240100]]


def test_values_that_float32_merges_are_refused(tmp_path):
    np.savez(tmp_path / "t.npz", x=1e8 + np.arange(9.0), y=np.zeros(9))
    problem = refusal(tmp_path / "t.npz", **XY)
    assert "column 'x': x: its values lie within 2.58 (standard deviation) of 100000004" in problem
    records, _ = run_import(tmp_path / "t.npz", **XY, dtypes={"x": "float64"})
    assert records["features"][:, 0].tolist() == (1e8 + np.arange(9.0)).tolist()


def test_names_that_yaml_takes_for_something_else_are_explained(tmp_path):
    with pytest.raises(UserError, match=r"features\.0: found False; this is no name.*in quotes"):
        run_import(tmp_path, features=[False], target=["y"])


def test_blocks_must_be_of_one_width(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)), y=np.zeros(2))
    np.savez(tmp_path / "b.npz", x=np.zeros((2, 3)), y=np.zeros(2))
    assert "b.npz, column 'x': rows of 3 numbers follow rows of 2" in refusal(tmp_path, **XY)


def test_a_folder_of_mixed_kinds_is_read_in_the_order_of_names(tmp_path):
    for number, (name, write) in enumerate(WRITERS.items()):
        write(tmp_path / f"{number}.{name}", {"x": np.array([number]), "y": np.array([-number])})
    (tmp_path / "member.csv").unlink()
    records, source = run_import(tmp_path, **XY)
    assert records["features"][:, 0].tolist() == list(range(len(WRITERS)))
    assert [file["path"] for file in source.origin["files"]] == [
        f"{tmp_path.as_posix()}/{number}.{name}" for number, name in enumerate(WRITERS)
    ]


# Missing values

GAPS = "a,b,w,y\n1,,p,1\n2,4,,2\n3,8,q,3\n,6,p,4\n,6,p,\n"
ABW = {"features": ["a", "b", "w"], "target": ["y"], "categories": ["w"]}


def test_missing_values_of_all_columns_are_reported(tmp_path):
    (tmp_path / "t.csv").write_text(GAPS)
    problems = refusal(tmp_path / "t.csv", **ABW).split("\n")
    for problem, (column, count, row) in zip(
        problems, [("a", 2, 3), ("b", 1, 0), ("w", 1, 1), ("y", 1, 4)], strict=True
    ):
        where = f"({count}, the first in {tmp_path}/t.csv, line {row + 2} (row {row}))"
        assert problem.startswith(f"column '{column}' has missing values {where}.")
        assert "drop" in problem


@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        (GAPS, ABW, "column 'y' has missing values (1, "),
        (GAPS, ABW, "Nothing can be learned from a missing target"),
        (GAPS, ABW, "`missing: {y: drop}`"),
    ],
)
def test_missing_values_that_cannot_be_kept_are_refused(tmp_path, text, keys, message):
    (tmp_path / "t.csv").write_text(text)
    assert message in refusal(tmp_path / "t.csv", **keys, missing="keep")


@pytest.mark.parametrize("missing", ["mean", {"x": "mean"}])
def test_means_of_all_rows_are_refused(tmp_path, missing):
    (tmp_path / "t.csv").write_text("x,y\n1,1\n")
    problem = refusal(tmp_path / "t.csv", **XY, missing=missing)
    assert "write `missing: keep` here, and `impute: mean` under `training`" in problem


def test_an_import_without_rows_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,\n,2\n")
    problem = refusal(tmp_path / "t.csv", **XY, missing="drop")
    assert "no rows are left; 2 were read and 2 dropped" in problem
    (tmp_path / "t.csv").write_text("x,y\n")
    assert "no rows are left; 0 were read" in refusal(tmp_path / "t.csv", **XY)


# source.json


def test_the_source_tells_where_rows_came_from(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/t.csv").write_text(GAPS)
    content = Path("data/t.csv").read_bytes()
    _, source = run_import("data/*.csv", tmp_path, **ABW, missing="drop")
    assert "5 rows read, 4 dropped, 1 written, 4,116 bytes" in capsys.readouterr().out
    assert source == Source(
        features=["a", "b", "w"],
        target=["y"],
        task="regression",
        columns=source.columns,
        origin={
            "kind": "import",
            "settings": {
                "path": "data/*.csv",
                "dtypes": {},
                "inexact": "error",
                "missing": "drop",
                "shuffle_once": None,
                "group_by": None,
                "csv": CsvSettings().model_dump(),
                **ABW,
            },
            "files": [
                {
                    "path": "data/t.csv",
                    "bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            ],
            "missing": {},
            "rows_read": 5,
            "rows_dropped": 4,
        },
        made_from=source.made_from,
        files={"data.npy": digest_of_file("out/data.npy")},
    )
    assert set(source.made_from) == {"code", "settings", "files"}
    first = Path("out/source.json").read_bytes(), Path("out/data.npy").read_bytes()
    run_import("data/*.csv", tmp_path, **ABW, missing="drop")
    assert first == (Path("out/source.json").read_bytes(), Path("out/data.npy").read_bytes())
