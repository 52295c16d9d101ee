"""Text files are read as they are written: delimiters, encodings, signs, words, lines."""

import csv
import gzip
import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.dataset import ImportSettings
from memtrain.config.parsing import parse_settings
from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError
from memtrain.data.tables.csv_records import RecordWatch, count_strictly
from memtrain.data.tables.csv_text import CsvText, Utf8Stream
from memtrain.data.tables.files import open_tables
from tests.unit.data.test_import_data import XY, refusal, run_import


def read(path, columns, **options):
    """Return the cells of some columns of all tables of a file, as bytes."""
    given_ = parse_settings(CsvSettings, options)
    batches = [batch for table in open_tables([path], given_) for batch in table.batches(columns)]
    return {
        name: [cell for batch in batches for cell in batch.column(name).to_pylist()]
        for name in columns
    }


TABLE = [["a", "b;|\t, ö"], ["x;1", "two\nlines"], ['"', "y\r\nz"], ["é", ""]]


@pytest.mark.parametrize("delimiter", [";", "tab", "\t", "|", "space", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-7"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_delimiters_and_encodings(tmp_path, delimiter, encoding, quote):
    sign = {"tab": "\t", "space": " "}.get(delimiter, delimiter)
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=sign, quotechar=quote).writerows(TABLE)
    (tmp_path / "t.csv").write_bytes(("# note\n\n" + text.getvalue()).encode(encoding))
    options = {"delimiter": delimiter, "encoding": encoding, "quote": quote, "skip_rows": 2}
    found = read(tmp_path / "t.csv", TABLE[0], **options)
    assert found == {
        name: [row[number].encode() or None for row in TABLE[1:]]
        for number, name in enumerate(TABLE[0])
    }


TABS = b"a\tb\n1\t,\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", TABS),
        ("t.tsv.gz", gzip.compress(TABS, mtime=0)),
        ("t.TSV", TABS),
    ],
)
def test_tsv_files_are_separated_by_tabs(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path / name, ["a", "b"]) == {"a": [b"1"], "b": [b","]}


def test_settings_reach_the_members_of_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("1.csv", "a;b\n1;,\n")
        archive.writestr("2.tsv", "a;b\n2;,\n")
        archive.writestr("readme.txt", "no table")
    found = read(tmp_path / "t.zip", ["a", "b"], delimiter=";")
    assert found == {"a": [b"1", b"2"], "b": [b",", b","]}


