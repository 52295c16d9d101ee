"""Tables of text: ``.csv``, ``.csv.gz``, and the CSV members of a ``.zip``."""

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import csv as arrow_csv

from memtrain.core.errors import UserError
from memtrain.data.tables.csv_quotes import QuoteWatch, refuse_irregular_quotes
from memtrain.data.tables.table import Table

#: Least number of bytes that are parsed at once.
_BLOCK_BYTES = 1 << 20

#: Size of the largest block in which a row must fit.
_LARGEST_BLOCK_BYTES = 256 << 20

#: Bytes that a table with many columns parses at once for each column, since a whole row must fit.
_CELL_BYTES = 64

#: How Arrow reports a row with too many or too few cells; it counts the header as row 1.
_RAGGED_ROW = re.compile(
    r"Row #(?P<row>\d+): Expected (?P<expected>\d+) columns, got (?P<found>\d+)"
)

#: Function that opens a stream of bytes, at its beginning every time.
_Opener = Callable[[], AbstractContextManager[IO[bytes] | gzip.GzipFile]]


def open_csv(path: Path) -> list[Table]:
    """Open a CSV file, whose first line names the columns."""
    return [_csv_table(str(path), lambda: path.open("rb"))]


def open_csv_gz(path: Path) -> list[Table]:
    """Open a compressed CSV file."""
    return [_csv_table(str(path), lambda: gzip.GzipFile(path))]


def open_zip(path: Path) -> list[Table]:
    """Open the CSV files of an archive, in the order of their names.

    Raises:
        UserError: where there are none.
    """
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
    # The Finder of macOS adds a folder of files whose names end in .csv but that hold no CSV.
    members = sorted(name for name in names if not name.startswith("__MACOSX/"))
    if not members:
        raise UserError(f"{path}: it holds no file that ends in .csv. Put CSV files into it.")
    return [_csv_table(f"{path}:{name}", partial(_opened_member, path, name)) for name in members]


@contextmanager
def _opened_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
        yield stream


def _csv_table(name: str, opener: _Opener) -> Table:
    # What no column needs is not decoded, so that one foreign letter elsewhere does no harm.
    with opener() as stream, _as_lines(stream) as lines:
        header = next((row for row in csv.reader(lines) if row), None)
    if header is None:
        raise UserError(f"{name}: it is empty; a first line with the names of columns is needed.")
    foreign = [column for column in header if not _is_utf8(column)]
    if foreign:
        shown = foreign[0].encode("utf-8", "surrogateescape")
        raise UserError(
            f"{name}: the name of a column, {shown!r}, is not UTF-8. Save the file as UTF-8."
        )
    block_bytes = max(_BLOCK_BYTES, _CELL_BYTES * len(header))
    types = dict.fromkeys(header, pa.binary())
    return Table(name, header, types, partial(_read_csv, name, opener, block_bytes))


def _as_lines(stream: IO[bytes] | gzip.GzipFile) -> io.TextIOWrapper:
    # Two kinds of streams of bytes, of which the stubs know only one.
    return io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")  # type: ignore[arg-type]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_csv(
    name: str, opener: _Opener, block_bytes: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Yield all cells as bytes and empty ones as null, so that Arrow guesses no types.

    Arrow parses a whole number of rows at once. Where a row does not fit into a block, the file is
    read again in larger ones, without the rows that were yielded already.
    """
    rows = 0
    while True:
        skipped = rows
        try:
            for batch in _parse(name, opener, block_bytes, columns):
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
                    f"{name}, row {rows + 1:,} or soon after: it takes over "
                    f"{block_bytes >> 20} MiB, or a quote is not closed. Correct it, or leave out "
                    "its longest cell."
                ) from None
            block_bytes *= 4


def _parse(
    name: str, opener: _Opener, block_bytes: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    with opener() as stream:
        watch = QuoteWatch(stream)
        try:
            with arrow_csv.open_csv(
                pa.PythonFile(watch, "r"),
                arrow_csv.ReadOptions(use_threads=False, block_size=block_bytes),
                arrow_csv.ParseOptions(newlines_in_values=True),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.binary()),
                    include_columns=columns,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            ) as batches:
                yield from batches
        except pa.ArrowInvalid as error:
            # An irregular quote is the better explanation for whatever went wrong.
            _check_quotes(name, opener, watch)
            ragged = _RAGGED_ROW.search(str(error))
            if ragged is not None:
                raise UserError(
                    f"{name}, row {int(ragged['row']) - 1:,}: it has {ragged['found']} cells, but "
                    f"there are {ragged['expected']} columns. Correct it; a cell that holds a "
                    'comma is written in "quotes".'
                ) from None
            if "Empty CSV file or block" not in str(error):  # a header without an end of line
                raise
        _check_quotes(name, opener, watch)


def _check_quotes(name: str, opener: _Opener, watch: QuoteWatch) -> None:
    if not watch.ends_regularly:
        with opener() as stream, _as_lines(stream) as lines:
            refuse_irregular_quotes(name, lines)
