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
from memtrain.data.tables.table import Table

#: Least number of bytes that are parsed at once.
_BLOCK_BYTES = 1 << 20

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
    with opener() as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        header = next((row for row in csv.reader(text) if row), None)
    if header is None:
        raise UserError(f"{name}: it is empty; a first line with the names of columns is needed.")
    block_bytes = max(_BLOCK_BYTES, _CELL_BYTES * len(header))
    return Table(name, header, partial(_read_csv, name, opener, block_bytes))


def _read_csv(
    name: str, opener: _Opener, block_bytes: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Yield all cells as text and empty ones as null, so that Arrow guesses no types."""
    try:
        with opener() as stream:
            yield from arrow_csv.open_csv(
                pa.PythonFile(stream, "r"),
                arrow_csv.ReadOptions(use_threads=False, block_size=block_bytes),
                arrow_csv.ParseOptions(newlines_in_values=True),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=columns,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
    except pa.ArrowInvalid as error:
        ragged = _RAGGED_ROW.search(str(error))
        if ragged is None:
            raise
        raise UserError(
            f"{name}, row {int(ragged['row']) - 1:,}: it has {ragged['found']} cells, but there "
            f"are {ragged['expected']} columns. Correct it; a cell that holds a comma is written "
            'in "quotes".'
        ) from None
