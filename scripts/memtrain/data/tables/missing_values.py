"""Missing values of an import: which rows are left out, and what is wrong with the others."""

from collections.abc import Iterator, Mapping

import numpy as np

from memtrain.config.dataset import ResolvedImport
from memtrain.data.tables.cell_values import NumberCells, WordCells
from memtrain.data.tables.columns import Column
from memtrain.data.tables.table import Table


class MissingValues:
    """Counts the missing values of each column, and applies the policies for them.

    Args:
        settings: settings of the import, which say what happens at a missing value.
    """

    def __init__(self, settings: ResolvedImport):
        self._settings = settings
        self._counts: dict[str, int] = {}
        self._first_places: dict[str, tuple[Table, int]] = {}

    def count(self, column: Column, missing: np.ndarray, table: Table, start: int) -> None:
        """Count the missing values of one column in some rows of a table.

        Args:
            column: the column.
            missing: which of its values are missing, booleans (rows, width).
            table: the table.
            start: number of the first of these rows in the table, from 0.
        """
        if missing.any():
            row = start + int(missing.any(axis=1).argmax())
            self._counts[column.name] = self._counts.get(column.name, 0) + int(missing.sum())
            self._first_places.setdefault(column.name, (table, row))

    def kept_rows(self, cells: Mapping[Column, NumberCells | WordCells], rows: int) -> np.ndarray:
        """Return which rows are kept, booleans (rows,).

        Args:
            cells: the cells of some columns.
            rows: number of rows.
        """
        kept = np.ones(rows, bool)
        for column, read in cells.items():
            if self._settings.missing_policy(column.name) == "drop":
                kept &= ~read.missing.any(axis=1)
        return kept

    def problems(self, features: list[Column], target: list[Column]) -> Iterator[str]:
        """Yield a problem for every column whose missing values the policy cannot deal with.

        Args:
            features: the columns that are features.
            target: the columns that are the target.
        """
        for column in [*features, *target]:
            count = self._counts.get(column.name, 0)
            policy = self._settings.missing_policy(column.name)
            if not count or policy == "drop":
                continue
            if policy == "keep" and column not in target and _may_be_missing(column):
                continue
            table, row = self._first_places[column.name]
            found = (
                f"column '{column.name}' has missing values ({count:,}, the first in "
                f"{table.place_of(row, column.name)})."
            )
            if column in target:
                yield (
                    f"{found} Nothing can be learned from a missing target. Fill it in, or leave "
                    f"such rows out: `missing: {{{column.name}: drop}}`."
                )
            elif policy == "error":
                yield (
                    f"{found} Fill them in, or set `missing: drop` (to leave such rows out) or "
                    "`missing: keep` (for `impute` under `training` to fill them)."
                )
            else:
                yield (
                    f"{found} The type {column.dtype} has no value for them. Give the column a "
                    "floating type under `dtypes` (float64 holds integers up to 2^53), or set "
                    f"`missing: {{{column.name}: drop}}`."
                )

    def values_kept(self) -> dict[str, int]:
        """Return how many values stay missing, by the names of the columns that have some."""
        return {
            name: count
            for name, count in self._counts.items()
            if self._settings.missing_policy(name) == "keep"
        }


def _may_be_missing(column: Column) -> bool:
    """Return whether a column can be written with missing values."""
    return column.words is not None or column.dtype.kind == "f"
