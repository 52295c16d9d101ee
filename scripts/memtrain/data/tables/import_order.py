"""The order in which an import writes rows: what the first pass learns of it, and what follows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from memtrain.config.dataset import ImportSettings
from memtrain.data.record_file import RecordLayout
from memtrain.data.row_places import (
    MOST_STRATA,
    GroupedPlaces,
    RowPlaces,
    SourcePlaces,
    StratifiedPlaces,
    UniformPlaces,
)
from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.data.tables.row_codes import codes_of_rows
from memtrain.data.tables.selected_columns import absent_columns
from memtrain.data.tables.table import Table
from memtrain.data.value_counts import ValueCounts


class ImportOrder:
    """Learns the values of the column by which rows are ordered, and gives rows their places.

    Args:
        settings: settings of the import.

    Attributes:
        column: name of the column; None for an order that has none.
    """

    def __init__(self, settings: ImportSettings):
        self.column = settings.order_column
        self._shuffle = settings.shuffle_once
        self._is_grouped = settings.group_column is not None
        self._counts = ValueCounts()
        self._runs = _Runs()

    def absent_column(self, tables: list[Table]) -> Iterator[str]:
        """Yield a problem where a table lacks the column of the order, or has it twice."""
        yield from absent_columns(tables, [] if self.column is None else [self.column])

    def codes(self, rows: pa.RecordBatch, kept: np.ndarray) -> np.ndarray | None:
        """Return the codes of the values of rows that are kept, uint64; None without a column.

        Args:
            rows: rows of a table.
            kept: which of them are kept, booleans (rows,).

        Raises:
            RefusedValueError: for values that have no codes, and for a missing group.
        """
        if self.column is None:
            return None
        found = codes_of_rows(rows.column(self.column))
        missing = np.flatnonzero(found.missing & kept)
        if self._is_grouped and len(missing):
            raise RefusedValueError(
                "its value is missing, so that nothing says which group the row belongs to. Fill "
                "it in; a row without a group may have one of its own, under a name of its own.",
                int(missing[0]),
            )
        return found.codes[kept]

    def learn(self, rows: pa.RecordBatch, kept: np.ndarray) -> None:
        """Count the values of rows that are kept.

        Raises:
            RefusedValueError: for values that have no codes, for a missing group, and where rows
                that are not shuffled lie apart from others of their group.
        """
        codes = self.codes(rows, kept)
        if codes is None:
            return
        self._counts.add(codes)
        if self._is_grouped and self._shuffle is None:
            at = self._runs.first_again(codes, self._counts)
            if at is not None:
                row = int(np.flatnonzero(kept)[at])
                value = rows.column(self.column)[row]
                raise RefusedValueError(
                    f"the group {_shown(value)} has rows before, and other groups lie between. "
                    "Sort the rows by this column, or let `shuffle_once: {seed: 1, group_by: "
                    f"{self.column}}}` bring groups together.",
                    row,
                )

    def refuse(self) -> None:
        """Refuse a column that cannot order rows; for the end of the first pass.

        Raises:
            RefusedValueError: for a column to stratify by with too many values.
        """
        values = len(self._counts.codes)
        if self.column is not None and not self._is_grouped and values > MOST_STRATA:
            raise RefusedValueError(
                f"it has {values:,} different values, and shares are kept of at most "
                f"{MOST_STRATA:,} classes. Stratify by a column with fewer values, such as a "
                "number cut into ranges."
            )

    def places(self, layout: RecordLayout, folder: Path) -> RowPlaces:
        """Return the places of all rows, after the first pass.

        Args:
            layout: layout of the data file.
            folder: where a scratch file may lie.
        """
        shuffle, size = self._shuffle, layout.row_bytes
        if shuffle is None:
            return SourcePlaces(layout.rows)
        if shuffle.stratify_by is not None:
            return StratifiedPlaces(shuffle.seed, self._counts, size, folder=folder)
        if shuffle.group_by is not None:
            return GroupedPlaces(shuffle.seed, self._counts, size)
        return UniformPlaces.of(shuffle.seed, layout.rows, size)

    def group_starts(self, places: RowPlaces) -> np.ndarray | None:
        """Return the first row of every group in the data file, int64; None without groups."""
        if not self._is_grouped:
            return None
        return places.starts if isinstance(places, GroupedPlaces) else self._runs.starts


class _Runs:
    """The runs of equal codes in rows that keep their order."""

    def __init__(self) -> None:
        self._rows = 0
        self._last: np.ndarray = np.zeros(0, np.uint64)
        self._starts: list[np.ndarray] = []

    @property
    def starts(self) -> np.ndarray:
        """The first row of every run, int64 (runs,)."""
        return np.concatenate([np.zeros(0, np.int64), *self._starts])

    def first_again(self, codes: np.ndarray, counts: ValueCounts) -> int | None:
        """Take the codes of the next rows, and return the first that begins a second run.

        Args:
            codes: uint64 (rows,).
            counts: the counts of all codes up to these.
        """
        before = np.append(self._last, codes[:-1]) if len(self._last) else codes[:-1]
        changes = np.flatnonzero(codes[len(codes) - len(before) :] != before)
        starts = changes + (len(codes) - len(before))
        if not len(self._last) and len(codes):
            starts = np.append(0, starts)
        self._starts.append(starts + self._rows)
        self._rows += len(codes)
        self._last = codes[-1:] if len(codes) else self._last
        if sum(map(len, self._starts)) == len(counts.codes):
            return None
        return _first_second_run(codes, starts, counts)


def _first_second_run(codes: np.ndarray, starts: np.ndarray, counts: ValueCounts) -> int:
    """Return the first start of a run whose code has rows before that run."""
    seen_here: dict[int, int] = {}
    known = dict(zip(counts.codes.tolist(), counts.counts.tolist(), strict=True))
    values, here = np.unique(codes, return_counts=True)
    for value, count in zip(values.tolist(), here.tolist(), strict=True):
        seen_here[value] = known[value] - count
    begun = {value for value, before in seen_here.items() if before}
    for start in starts.tolist():
        value = int(codes[start])
        if value in begun:
            return start
        begun.add(value)
    raise AssertionError("a run begins again")


def _shown(value: pa.Scalar) -> str:
    found = value.as_py()
    return repr(found.decode(errors="replace") if isinstance(found, bytes) else found)[:100]
