"""An import orders rows by the classes or the groups of any column."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scripts.import_data import main

from memtrain.config.dataset import ImportSettings
from memtrain.data.groups import read_group_borders
from memtrain.data.record_file import read_record_layout
from memtrain.data.source import Source
from tests.unit.data.test_import_data import XY, refusal, write_csv
from tests.unit.data.test_row_places import largest_deviation

NAMES = np.array(["ann", "bob", "cy", "dee"])


def write_rows(path, rows=400, kind="csv"):
    """Write rows whose group and species depend on the number, in no order."""
    numbers = np.arange(rows)
    content = {"x": numbers, "y": numbers, "who": NAMES[numbers % 4], "n": numbers % 7}
    if kind == "csv":
        write_csv(path, content)
    else:
        parquet.write_table(pa.table(content), path)
    return content


def write_small(path, **columns):
    """Write columns of a few values each."""
    write_csv(path, {name: np.array(values) for name, values in columns.items()})


def imported(folder, path="t.csv", **settings):
    """Import a table as the workflow does, and return the numbers of the rows in their order."""
    given = ImportSettings(path=str(folder / path), **XY, **settings)
    data, source = str(folder / "data.npy"), str(folder / "source.json")
    assert main(["--settings", given.model_dump_json(), "--data", data, "--source", source]) == 0
    return np.load(data)["target"][:, 0].astype(int)


def borders(folder):
    rows = read_record_layout(folder / "data.npy").rows
    return read_group_borders(folder / "data.npy", Source.read(folder / "source.json"), rows)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_ranges_have_the_shares_of_a_column_that_no_model_sees(tmp_path, kind):
    content = write_rows(tmp_path / f"t.{kind}", kind=kind)
    order = imported(tmp_path, f"t.{kind}", shuffle_once={"seed": 1, "stratify_by": "n"})
    assert np.array_equal(np.sort(order), np.arange(400))
    assert largest_deviation(content["n"][order]) < 2
    assert Source.read(tmp_path / "source.json").in_random_order


def test_the_kind_of_the_file_plays_no_part(tmp_path):
    write_rows(tmp_path / "t.csv")
    write_rows(tmp_path / "t.parquet", kind="parquet")
    for how in ({"stratify_by": "n"}, {"group_by": "n"}, {"group_by": "who"}):
        how = {"seed": 3} | how
        first = imported(tmp_path, "t.csv", shuffle_once=how)
        assert np.array_equal(imported(tmp_path, "t.parquet", shuffle_once=how), first)


def test_groups_are_written_together_and_their_starts_beside_them(tmp_path):
    content = write_rows(tmp_path / "t.csv")
    order = imported(tmp_path, shuffle_once={"seed": 1, "group_by": "who"})
    who = content["who"][order]
    starts = [0, *(np.flatnonzero(who[1:] != who[:-1]) + 1).tolist()]
    found = borders(tmp_path)
    assert list(found.starts) == starts == [0, 100, 200, 300]
    assert (found.rows, found.column) == (400, "who")
    source = Source.read(tmp_path / "source.json")
    assert not source.in_random_order
    assert set(source.files) == {"data.npy", "groups.npy"}


def test_a_seed_alone_is_the_order_of_a_number(tmp_path):
    write_rows(tmp_path / "t.csv")
    first = imported(tmp_path, shuffle_once=5)
    source = (tmp_path / "source.json").read_bytes()
    assert np.array_equal(imported(tmp_path, shuffle_once={"seed": 5}), first)
    assert (tmp_path / "source.json").read_bytes() == source


def test_groups_may_lie_together_already(tmp_path):
    who = ["a"] * 3 + ["b"] + ["c"] * 2
    write_small(tmp_path / "t.csv", x=range(6), y=range(6), who=who)
    assert imported(tmp_path, group_by="who").tolist() == list(range(6))
    assert list(borders(tmp_path).starts) == [0, 3, 4]


def test_groups_that_lie_apart_are_refused_without_a_shuffle(tmp_path):
    who = ["a"] * 3 + ["b"] + ["a"] * 2
    write_small(tmp_path / "t.csv", x=range(6), y=range(6), who=who)
    problem = refusal(tmp_path, **XY, group_by="who")
    assert "column 'who': the group 'a' has rows before" in problem
    assert "t.csv, line 6 (row 4)" in problem
    assert "`shuffle_once: {seed: 1, group_by: who}`" in problem


def test_a_missing_group_is_refused_and_a_missing_class_is_one(tmp_path):
    write_small(tmp_path / "t.csv", x=range(6), y=range(6), who=["a", "", "b", "NA", "", "b"])
    problem = refusal(tmp_path, **XY, shuffle_once={"seed": 1, "group_by": "who"})
    assert "column 'who': its value is missing" in problem
    assert "t.csv, line 3 (row 1)" in problem
    order = imported(tmp_path, shuffle_once={"seed": 1, "stratify_by": "who"})
    assert sorted(order) == list(range(6))


def test_rows_that_are_dropped_have_no_group(tmp_path):
    write_small(tmp_path / "t.csv", x=[1, "", 3], y=[1, 2, 3], who=["a", "", "b"])
    order = imported(tmp_path, missing="drop", shuffle_once={"seed": 1, "group_by": "who"})
    assert sorted(order) == [1, 3]
    assert list(borders(tmp_path).starts) == [0, 1]


def test_many_values_are_no_classes(tmp_path):
    rows = 1500
    write_small(tmp_path / "t.csv", x=range(rows), y=range(rows))
    problem = refusal(tmp_path, **XY, shuffle_once={"seed": 1, "stratify_by": "x"})
    assert "column 'x': it has 1,500 different values, and shares are kept" in problem


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"shuffle_once": {"seed": 1, "group_by": "whom"}}, "there is no column 'whom'"),
        (
            {"shuffle_once": {"seed": 1, "group_by": "who", "stratify_by": "n"}},
            "found both stratify_by and group_by",
        ),
        ({"shuffle_once": 1, "group_by": "who"}, "`shuffle_once: {seed: 1, group_by: who}`"),
        ({"shuffle_once": {"group_by": "who"}}, "seed"),
    ],
)
def test_mistakes_are_told(tmp_path, settings, expected):
    write_rows(tmp_path / "t.csv", rows=8)
    assert expected in refusal(tmp_path, **XY, **settings)
