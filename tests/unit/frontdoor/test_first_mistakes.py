"""What a new user meets who makes a mistake: a sentence that helps, and nothing half-written."""

import gzip

import numpy as np
import pytest
import yaml

from memtrain.core.errors import UserError
from tests.other_user import as_another_user


def table(header, row, rows=50):
    return "\n".join([header, *map(row, range(rows)), ""])


GOOD = table("area,price", lambda row: f"{row % 7}.5,{row}.25")

#: A file, the arguments behind it, and what is said.
MISTAKES = {
    "no file": (None, ["--target", "price"], "no such file"),
    "empty": ("", ["--target", "price"], "there is nothing in it"),
    "header alone": ("area,price\n", ["--target", "price"], "it has 0 rows, too few"),
    "no header": (
        table("1.5,2.5", lambda row: f"{row}.5,4.5"),
        ["--target", "price"],
        "no column 'price'. The columns are 0, 1",
    ),
    "perhaps a header": (
        table("1,2", lambda row: f"{row},4.5"),
        [],
        r"its first line \(1, 2\) may be a row.*column_names: numbers.*--csv '{}' for names",
    ),
    "one column": (
        table("price", lambda row: f"{row}.5"),
        ["--target", "price"],
        "'price' is its only column",
    ),
    "misspelled": (GOOD, ["--target", "prise"], "no column 'prise'. Did you mean 'price'"),
    "constant": (
        table("area,price", lambda row: f"{row}.5,7"),
        ["--target", "price"],
        "the same value in every row",
    ),
    "no target": (
        table("area,price", lambda row: f"{row}.5,NA"),
        ["--target", "price"],
        "all values are missing",
    ),
    "few targets": (
        table("area,price", lambda row: f"{row}.5,{row if row < 5 else ''}"),
        ["--target", "price"],
        "target 'price': it has 5 rows, too few",
    ),
    "three rows": (
        table("area,price", lambda row: f"{row}.5,{row}.25", 3),
        ["--target", "price"],
        "it has 3 rows, too few",
    ),
    "twice the same name": (
        table("area,area,price", lambda row: f"{row}.5,1,{row}.25"),
        ["--target", "price"],
        "more than one column is called 'area'",
    ),
    "a row of other length": (GOOD + "1,2,3\n", ["--target", "price"], "line 52.*3 cells"),
    "an open quote": (GOOD + '"1,2\n', ["--target", "price"], "never closed"),
    "huge integers alone": (
        table("area,price", lambda row: f"{10**25 + row},{row}.25"),
        ["--target", "price"],
        "integers of more than 64 bits",
    ),
    "a setting that is none": (GOOD, ["--target", "price", "--csv", "{delim: x}"], "delimiter"),
    "a table in place": (GOOD, ["--target", "price", "--in-place"], "is for arrays"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_a_sentence_and_nothing_is_written(init, tmp_path, name):
    content, arguments, message = MISTAKES[name]
    if content is not None:
        (tmp_path / "t.csv").write_text(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=f"(?s){message}"):
        init("t.csv", *arguments)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv.gz", b"no gzip", "cannot be read"),
        ("t.csv.gz", gzip.compress(GOOD.encode())[:50], "cannot be read"),
        ("t.parquet", b"none", "cannot be read"),
        ("t.npy", b"none", "not a .npy file"),
        ("t.xlsx", b"PK", "files of this kind are not read"),
        ("t.bin", bytes(range(100)), "does not say what it holds.*files.md"),
    ],
)
def test_damaged_files_and_other_kinds(init, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        init(name, "--target", "price")
    assert not (tmp_path / "config.yaml").exists()


def test_arrays_of_nothing(init, tmp_path):
    np.save(tmp_path / "nan.npy", np.full((50, 2), np.nan))
    with pytest.raises(UserError, match="all values are missing"):
        init("nan.npy", "--target", 0)
    np.save(tmp_path / "none.npy", np.zeros((0, 2)))
    with pytest.raises(UserError, match="0 rows"):
        init("none.npy", "--target", 0)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("words", ["in the header", "in the cells"])
def test_encodings_are_found(init, tmp_path, encoding, words):
    header = "größe,preis" if words == "in the header" else "ort,preis"
    text = table(
        header, lambda row: f"{f'Köln{row % 3}' if 'cells' in words else row % 7},{row}.25"
    )
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    rows = init("t.csv", "--target", "preis")["dataset"]["import"]
    assert rows.get("csv", {}) == ({} if encoding.startswith("utf-8") else {"encoding": encoding})


def test_decimal_commas_between_semicolons(init, tmp_path):
    text = table("a;b", lambda row: f"{row},5;{row},25")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    rows = init("t.csv.gz", "--target", "b")["dataset"]["import"]
    assert rows["csv"] == {"delimiter": ";", "decimal": ","}


@pytest.mark.parametrize("first", [10**25, 2**60])
def test_targets_beyond_exact_doubles_are_rounded_where_it_is_said(init, tmp_path, first):
    (tmp_path / "t.csv").write_text(table("x,y", lambda row: f"{row % 7}.5,{first + row}"))
    rows = init("t.csv", "--target", "y")["dataset"]["import"]
    assert rows["dtypes"] == {"y": "float64"}
    assert rows["inexact"] == {"y": "round"}


def test_a_shell_that_has_read_the_pattern(init, tmp_path):
    for part in range(3):
        (tmp_path / f"part-{part}.csv").write_text(GOOD)
    rows = init("part-0.csv", "part-1.csv", "part-2.csv", "--target", "price")["dataset"]["import"]
    assert rows["path"] == "part-*.csv"
    (tmp_path / "other.csv").write_text(GOOD)
    with pytest.raises(UserError, match="in quotes"):
        init("part-0.csv", "part-1.csv", "other.csv", "--target", "price", "--force")


@pytest.mark.parametrize(("folder", "file"), [(0o777, 0o000), (0o555, 0o644)])
def test_what_may_not_be_read_or_written(init, tmp_path, folder, file):
    """The program tells what a file may not be as a sentence: see cli.entry_point."""
    (tmp_path / "t.csv").write_text(GOOD)
    (tmp_path / "t.csv").chmod(file)
    tmp_path.chmod(folder)
    with as_another_user(), pytest.raises((OSError, UserError), match="Permission denied"):
        init("t.csv", "--target", "price")
    tmp_path.chmod(0o755)
    assert list(tmp_path.iterdir()) == [tmp_path / "t.csv"]


def test_the_configuration_that_is_here_stays(init, tmp_path):
    (tmp_path / "t.csv").write_text(GOOD)
    (tmp_path / "config.yaml").write_text("mine: 1\n")
    with pytest.raises(UserError, match="--force"):
        init("t.csv", "--target", "price")
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {"mine": 1}
