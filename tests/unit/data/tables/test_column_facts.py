"""What stands in the columns of a table is told from all of its rows."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import describe_table
from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError
from memtrain.data.tables.column_facts import describe_columns
from tests.unit.data.test_import_data import WRITERS

pytestmark = pytest.mark.slow


def facts_of(path, *options):
    return {column.name: column for column in describe_columns(str(path), *options)}


@pytest.mark.parametrize("name", WRITERS)
def test_numbers_and_words_of_every_kind_of_file(tmp_path, name):
    rows = 150_000
    columns = {
        "k": np.arange(rows) % 90 - 5,
        "x": np.where(np.arange(rows) % 10, np.arange(rows) / 4, np.nan),
        "w": np.array(["b", "a", "c"])[np.arange(rows) % 3],
    }
    WRITERS[name](tmp_path / name, columns)
    found = facts_of(tmp_path / name)
    assert {one.rows for one in found.values()} == {rows}
    assert [one.kind for one in found.values()] == ["integer", "number", "text"]
    assert [one.missing for one in found.values()] == [0, rows // 10, 0]
    assert [one.values for one in found.values()] == [90, None, 3]
    assert (found["k"].least, found["k"].greatest) == (-5, 84)
    assert (found["x"].least, found["x"].greatest) == (0.25, (rows - 1) / 4)
    assert found["w"].examples == ("b", "a", "c")
    assert found["w"].first == "b"


@pytest.mark.parametrize(
    ("cells", "kind", "missing", "values"),
    [
        (["1", "2", "+3"], "integer", 0, 3),
        (["1", "NA", "", "nan"], "integer", 3, 1),
        (["1", "2.5", "1e3", "inf"], "number", 0, 4),
        (["true", "False", "NA"], "boolean", 1, 2),
        (["2020-01-02", "2021-05-06"], "date", 0, 2),
        (["2020-01-02", "2021-05-06T07:08:09Z"], "time", 0, 2),
        (["2020/1/2", "2021/05/06"], "date", 0, 2),
        (["2.1.2020", "NA", "06.05.2021"], "date", 1, 2),
        (["06.05.2021 12:30", "2020-01-02"], "time", 0, 2),
        (["06-May-2021", "1 Jan 2020"], "date", 0, 2),
        (["01/02/2021", "31/12/2020"], "text", 0, 2),
        (["20200102", "20210506"], "integer", 0, 2),
        (["07:30", "23:59:59.5"], "time", 0, 2),
        (["1", "NA", "x"], "text", 0, 3),
        (["2020-01-02", "5"], "text", 0, 2),
        (["0x1F"], "text", 0, 1),
        (["", "NA"], "nothing", 2, 0),
    ],
)
@pytest.mark.parametrize("filler", [0, 200_000])
def test_text_is_what_all_cells_are(tmp_path, cells, kind, missing, values, filler):
    lines = [*[cells[0]] * filler, *cells]
    (tmp_path / "t.csv").write_text("z,c\n" + "".join(f"0,{cell}\n" for cell in lines))
    found = facts_of(tmp_path / "t.csv")["c"]
    missing += filler if cells[0] == "" else 0
    assert (found.kind, found.missing, found.values) == (kind, missing, values)
    assert found.rows == len(lines)


@pytest.mark.parametrize(
    ("name", "cells", "ends"),
    [
        ("date", ["20200229", "20191231"], ("2019-12-31", "2020-02-29")),
        ("order_date", ["20200229", "", "NA"], ("2020-02-29", "2020-02-29")),
        ("date", ["20200229", "20200230"], None),
        ("date", ["20200229", "7"], None),
        ("code", ["20200229", "20191231"], None),
    ],
)
def test_integers_are_dates_where_the_name_of_the_column_says_so(tmp_path, name, cells, ends):
    (tmp_path / "t.csv").write_text(f"{name},z\n" + "".join(f"{cell},0\n" for cell in cells))
    found = facts_of(tmp_path / "t.csv")[name]
    assert found.kind == ("integer" if ends is None else "date")
    assert ends is None or (found.least, found.greatest) == ends


def test_dates_are_compared_by_the_calendar_however_they_are_written(tmp_path):
    (tmp_path / "t.csv").write_text("d,z\n01.02.2020,0\n31.01.2020,0\n2019/12/31,0\n")
    found = facts_of(tmp_path / "t.csv")["d"]
    assert (found.least, found.greatest) == ("2019-12-31", "2020-02-01")


def test_numbers_of_text_are_spelled_as_the_settings_say(tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1.000,5;.\n-2,25;3\n")
    csv = CsvSettings(delimiter=";", decimal=",", thousands=".", null_values=["."])
    found = facts_of(tmp_path / "t.csv", csv)
    assert (found["a"].kind, found["a"].least, found["a"].greatest) == ("number", -2.25, 1000.5)
    assert (found["b"].kind, found["b"].missing, found["b"].first) == ("integer", 1, None)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | st.integers(-5, 5), min_size=1, max_size=30), st.integers(1, 12))
def test_different_values_are_counted_exactly_up_to_a_limit(tmp_path_factory, values, limit):
    path = tmp_path_factory.mktemp("t")
    parquet.write_table(pa.table({"c": pa.array(values, pa.int8())}), path / "t.parquet")
    (path / "t.csv").write_text("c,d\n" + "".join(f"{'' if v is None else v},0\n" for v in values))
    present = [value for value in values if value is not None]
    different = len(set(present))
    for name in ("t.parquet", "t.csv"):
        found = facts_of(path / name, None, limit)["c"]
        assert found.values == (different if different <= limit else None)
        assert found.missing == values.count(None)
        assert found.first == values[0] or name == "t.csv"
        assert (found.least, found.greatest) == (
            (min(present), max(present)) if present else (None, None)
        )


def test_types_of_all_sorts(tmp_path):
    day = datetime.date(2020, 1, 2)
    table = pa.table(
        {
            "dictionary": pa.array(["a", "b", "a"]).dictionary_encode(),
            "list": pa.array([[1, 2]] * 3, pa.list_(pa.int8(), 2)),
            "lists": [[1], [2, 3], []],
            "struct": [{"a": 1}] * 3,
            "null": pa.nulls(3),
            "date": [day, None, day],
            "decimal": pa.array(["1.5", "2.5", None]).cast(pa.decimal128(5, 2)),
            "half": np.array([1, 2, 2], np.float16),
            "uint64": np.array([2**64 - 1, 0, 0], np.uint64),
        }
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    found = facts_of(tmp_path / "t.parquet")
    kinds = ["text", "integer", "other", "other", "nothing", "date", "number", "number", "integer"]
    assert [one.kind for one in found.values()] == kinds
    assert found["list"].shape == (2,)
    assert (found["date"].least, found["date"].missing) == ("2020-01-02", 1)
    assert found["decimal"].greatest == 2.5
    assert found["uint64"].greatest == 2**64 - 1


def test_tables_of_different_columns_are_not_described_together(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    with pytest.raises(UserError, match=r"b\.csv: its columns are others.*'y'"):
        facts_of(tmp_path)


def test_the_program_prints_a_table_or_json(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("id;price\n1;2,5\n2;\n")
    arguments = [str(tmp_path / "t.csv"), "--csv", '{delimiter: ";", decimal: ","}']
    assert describe_table.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [*describe_table.HEADER]
    assert lines[2].split() == ["price", "number", "1", "1", "2.5", "2.5", "2,5"]
    assert lines[-1] == "2 rows, 2 columns"
    assert describe_table.main([*arguments, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["rows"] == 2
    assert [column["kind"] for column in content["columns"]] == ["integer", "number"]
    with pytest.raises(SystemExit, match="0"):
        describe_table.main(["--help"])
    assert "one word among a million numbers" in capsys.readouterr().out
