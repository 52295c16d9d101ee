"""CSV files are read as others write them, or an error names the row."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError
from memtrain.data.tables.csv_records import RecordWatch, count_strictly
from memtrain.data.tables.csv_text import CsvText, Utf8Stream
from memtrain.data.tables.files import open_tables
from tests.unit.data.tables.test_files import read


def test_csv_as_others_write_it(tmp_path):
    (tmp_path / "t.csv").write_bytes(
        b'\xef\xbb\xbfname,"x, y",z\r\n"a ""quoted"" word",1,2\r\n\r\n"two\r\nlines",,"4"\r\n'
    )
    (table,) = open_tables([tmp_path / "t.csv"])
    assert table.columns == ["name", "x, y", "z"]
    assert read(tmp_path / "t.csv", table.columns)[0].to_pydict() == {
        "name": [b'a "quoted" word', b"two\r\nlines"],
        "x, y": [b"1", None],
        "z": [b"2", b"4"],
    }


OPEN = "a quote is opened and never closed"


@pytest.mark.parametrize(
    ("rows", "row", "message"),
    [
        (["1,a", '2,"b', "3,c"], 2, OPEN),
        (["1,a", '2,"b""', "3,c"], 2, OPEN),
        (["1,a", '2,b"', '3,"'], 3, OPEN),
        (["1,a", '2,"b', "3,c", '4,"d"', "5,e"], 2, "a closing quote is followed by more text"),
        (["1,a", '2,"b"x', "3,c"], 2, "a closing quote is followed by more text"),
    ],
)
@pytest.mark.parametrize("filler", [0, 300_000])
def test_no_row_vanishes_within_the_cell_of_another(tmp_path, rows, row, message, filler):
    lines = ["x,w", *["0,z"] * filler, *rows]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    at = rf"line {filler + row + 1:,} \(row {filler + row - 1:,}\)"
    with pytest.raises(UserError, match=rf"t\.csv, {at}: {message}"):
        read(tmp_path / "t.csv", ["x"])


QUOTED = st.lists(st.text('",\r\n a', max_size=4), min_size=1, max_size=5)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(QUOTED, min_size=1, max_size=4), st.booleans(), st.integers(1, 7))
def test_quotes_are_regular_wherever_the_bytes_are_cut(cells, all_quoted, size):
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    csv.writer(text, quoting=quoting).writerows(cells)
    content = text.getvalue().encode()
    watch = RecordWatch(Utf8Stream(io.BytesIO(content), "utf-8"))
    while watch.read(size):
        pass
    assert watch.ends_regularly
    assert watch.records == count_strictly(
        CsvText("t.csv", lambda: io.BytesIO(content), CsvSettings(), ",")
    )


def test_a_quote_within_a_cell_without_quotes_is_a_letter(tmp_path):
    (tmp_path / "t.csv").write_text('x,w\n1,5" pipe\n2,"6"" pipe"\n')
    assert read(tmp_path / "t.csv", ["w"])[0].to_pydict() == {"w": [b'5" pipe', b'6" pipe']}


def test_letters_that_are_not_utf8_do_no_harm_in_columns_that_are_not_read(tmp_path):
    (tmp_path / "t.csv").write_bytes("n,x\ncafé,1\n".encode("latin-1"))
    assert read(tmp_path / "t.csv", ["x"])[0].to_pydict() == {"x": [b"1"]}
    (tmp_path / "t.csv").write_bytes("café,x\nn,1\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"name of a column, b'caf\\xe9', is no text in utf-8"):
        open_tables([tmp_path / "t.csv"])


@pytest.mark.parametrize("before", [0, 200_000])
def test_a_cell_may_be_longer_than_a_block(tmp_path, before):
    long = "x" * (3 << 20)
    (tmp_path / "t.csv").write_text("a,w\n" + "1,ok\n" * before + f'2,"{long}"\n3,ok\n')
    found = read(tmp_path / "t.csv", ["a"])[0]["a"].to_pylist()
    assert found == [b"1"] * before + [b"2", b"3"]


@pytest.mark.parametrize("text", ["x,w", "x,w\n"])
def test_a_header_without_rows_is_a_table_without_rows(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    (table,) = open_tables([tmp_path / "t.csv"])
    assert sum(batch.num_rows for batch in table.batches(["x"])) == 0


def test_lines_within_quotes_may_lie_across_blocks(tmp_path):
    rows = 300_000
    (tmp_path / "t.csv").write_text("x,w\n" + '1,"two\nlines"\n' * rows)
    found, batches = read(tmp_path / "t.csv", ["x"])
    assert batches > 1
    assert len(found) == rows


@pytest.mark.parametrize(("row", "cells"), [("5", 1), ("5,6,7", 3)])
def test_a_row_with_another_number_of_cells_is_named(tmp_path, row, cells):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 10 + row + "\n1,2\n")
    with pytest.raises(
        UserError, match=rf"t\.csv, line 12 \(row 10\): it has {cells} cells?.* 2 columns"
    ):
        read(tmp_path / "t.csv", ["a"])
