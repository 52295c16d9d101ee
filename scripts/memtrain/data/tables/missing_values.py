"""Missing values of an import: which rows are left out, and what is wrong with the others."""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from memtrain.data.tables.columns import Column, NumberColumn
from memtrain.data.tables.refused_value import RefusedValueError


class MissingValues:
    """Counts the missing values of each column, and applies the policy for them.

    Args:
        policy: whether a missing value is an error, drops its row, or is replaced by a mean.
    """

    def __init__(self, policy: Literal["error", "drop", "mean"]):
        self._policy = policy
        self._counts: dict[str, int] = {}
        self._first_places: dict[str, str] = {}

    def count(self, column: Column, missing: np.ndarray, table: str, start: int) -> None:
        """Count the missing values of one column in some rows of a table.

        Args:
            column: the column.
            missing: which of its values are missing, booleans (rows, width).
            table: name of the table.
            start: number of the first of these rows in the table, from 0.
        """
        if missing.any():
            row = start + int(missing.any(axis=1).argmax()) + 1
            self._counts[column.name] = self._counts.get(column.name, 0) + int(missing.sum())
            self._first_places.setdefault(column.name, f"{table}, row {row:,}")

    def kept_rows(self, missing: Iterable[np.ndarray], rows: int) -> np.ndarray:
        """Return which rows are kept, booleans (rows,).

        Args:
            missing: for each column, which of its values are missing, booleans (rows, width).
            rows: number of rows.
        """
        kept = np.ones(rows, bool)
        if self._policy == "drop":
            for part in missing:
                kept &= ~part.any(axis=1)
        return kept

    def problems(self, columns: Iterable[Column], target: Iterable[Column]) -> Iterator[str]:
        """Yield a problem for every column whose missing values the policy cannot deal with.

        Args:
            columns: all columns.
            target: the columns that are the target.
        """
        for column in columns:
            count = self._counts.get(column.name, 0)
            if not count or self._policy == "drop":
                continue
            found = (
                f"column '{column.name}' has missing values ({count:,}, the first in "
                f"{self._first_places[column.name]})."
            )
            if self._policy == "error":
                yield (
                    f"{found} Fill them in, or set `missing: drop` (to leave such rows out) or "
                    "`missing: mean` (to put the column's mean in their place)."
                )
            elif isinstance(column, NumberColumn) and column.takes_mean:
                yield from _mean_problems(column)
            else:
                what = "target" if column in target else "category"
                yield f"{found} A {what} has no mean; use `missing: drop`."

    def means_used(self, features: Iterable[Column]) -> dict[str, float]:
        """Return the means that replace missing values, by the names of the written columns."""
        if self._policy != "mean":
            return {}
        return {
            name: mean
            for column in features
            if isinstance(column, NumberColumn) and column.name in self._counts
            for name, mean in zip(column.names, column.means().tolist(), strict=True)
        }

    def values_replaced(self) -> dict[str, int]:
        """Return how many missing values a mean replaces, by the names of the columns read."""
        return dict(self._counts) if self._policy == "mean" else {}


def _mean_problems(column: NumberColumn) -> Iterator[str]:
    try:
        column.means()
    except RefusedValueError as refusal:
        yield f"column '{column.name}': {refusal.reason}"
