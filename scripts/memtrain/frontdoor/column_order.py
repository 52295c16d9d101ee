"""What a column says about the order of the rows: whether it rises, and whether its values repeat.

Each question reads this column alone.
"""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyarrow import compute

from memtrain.data.tables.column_kinds import is_text
from memtrain.data.tables.date_spellings import iso_dates
from memtrain.data.tables.row_codes import codes_of_rows
from memtrain.data.tables.table import Table


def different_values(tables: Sequence[Table], column: str) -> int:
    """Return the number of different values of a column, missing ones aside.

    Memory grows by about 100 bytes for each of them.
    """
    seen: set[object] = set()
    for cells in _parts(tables, column):
        seen.update(cells.drop_null().unique().to_pylist())
    return len(seen)


def has_missing(tables: Sequence[Table], column: str) -> bool:
    """Return whether a value is missing as an order of groups takes it, spelled NaN for example."""
    return any(codes_of_rows(cells).missing.any() for cells in _parts(tables, column))


def is_sorted(tables: Sequence[Table], column: str) -> bool:
    """Return whether no value of a column is less than the one before it.

    Dates and times in text are compared as ISO 8601 writes them, which is their order. A column
    with a missing value is not sorted.
    """
    last = None
    for cells in _parts(tables, column):
        if cells.null_count:
            return False
        if not len(cells):
            continue
        if is_text(cells.type):
            cells = iso_dates(compute.utf8_trim_whitespace(cells.cast(pa.string())))
        rises = compute.all(compute.greater_equal(cells.slice(1), cells.slice(0, len(cells) - 1)))
        if rises.as_py() is False or (last is not None and cells[0].as_py() < last):
            return False
        last = cells[len(cells) - 1].as_py()
    return True


def _parts(tables: Sequence[Table], column: str) -> Iterator[pa.Array]:
    """Yield the cells of a column, some rows at a time."""
    for table in tables:
        for batch in table.batches([column]):
            cells = batch.column(column)
            yield cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells
