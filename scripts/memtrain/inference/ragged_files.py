"""Reads rows that vary in length from files, a few MiB at a time."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.files_layout import FilesLayout
from memtrain.data.ragged_rows import RaggedRows, RaggedValues
from memtrain.data.row_chunks import read_chunks
from memtrain.data.source import FEATURES
from memtrain.data.tables.table import Table
from memtrain.inference.ragged_features import RaggedFeatures
from memtrain.inference.ragged_input import rows_of_lists
from memtrain.recipes.recipe import TrainingRecipe

#: Rows whose lengths are looked at together.
_ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class RowLengths:
    """How long rows are.

    Attributes:
        rows: number of rows.
        elements: elements of all rows.
        longest: elements of the longest row, at least 1.
    """

    rows: int = 0
    elements: int = 0
    longest: int = 1

    def with_rows(self, lengths: np.ndarray) -> "RowLengths":
        """Return the same with further rows, whose lengths are int64 (rows,)."""
        return RowLengths(
            self.rows + len(lengths),
            self.elements + int(lengths.sum()),
            max(self.longest, int(lengths.max(initial=0))),
        )


def lengths_in_dataset(layout: FilesLayout, ranges: Sequence[Range]) -> RowLengths:
    """Return how long the features of rows of a dataset are, without reading them."""
    found = RowLengths()
    for rows in ranges:
        for start in range(rows.start, rows.end, _ROWS_AT_ONCE):
            numbers = np.arange(start, min(start + _ROWS_AT_ONCE, rows.end))
            found = found.with_rows(layout.lengths(FEATURES, numbers))
    return found


def ragged_of_dataset(
    path: str | os.PathLike, layout: FilesLayout, ranges: Sequence[Range]
) -> Iterator[RaggedFeatures]:
    """Yield the features of rows of a dataset.

    Args:
        path: the description of the rows.
        layout: where they lie.
        ranges: the rows.
    """
    view = layout.views[FEATURES]
    for chunk in (one for rows in ranges for one in read_chunks(path, layout, rows)):
        assert isinstance(chunk, RaggedRows), "rows that vary in length come as such"
        stored = chunk.stored[view.stored]
        assert isinstance(stored, RaggedValues)
        _, lengths = view.trimmed(np.zeros_like(stored.lengths), stored.lengths)
        yield RaggedFeatures(chunk.values_of(view), lengths)


def lengths_in_tables(tables: Sequence[Table], recipe: TrainingRecipe, name: str) -> RowLengths:
    """Return how long the lists in a column of tables are.

    Args:
        tables: the tables.
        recipe: training part of the recipe.
        name: the column.

    Raises:
        UserError: where the column holds anything else than lists.
    """
    found = RowLengths()
    for where, first, column in _columns(tables, name):
        found = found.with_rows(rows_of_lists(column, recipe, where, first).lengths)
    return found


def ragged_of_tables(
    tables: Sequence[Table], recipe: TrainingRecipe, name: str
) -> Iterator[RaggedFeatures]:
    """Yield the rows of tables, which are the lists in a column.

    Args:
        tables: the tables.
        recipe: training part of the recipe.
        name: the column.
    """
    for where, first, column in _columns(tables, name):
        rows = rows_of_lists(column, recipe, where, first)
        if rows.count:
            yield from rows.pieces(rows.count)


def refuse_array(path: str, name: str) -> UserError:
    """Return what is wrong with an array of features for rows that vary in length."""
    return UserError(
        f"{path}: the rows of this model vary in length, and those of an array do not. Give the "
        f"rows.json of a dataset, or a table with a column '{name}' of lists (.parquet, .arrow)."
    )


def _columns(tables: Sequence[Table], name: str) -> Iterator[tuple[str, int, pa.ChunkedArray]]:
    """Yield a column of tables piece by piece, with its name and the number of its first row."""
    for table in tables:
        first = 0
        for batch in table.batches([name]):
            yield f"{table.name}, column '{name}'", first, pa.chunked_array([batch.column(name)])
            first += batch.num_rows