def test_a_folder_stands_for_no_txt_files_and_a_pattern_does(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    (tmp_path / "readme.txt").write_text("how this was measured")
    assert len(run_import(tmp_path, tmp_path / "1", **XY)[0]) == 1
    (tmp_path / "readme.txt").write_text("x,y\n3,4\n")
    assert len(run_import(tmp_path / "*.*", tmp_path / "2", **XY)[0]) == 2


def test_a_file_without_a_header(tmp_path):
    (tmp_path / "t.csv").write_text("1,2\n3,4")
    found = read(tmp_path / "t.csv", ["b"], column_names=["a", "b"])
    assert found == {"b": [b"2", b"4"]}
    with pytest.raises(UserError, match=r"first line has 2 cells, and .* has 1 name\. Name all"):
        read(tmp_path / "t.csv", ["a"], column_names=["a"])
    assert read(tmp_path / "t.csv", ["1"], column_names="numbers") == {"1": found["b"]}


def test_quotes_may_be_letters_like_others(tmp_path):
    (tmp_path / "t.tsv").write_text('a\tb\n"1\t2"\n"\t"x"y\n')
    assert read(tmp_path / "t.tsv", ["a", "b"], quote="none") == {
        "a": [b'"1', b'"'],
        "b": [b'2"', b'"x"y'],
    }
    with pytest.raises(UserError, match="quote: none"):
        read(tmp_path / "t.tsv", ["a"])


def test_words_for_missing_values_by_column(tmp_path):
    (tmp_path / "t.csv").write_text("x,pet,n\n.,NA,NA\n-9,.,1\n1,cat,2\n")
    assert read(tmp_path / "t.csv", ["x", "pet"]) == {
        "x": [b".", b"-9", b"1"],
        "pet": [b"NA", b".", b"cat"],
    }
    assert read(tmp_path / "t.csv", ["x", "pet"], null_values=[".", "NA", -9]) == {
        "x": [None, None, b"1"],
        "pet": [None, None, b"cat"],
    }
    assert read(tmp_path / "t.csv", ["x", "pet"], null_values={"p*": "NA", "x": -9}) == {
        "x": [b".", None, b"1"],
        "pet": [None, b".", b"cat"],
    }


def imported(tmp_path, text, **csv_options):
    (tmp_path / "t.csv").write_text(text)
    keys = {"features": ["x", "w"], "target": ["y"], "categories": ["w"]}
    return run_import(tmp_path / "t.csv", tmp_path, **keys, csv=csv_options)


def test_numbers_are_read_as_they_are_spelled_and_words_stay(tmp_path):
    text = "x;w;y\n1.234,5;1.2,3;2\n-1.234.567;b,c;1e-3\n,5;.;0,25\n"
    records, source = imported(tmp_path, text, delimiter=";", decimal=",", thousands=".")
    assert records["features_float32"][:, 0].tolist() == [1234.5, -1234567, 0.5]
    assert records["target"][:, 0].tolist() == [2, pytest.approx(1e-3), 0.25]
    (words,) = [list(column.words) for column in source.columns if column.name == "w"]
    assert words == [".", "1.2,3", "b,c"]


def test_spaces_of_all_kinds_stand_between_groups(tmp_path):
    text = "x;w;y\n1 234;a;2\n1\u00a0234;a;2\n1\u202f234.5;a;2\n"
    records, _ = imported(tmp_path, text, delimiter=";", thousands=" ")
    assert records["features_float32"][:, 0].tolist() == [1234, 1234, 1234.5]


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        ("1.5", {"decimal": ","}, "found '1.5', and the decimal sign of the file is ','"),
        (
            "1.23",
            {"decimal": ",", "thousands": "."},
            "found '1.23', where '.' does not stand between",
        ),
        ("12,34", {}, 'found the text .12,34. where a number is needed.*csv: {decimal: ","}'),
        ("1,2,3", {"decimal": ","}, "found the text"),
    ],
)
def test_numbers_that_are_spelled_in_other_ways_are_refused(tmp_path, cell, options, message):
    with pytest.raises(UserError, match=r"line 3 \(row 1\), column 'x': " + message):
        imported(tmp_path, f"x;w;y\n7;a;1\n{cell};a;2\n", delimiter=";", **options)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_recognized(tmp_path, delimiter):
    (tmp_path / "t.csv").write_text(f"x{delimiter}y\n1{delimiter}2\n")
    spelled = {"\t": "tab"}.get(delimiter, f'"{delimiter}"')
    assert f"set `csv: {{delimiter: {spelled}}}`" in refusal(tmp_path / "t.csv", **XY)


@pytest.mark.parametrize(
    ("first", "advice"),
    [
        ("sep=;", 'set `csv: {delimiter: ";", skip_rows: 1}`'),
        ("version https://git-lfs.github.com/spec/v1", "run `git lfs pull`"),
    ],
)
def test_first_lines_of_other_programs_are_recognized(tmp_path, first, advice):
    (tmp_path / "t.csv").write_text(f"{first}\nx;y\n1;2\n")
    assert advice in refusal(tmp_path / "t.csv", **XY)


def test_lines_above_the_header_are_recognized(tmp_path):
    (tmp_path / "t.csv").write_text("# measured in May\nx,y\n1,2\n")
    assert "csv: {skip_rows: N}" in refusal(tmp_path / "t.csv", **XY)


ENCODED = "n,x\ncafé,1\n"


def test_other_encodings_are_recognized(tmp_path):
    path = tmp_path / "t.csv"
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        path.write_bytes((ENCODED * 20).encode(encoding))
        with pytest.raises(UserError, match=f"encoding: {encoding}}}"):
            read(path, ["x"])
    path.write_bytes(ENCODED.encode("utf-8-sig"))
    with pytest.raises(UserError, match="encoding: utf-8}"):
        read(path, ["x"], encoding="latin-1")
    path.write_text("n,x\n")
    with pytest.raises(UserError, match="no text in utf-16"):
        read(path, ["x"], encoding="utf-16")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252", "shift_jis"])
