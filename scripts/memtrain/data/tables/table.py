"""Tables of every kind of file: named columns, read in batches of a few MiB.

No file is read whole. Two kinds of files need more memory than a batch: a Parquet file, a page of
every column that is read (usually 1 MiB each), and a compressed Arrow file, one of its own batches.
"""

import csv
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pyarrow as pa

from memtrain.core.errors import UserError
from memtrain.data.tables.cell_spelling import PLAIN, CellSpelling

#: Size of a batch, large enough that the cost of a call does not matter.
_BATCH_BYTES = 4 << 20
_MOST_ROWS_PER_BATCH = 1 << 16

#: Errors that readers raise where a file is damaged, or its ending does not tell its kind.
_READING_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    RuntimeError,
    csv.Error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    pa.ArrowException,
)


@dataclass(frozen=True)
class Table:
    """Rows with named columns.

    Attributes:
        name: the file, or "file:member", for messages.
        columns: names of all columns, in their order; a name that occurs twice stands here twice.
        types: the type of every column, by its name. A column of several numbers a row is a
            fixed-size list; a column of a text file, whose words may spell numbers, is binary.
        read: function that takes the names of some columns and yields their batches.
        place: function that returns where a row stands, for messages, from its number, from 0, and
            the column that is meant; None where a row has a number and no line.
        spelling: how numbers are spelled, where they are text.
        hint: what the settings of the table seem to lack, as a sentence; empty for nothing.
        sides: of features and target in two files, the columns of each field by their names in its
            file; None for one file, whose columns may be either.
    """

    name: str
    columns: list[str]
    types: Mapping[str, pa.DataType]
    read: Callable[[list[str]], Iterator[pa.RecordBatch]]
    place: Callable[[int, str | None], str] | None = None
    spelling: CellSpelling = PLAIN
    hint: str = ""
    sides: Mapping[str, Mapping[str, str]] | None = None

    def side(self, field: str) -> Mapping[str, str]:
        """Return the columns that a field may have: their names by their names in the file.

        Args:
            field: "features" or "target".
        """
        return self.sides[field] if self.sides else {name: name for name in self.columns}

    def plain(self, column: str, cells: pa.Array) -> pa.Array:
        """Return the cells of a column of numbers, as others spell numbers.

        Raises:
            RefusedValueError: for the first cell that is spelled in another way.
        """
        return self.spelling.plain(cells)

    def place_of(self, row: int, column: str | None = None) -> str:
        """Return where a row stands, for messages: "houses.csv, line 18 (row 16)".

        A text file is read once more to find the line.

        Args:
            row: number of the row in the table, from 0.
            column: the column that is meant, if it is one.
        """
        with suppress(UserError, *_READING_ERRORS):
            if self.place is not None:
                return self.place(row, column)
        return f"{self.name}, row {row:,}"

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield all rows in their order, in batches that hold at least these columns.

        Raises:
            UserError: where the file turns out to be damaged.
        """
        with reading_errors(self.name):
            yield from self.read(columns)


@contextmanager
def reading_errors(name: str) -> Iterator[None]:
    """Turn the errors of the readers into a ``UserError`` that names the file.

    Args:
        name: name of the file, for the message.

    Raises:
        UserError: in place of any error of a reader.
    """
    try:
        yield
    except _READING_ERRORS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{name}: it cannot be read ({reason}). It may be cut short, or be of another kind "
            "than its ending says. Write it anew."
        ) from None


def rows_per_batch(row_bytes: int) -> int:
    """Return the number of rows of a batch of a few MiB."""
    return max(1, min(_MOST_ROWS_PER_BATCH, _BATCH_BYTES // max(row_bytes, 1)))


def batch_sizes(rows: int, row_bytes: int) -> Iterator[int]:
    """Yield the number of rows of each batch of a table."""
    step = rows_per_batch(row_bytes)
    for start in range(0, rows, step):
        yield min(step, rows - start)
