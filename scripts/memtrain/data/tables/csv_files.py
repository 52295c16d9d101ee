"""Tables of text: ``.csv``, ``.tsv`` and ``.txt``, also packed as ``.gz`` or in a ``.zip``."""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

import gzip
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import compute
from pyarrow import csv as arrow_csv

from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.data.tables.cell_spelling import CellSpelling
from memtrain.data.tables.csv_records import RecordWatch, count_strictly
from memtrain.data.tables.csv_text import CsvText, Opener
from memtrain.data.tables.table import Table

#: Least number of bytes that are parsed at once.
_BLOCK_BYTES = 1 << 20

#: Size of the largest block in which a row must fit.
_LARGEST_BLOCK_BYTES = 256 << 20

#: Bytes that a table with many columns parses at once for each column, since a whole row must fit.
_CELL_BYTES = 64

#: What separates cells in other files, in the order in which it is proposed.
_DELIMITERS = {";": '";"', "\t": "tab", "|": '"|"', ",": '","'}

#: Endings of the members of an archive that are tables, in lower case.
_MEMBERS = (".csv", ".tsv")


def open_text(path: Path, ending: str, settings: CsvSettings) -> list[Table]:
    """Open a file of text whose first line names the columns.

    Args:
        path: the file.
        ending: the ending of its name, in lower case; ".gz" at its end for a packed file.
        settings: how the file is written.
    """
    opener: Opener = lambda: path.open("rb")  # noqa: E731 - the type of the other branch is wider
    if ending.endswith(".gz"):
        opener = lambda: gzip.GzipFile(path)  # noqa: E731
    return [_csv_table(CsvText(str(path), opener, settings, settings.separator(ending)))]


def open_zip(path: Path, ending: str, settings: CsvSettings) -> list[Table]:
    """Open the text files of an archive, in the order of their names.

    Those that end in .csv or .tsv are read; where there are none, those that end in .txt.

    Args:
        path: the archive.
        ending: ".zip".
        settings: how the files are written.

    Raises:
        UserError: where there are none.
    """
    with zipfile.ZipFile(path) as archive:
        # The Finder of macOS adds a folder of files whose names end in .csv but that hold no CSV.
        names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
    members = [name for name in names if name.lower().endswith(_MEMBERS)]
    members = members or [name for name in names if name.lower().endswith(".txt")]
    if not members:
        packed = [name for name in names if name.lower().endswith((".zip", ".gz"))]
        advice = (
            f"Unpack {packed[0]}, which is packed itself." if packed else "Put CSV files into it."
        )
        raise UserError(f"{path}: it holds no file that ends in .csv, .tsv or .txt. {advice}")
    return [
        _csv_table(
            CsvText(
                f"{path}:{name}",
                partial(_opened_member, path, name),
                settings,
                settings.separator(Path(name.lower()).suffix),
            )
        )
        for name in sorted(members)
    ]


@contextmanager
def _opened_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
        yield stream


def _csv_table(text: CsvText) -> Table:
    text.check_encoding()
    with text.records() as records:
        first = next((cells for _, cells in records), None)
        second = next((cells for _, cells in records), None)
    columns = text.settings.column_names or first
    if first is None:
        needed = "first line with the names of columns" if text.has_header else "row"
        skipped = text.settings.skip_rows
        where = f"below the {counted(skipped, 'line')} of `skip_rows`" if skipped else "in it"
        raise UserError(f"{text.name}: there is nothing {where}; a {needed} is needed.")
    assert columns is not None
    if len(columns) != len(first):
        raise UserError(
            f"{text.name}: its first line has {counted(len(first), 'cell')}, and "
            f"`csv: {{column_names: ...}}` has {counted(len(columns), 'name')}. Name all columns."
            f"{_lacking_setting(text, first, second)}"
        )
    _refuse_foreign_names(text, columns)
    block_bytes = max(_BLOCK_BYTES, _CELL_BYTES * len(columns))
    return Table(
        name=text.name,
        columns=columns,
        types=dict.fromkeys(columns, pa.binary()),
        read=partial(_read_csv, text, columns, block_bytes),
        place=lambda row, _: text.place(row),
        spelling=CellSpelling(text.settings.decimal, text.settings.thousands),
        hint=_lacking_setting(text, first, second),
    )


def _refuse_foreign_names(text: CsvText, columns: list[str]) -> None:
    """Refuse a name with bytes that are no letters of the file's encoding."""
    for column in columns:
        shown = column.encode("utf-8", "surrogateescape")
        try:
            shown.decode()
        except UnicodeDecodeError:
            raise UserError(
                f"{text.name}: the name of a column, {shown!r}, is no text in "
                f"{text.settings.encoding}. Name the encoding of the file, such as "
                "`csv: {encoding: cp1252}` or latin-1, or save it as UTF-8."
            ) from None


def _lacking_setting(text: CsvText, first: list[str], second: list[str] | None) -> str:
    """Return which setting is meant where a file's first lines do not look like a table's."""
    if second is not None and len(second) > len(first):
        return " If lines stand above the header, set `csv: {skip_rows: N}`."
    if len(first) > 1:
        return ""
    for delimiter, spelled in _DELIMITERS.items():
        count = first[0].count(delimiter)
        if count and (second is None or second[0].count(delimiter) >= count):
            setting = f"`csv: {{delimiter: {spelled}}}`"
            return f" Its cells seem to be separated by {spelled}: set {setting}."
    return ""


def _read_csv(
    text: CsvText, names: list[str], block_bytes: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Yield all cells as bytes and missing ones as null, so that Arrow guesses no types.

    Arrow parses a whole number of rows at once. Where a row does not fit into a block, the file is
    read again in larger ones, without the rows that were yielded already.
    """
    rows = 0
    while True:
        skipped = rows
        try:
            for batch in _parse(text, names, block_bytes, columns):
                left = batch.slice(min(skipped, batch.num_rows))
                skipped -= batch.num_rows - left.num_rows
                rows += left.num_rows
                if left.num_rows:
                    yield left
            return
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise
            if block_bytes >= _LARGEST_BLOCK_BYTES:
                raise UserError(
                    f"{text.place(rows)} or soon after: a row takes over {block_bytes >> 20} MiB, "
                    "or a quote is not closed. Correct it, or leave out its longest cell."
                ) from None
            block_bytes *= 4


def _parse(
    text: CsvText, names: list[str], block_bytes: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    words = {name: text.settings.missing_words(name) for name in columns}
    read_rows = 0
    with text.stream() as stream:
        watch = RecordWatch(stream, text.delimiter, text.quote, text.has_header)
        try:
            with arrow_csv.open_csv(
                pa.PythonFile(watch, "r"),
                arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=block_bytes,
                    column_names=None if text.has_header else names,
                ),
                arrow_csv.ParseOptions(
                    delimiter=text.delimiter,
                    quote_char=text.quote or False,
                    double_quote=text.quote is not None,
                    newlines_in_values=text.quote is not None,
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.binary()),
                    include_columns=columns,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            ) as batches:
                for batch in batches:
                    read_rows += batch.num_rows
                    yield _without_words(batch, words)
        except pa.ArrowInvalid as error:
            if "straddling" in str(error) and watch.is_regular:
                raise
            # An irregular quote is the better explanation for whatever went wrong.
            if not watch.ends_regularly:
                count_strictly(text)
            _refuse_ragged_row(text, len(names))
            if "Empty CSV file or block" not in str(error):  # a header without an end of line
                raise
        _check_rows(text, watch, read_rows, len(names))


def _without_words(batch: pa.RecordBatch, words: dict[str, list[str]]) -> pa.RecordBatch:
    """Return a batch with null in the place of words that mean a missing value."""
    for number, name in enumerate(batch.schema.names):
        if words[name]:
            cells = batch.column(number)
            is_missing = compute.is_in(cells, pa.array([one.encode() for one in words[name]]))
            cells = compute.if_else(is_missing, None, cells)
            batch = batch.set_column(number, name, cells)
    return batch


def _check_rows(text: CsvText, watch: RecordWatch, read_rows: int, columns: int) -> None:
    """Compare the rows that were read with the lines of the file.

    Raises:
        UserError: where they differ, where quotes are irregular, and where a blank line may be a
            missing value.
    """
    records = watch.records if watch.ends_regularly else count_strictly(text)
    rows = records - text.has_header
    if rows != read_rows:
        raise UserError(
            f"{text.name}: {read_rows:,} rows were read where its lines are {rows:,} rows. Nothing "
            "was imported. Write the file anew, for example as .parquet, and report this."
        )
    if columns == 1 and watch.has_inner_blanks:
        raise UserError(
            f"{text.name}: it has one column and blank lines between its rows. A blank line may be "
            'a missing value or nothing. Write "" or NA for a missing value, or remove the lines.'
        )


def _refuse_ragged_row(text: CsvText, columns: int) -> None:
    """Refuse the first row whose number of cells is another than that of the columns."""
    number, line, cells = 0, 1, [""] * columns
    with text.records() as records:
        for number, (line, cells) in enumerate(records):  # noqa: B007 - they are needed below
            if len(cells) != columns:
                break
    if len(cells) == columns:
        return
    with text.records() as records:
        first, second = ([cells for _, cells in islice(records, 2)] + [None])[:2]
    advice = _lacking_setting(text, first or [], second)
    raise UserError(
        f"{text.place(number - text.has_header, line)}: it has {counted(len(cells), 'cell')}, but "
        f"there are {counted(columns, 'column')}. Correct it; a cell that holds "
        f"{_DELIMITERS.get(text.delimiter, repr(text.delimiter))} is written in quotes.{advice}"
    )