def test_wrong_bytes_are_refused_with_line_and_column_where_they_are_read(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes(b'n,x,y\n"a\nb",1,1\nca\x81\x20,1,2\n')
    keys = {"target": ["y"], "csv": {"encoding": encoding}}
    assert len(run_import(path, tmp_path, features=["x"], **keys)[0]) == 2
    problem = refusal(path, features=["n"], categories=["n"], **keys)
    assert "t.csv, line 4 (row 1), column 'n': its text b'ca\\x" in problem
    assert "encoding: cp1252" in problem


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n", "\n\n \n"])
def test_lines_are_exact_in_messages(tmp_path, end, last):
    text = 'note\n\nx,w,y\n\n1,"two\nlines",1\n\n\nno,b,2' + last
    (tmp_path / "t.csv").write_bytes(text.replace("\n", end).encode())
    problem = refusal(tmp_path / "t.csv", **XY, csv={"skip_rows": 2})
    where = "line 9 (row 1), column 'x'" if " " not in last else "line 11 (row 2): it has 1 cell"
    assert where in problem


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ("a\n1\n2\n", False),
        ("\n\na\n1\n2\n\n\n", False),
        ("a\r\n1\r\n2\r\n", False),
        ("a\n1\n\n2\n", True),
        ("a\n1\n\n2", True),
        ("a\n\n1\n", True),
        ("a\r1\r\r2", True),
        ("a\r\n1\r\n\r\n2", True),
        ('a\n1\n""\n2\n', False),
        ('a\n"1\n\n2"\n', False),
    ],
)
def test_a_blank_line_of_one_column_may_be_a_missing_value(tmp_path, text, is_refused):
    (tmp_path / "t.csv").write_bytes(text.encode())
    if is_refused:
        with pytest.raises(UserError, match="one column and blank lines between"):
            read(tmp_path / "t.csv", ["a"])
    else:
        read(tmp_path / "t.csv", ["a"])


@pytest.mark.parametrize("text", ["x,y\n1,\0\n2,3\n", "x,y\n1,2\n3,4\n\x1a", "x,y\n\x1a,2\n"])
def test_control_characters_are_no_numbers(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    assert "line" in refusal(tmp_path / "t.csv", **XY)


@settings(max_examples=300, deadline=None)
@given(st.text(',;\r\n"a', max_size=30), st.integers(1, 5), st.booleans())
def test_records_are_counted_as_others_read_them(text, size, has_quotes):
    content = text.encode()
    watch = RecordWatch(Utf8Stream(io.BytesIO(content), "utf-8"), ",", '"' if has_quotes else None)
    while watch.read(size):
        pass
    quoting = csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE
    rows = csv.reader(io.StringIO(text, newline=""), quoting=quoting, strict=True)
    try:
        expected = sum(bool(row) for row in rows)
    except csv.Error:
        expected = None
    given_ = CsvSettings(quote='"' if has_quotes else "none")
    if watch.ends_regularly:
        assert watch.records == expected
    elif expected is None:
        with pytest.raises(UserError, match=r"t\.csv, line"):
            count_strictly(CsvText("t.csv", lambda: io.BytesIO(content), given_, ","))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.text(',;\r\n"a ', max_size=4), min_size=3, max_size=3), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_all_rows_are_read(tmp_path_factory, rows, end, is_quoted):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    text = io.StringIO(newline="")
    # Only with "\r\n" at the ends of lines, both are quoted where they must be.
    quoting = csv.QUOTE_ALL if is_quoted or end != "\r\n" else csv.QUOTE_MINIMAL
    csv.writer(text, quoting=quoting, lineterminator=end).writerows([["x", "y", "z"], *rows])
    path.write_bytes(text.getvalue().encode())
    found = read(path, ["x", "y", "z"])
    assert [list(row) for row in zip(*found.values(), strict=True)] == [
        [cell.encode() or None for cell in row] for row in rows
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "ab"}, "csv.delimiter: found 'ab'; cells are separated by one character"),
        ({"delimiter": "§"}, "separated by one character"),
        ({"encoding": "klingon"}, "csv.encoding: found 'klingon'; there is no such encoding"),
        ({"encoding": "rot13"}, "no such encoding"),
        ({"null_values": [None]}, "csv.null_values: found .*write the word in quotes"),
        ({"decimal": ",", "thousands": ","}, "decimal and thousands are both ','"),
        ({"decimal": ";"}, "csv.decimal: found ';'"),
        ({"skip_rows": -1}, "csv.skip_rows: found -1"),
        ({"column_names": []}, "csv.column_names: found []; a list of the names"),
        ({"column_names": "abc"}, "csv.column_names: found 'abc'; .* the word numbers"),
        ({"sep": ";"}, "there is no such key"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(UserError) as error:
        parse_settings(ImportSettings, {"path": "t.csv", **XY, "csv": options})
    assert message.split(".*")[0] in str(error.value)
    assert message.split(".*")[-1] in str(error.value)
