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

import numpy as np
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

#: Size of the largest row.
_LARGEST_ROW_BYTES = 256 << 20

#: Rows that are put together at once where Arrow cannot read them.
_ROWS_AT_ONCE = 10_000

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
    columns = _names_of_columns(text.settings, first or [])
    if first is None:
        needed = "first line with the names of columns" if text.has_header else "row"
        skipped = text.settings.skip_rows
        where = f"below the {counted(skipped, 'line')} of `skip_rows`" if skipped else "in it"
        raise UserError(f"{text.name}: there is nothing {where}; a {needed} is needed.")
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


def _names_of_columns(settings: CsvSettings, first: list[str]) -> list[str]:
    """Return the names of the columns of a file, by the cells of its first line."""
    if settings.column_names == "numbers":
        return [str(place) for place in range(len(first))]
    return settings.column_names or first


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
    line = text.delimiter.join(first)
    if line.startswith("sep=") and len(line) > len("sep="):
        setting = f"`csv: {{delimiter: {_DELIMITERS.get(line[4], repr(line[4]))}, skip_rows: 1}}`"
        return f" The first line tells Excel the delimiter: set {setting}."
    if line.startswith("version https://git-lfs"):
        return " This is a pointer of Git LFS to the file: run `git lfs pull`."
    for delimiter, spelled in _DELIMITERS.items() if len(first) == 1 else ():
        count = first[0].count(delimiter)
        if count and (second is None or text.delimiter.join(second).count(delimiter) >= count):
            setting = f"`csv: {{delimiter: {spelled}}}`"
            return f" Its cells seem to be separated by {spelled}: set {setting}."
    if second is not None and len(second) > len(first):
        return " If lines stand above the header, set `csv: {skip_rows: N}`."
    return ""


def _read_csv(
    text: CsvText, names: list[str], block_bytes: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Yield all cells as bytes and missing ones as null, so that Arrow guesses no types."""
    words = {name: text.settings.missing_words(name) for name in columns}
    read_rows = 0
    with text.stream() as stream:
        watch = RecordWatch(stream, text.delimiter, text.quote, text.has_header)
        for piece in _pieces(text, watch, block_bytes):
            batch = _parse(text, piece, names, columns)
            read_rows += batch.num_rows
            yield _without_words(batch, words)
    if not watch.ends_regularly:
        records = count_strictly(text)
        for batch in _read_slowly(text, names, columns, read_rows):
            read_rows += batch.num_rows
            yield _without_words(batch, words)
    else:
        records = watch.records
    _check_rows(text, records, read_rows)
    if len(names) == 1 and watch.has_inner_blanks:
        raise UserError(
            f"{text.name}: it has one column and blank lines between its rows. A blank line may be "
            'a missing value or nothing. Write "" or NA for a missing value, or remove the lines.'
        )


def _pieces(text: CsvText, watch: RecordWatch, block_bytes: int) -> Iterator[bytes]:
    """Yield the text below the header in pieces of whole rows, as long as quotes are regular.

    Raises:
        UserError: for a row that is larger than memory should hold.
    """
    left: list[bytes] = []
    is_below_header = not text.has_header
    while content := watch.read(block_bytes):
        if not watch.is_regular:
            return
        cut = watch.end_of_rows
        if cut:
            piece = b"".join([*left, content[:cut]])
            left = [content[cut:]]
            if not is_below_header:
                piece, is_below_header = piece[watch.end_of_header(piece) :], True
            if piece.strip(b"\r\n"):
                yield piece
        else:
            left.append(content)
        if sum(map(len, left)) > _LARGEST_ROW_BYTES:
            raise UserError(
                f"{text.place(watch.records - text.has_header)} or soon after: a row takes over "
                f"{_LARGEST_ROW_BYTES >> 20} MiB, or a quote is not closed. Correct it, or leave "
                "out its longest cell."
            )
    last = b"".join(left)
    if is_below_header and watch.ends_regularly and last.strip(b"\r\n"):
        yield last


def _parse(text: CsvText, piece: bytes, names: list[str], columns: list[str]) -> pa.RecordBatch:
    """Return the rows of a piece.

    Raises:
        UserError: for a row whose number of cells is another than that of the columns.
    """
    # Arrow's threads may release memory later than this function ends. Releasing memory of Python's
    # while Python ends would abort the process, so it is memory of Arrow's own.
    memory = pa.allocate_buffer(len(piece) + 1)
    bytes_of_memory = np.frombuffer(memory, np.uint8)
    bytes_of_memory[:-1] = np.frombuffer(piece, np.uint8)
    bytes_of_memory[-1] = ord("\n")
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(memory),
            arrow_csv.ReadOptions(use_threads=False, block_size=len(piece) + 2, column_names=names),
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
        )
    except pa.ArrowInvalid:
        _refuse_ragged_row(text, len(names))
        raise
    return table.combine_chunks().to_batches()[0]


def _read_slowly(
    text: CsvText, names: list[str], columns: list[str], read_rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows behind the first ones, of a file with quotes within cells that have none.

    Where a row ends cannot be told from the number of quotes in such files.
    """
    places = {name: names.index(name) for name in columns}
    with text.records() as records:
        rows = islice(records, read_rows + text.has_header, None)
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            if any(len(cells) != len(names) for _, cells in some):
                _refuse_ragged_row(text, len(names))
            yield pa.RecordBatch.from_pydict(
                {
                    name: pa.array(
                        [cells[at].encode("utf-8", "surrogateescape") or None for _, cells in some],
                        pa.binary(),
                    )
                    for name, at in places.items()
                }
            )


def _without_words(batch: pa.RecordBatch, words: dict[str, list[str]]) -> pa.RecordBatch:
    """Return a batch with null in the place of words that mean a missing value."""
    for number, name in enumerate(batch.schema.names):
        if words[name]:
            cells = batch.column(number)
            is_missing = compute.is_in(cells, pa.array([one.encode() for one in words[name]]))
            cells = compute.if_else(is_missing, None, cells)
            batch = batch.set_column(number, name, cells)
    return batch


def _check_rows(text: CsvText, records: int, read_rows: int) -> None:
    """Compare the rows that were read with the lines of the file.

    Raises:
        UserError: where they differ.
    """
    rows = records - text.has_header
    if rows != read_rows:
        raise UserError(
            f"{text.name}: {read_rows:,} rows were read, but its lines are {rows:,} rows. Nothing "
            "was imported. Write the file anew, for example as .parquet, and report this."
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
    there = "there is" if columns == 1 else "there are"
    delimiter = _DELIMITERS.get(text.delimiter, repr(text.delimiter))
    raise UserError(
        f"{text.place(number - text.has_header, line)}: it has {counted(len(cells), 'cell')}, but "
        f"{there} {counted(columns, 'column')}. Correct it; a cell that holds {delimiter} is "
        f"written in quotes.{advice}"
    )
