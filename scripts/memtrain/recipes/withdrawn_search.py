"""Finds withdrawn rows by their values, in one pass over the source of a data file.

A row is found where it has the values of a withdrawn row in all columns that both have. Rows with
the same values are all found, since nothing tells which of them was meant. Most rows differ in one
column already, so that the others are looked at only where this one agrees. Memory holds a batch of
the source, the digests of the withdrawn rows, and 8 bytes for every row that was found.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.row_numbers import ranges_of_rows
from memtrain.core.wording import listed
from memtrain.data.tables.cell_digests import digest_cells, digest_rows_of_cells
from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.data.tables.source_rows import LEFT_OUT, SourceBatch, SourceRows


@dataclass(frozen=True)
class FoundRows:
    """Where rows with some values lie.

    Attributes:
        ranges: the rows of the data file, sorted.
        missing: number of rows whose values no row of the source has.
    """

    ranges: list[Range]
    missing: int


class _Wanted:
    """The rows of one withdrawal, and what was found of them.

    Args:
        columns: the columns that are compared.
        digests: their digests, uint64 (rows, columns).

    Attributes:
        columns: the columns, the one with the most values first.
        first_digests: the digests of this one, sorted.
    """

    def __init__(self, columns: Sequence[str], digests: np.ndarray):
        values = [len(np.unique(column)) for column in digests.T]
        order = np.argsort(values, kind="stable")[::-1]
        digests = digests[:, order]
        self.columns = tuple(columns[int(number)] for number in order)
        self.first_digests = np.unique(digests[:, 0])
        self._rows, self._counts = np.unique(digest_rows_of_cells(digests), return_counts=True)
        self._is_found = np.zeros(len(self._rows), bool)
        self._places: list[np.ndarray] = []

    def look_at(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Note which rows of a batch are among those wanted: digests and places, (rows,)."""
        at, is_wanted = _looked_up(rows, self._rows)
        self._is_found[at[is_wanted]] = True
        self._places.append(places[is_wanted & (places != LEFT_OUT)])

    def found(self, source: SourceRows) -> FoundRows:
        """Return what was found in all batches."""
        places = np.concatenate([np.empty(0, np.int64), *self._places])
        return FoundRows(
            ranges=ranges_of_rows(np.sort(source.order.rows_at(places))),
            missing=int(self._counts[~self._is_found].sum()),
        )


def digests_of_rows(source: SourceRows, rows: Range, key: bytes) -> np.ndarray:
    """Return the digests of the values that rows of the data file have in the source.

    Args:
        source: the source of the data file.
        rows: the rows.
        key: the key of the digests.

    Returns:
        uint64 (rows, columns of the source).
    """
    columns = source.columns
    places = source.order.places_of(np.arange(rows.start, rows.end))
    order = np.argsort(places)
    sorted_places = places[order]
    digests = np.empty((rows.rows, len(columns)), np.uint64)
    for batch in source.batches(columns):
        at, is_wanted = _looked_up(batch.places, sorted_places)
        if is_wanted.any():
            content = batch.content.filter(pa.array(is_wanted))
            digests[order[at[is_wanted]]] = _digests(content, columns, key)
    return digests


def find_rows(
    source: SourceRows, wanted: Iterable[tuple[Sequence[str], np.ndarray]], key: bytes
) -> list[FoundRows]:
    """Return where the rows of some withdrawals lie.

    Args:
        source: the source of the data file.
        wanted: of each withdrawal the columns, and their digests, uint64 (rows, columns).
        key: the key of the digests.

    Raises:
        UserError: where the source has none of the columns of a withdrawal.
    """
    searches = [_search(source, columns, digests) for columns, digests in wanted]
    groups = {
        columns: [search for search in searches if search.columns == columns]
        for columns in sorted({search.columns for search in searches})
    }
    for batch in source.batches(sorted({name for columns in groups for name in columns})):
        for columns, group in groups.items():
            _look_at(batch, columns, group, key)
    return [search.found(source) for search in searches]


def _look_at(
    batch: SourceBatch, columns: tuple[str, ...], group: Sequence[_Wanted], key: bytes
) -> None:
    """Look for the rows of withdrawals that are known by the same columns."""
    first = _digests(batch.content, columns[:1], key)[:, 0]
    may_be_wanted = np.zeros(len(first), bool)
    for search in group:
        may_be_wanted |= _looked_up(first, search.first_digests)[1]
    if may_be_wanted.any():
        content = batch.content.filter(pa.array(may_be_wanted))
        rows = digest_rows_of_cells(_digests(content, columns, key))
        for search in group:
            search.look_at(rows, batch.places[may_be_wanted])


def _looked_up(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where values stand among known ones, which are sorted, and which of them do."""
    at = np.searchsorted(known, values).clip(max=len(known) - 1)
    return at, known[at] == values


def _search(source: SourceRows, columns: Sequence[str], digests: np.ndarray) -> _Wanted:
    common = source.present(columns)
    if not common:
        raise UserError(
            f"the withdrawn rows are known by the columns {listed(columns)}, and the source of the "
            "rows has none of them any more. Bring one back under its name, or run `lineage.py "
            "restore` and withdraw the rows where they lie now."
        )
    return _Wanted(common, digests[:, [columns.index(name) for name in common]])


def _digests(content: pa.RecordBatch, columns: Sequence[str], key: bytes) -> np.ndarray:
    digests = np.empty((content.num_rows, len(columns)), np.uint64)
    for number, name in enumerate(columns):
        try:
            digests[:, number] = digest_cells(content.column(name), key, name)
        except RefusedValueError as refusal:
            raise UserError(f"column '{name}': {refusal.reason}") from None
    return digests
