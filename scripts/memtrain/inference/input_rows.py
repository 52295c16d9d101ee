"""Makes rows of the data file of new rows, as the importer makes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from memtrain.core.errors import UserError, raise_problems
from memtrain.data.record_file import dtype_from_json
from memtrain.data.source import FEATURES, PRESENT
from memtrain.data.tables.cell_values import read_numbers
from memtrain.data.tables.columns import CategoryFeature, NumberColumn
from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.data.tables.table import Table
from memtrain.data.tables.time_column import TimeColumn
from memtrain.data.tables.word_codes import codes_of_words
from memtrain.inference.given_rows import as_array, check_names, columns_of
from memtrain.recipes.inputs import InputColumn
from memtrain.recipes.recipe import Recipe, TrainingRecipe


def input_columns(recipe: Recipe) -> list[InputColumn]:
    """Return the columns that a model takes; none where its features have no names of their own.

    Rows that vary in length have none: their elements stand in one column of lists.
    Rows that were not imported have a column for each number of the field of the features.
    """
    if recipe.inputs is not None:
        return recipe.inputs.columns
    training = recipe.training
    dtype = dtype_from_json(training.task.dtype)
    encoding = training.encoding
    names = [one.column for one in encoding.columns] if encoding else training.task.features
    if training.task.ragged:
        return []
    is_flat = FEATURES in (dtype.names or ()) and dtype[FEATURES].shape == (len(names),)
    return [
        InputColumn(
            name=name,
            kind="number",
            dtype=dtype[FEATURES].base.name,
            field=FEATURES,
            position=position,
            may_be_missing=True,
        )
        for position, name in enumerate(names if is_flat else ())
    ]


@dataclass(frozen=True)
class InputRows:
    """New rows, which become rows of the data file piece by piece.

    Attributes:
        count: number of rows.
        dtype: dtype of a row of the data file.
        columns: the columns of the model, by the arrays that hold them; empty where
        array: holds the features, (rows, ...).
        names: names of the numbers of a row of the array.
        table: the table of a file that the rows are read from; None for rows in memory.
        first: number of the first row in that table.
    """

    count: int
    dtype: np.dtype
    columns: Sequence[tuple[InputColumn, pa.ChunkedArray]]
    array: np.ndarray | None
    names: Sequence[str]
    table: Table | None = None
    first: int = 0

    @property
    def longest(self) -> int:
        """The number of elements of the longest row: 1, since these rows do not vary in length."""
        return 1

    def pieces(self, rows: int) -> Iterator[np.ndarray]:
        """Yield all rows as rows of the data file, some at a time.

        Args:
            rows: the rows of a piece.

        Raises:
            UserError: naming the first value of every column that does not fit.
        """
        return (self.records(at, at + rows) for at in range(0, self.count, rows))

    def records(self, start: int, end: int) -> np.ndarray:
        """Return the rows ``[start, end)`` as rows of the data file, with the target 0.

        Raises:
            UserError: naming the first value of every column that does not fit.
        """
        records = np.zeros(min(end, self.count) - start, self.dtype)
        if self.array is not None:
            self._read_array(records, self.array[start:end], start)
            return records
        problems: list[str] = []
        for column, values in self.columns:
            cells = values.slice(start, len(records)).combine_chunks()
            try:
                if self.table is not None and column.kind == "number":
                    cells = self.table.plain(column.name, cells)
                _read_column(column, cells, records)
            except RefusedValueError as refusal:
                row = None if refusal.row is None else start + refusal.row
                place = self._place_of(row, column.name)
                problems.append(f"{place}, column '{column.name}': {refusal.reason}")
        raise_problems(problems)
        return records

    def _place_of(self, row: int | None, column: str) -> str:
        where = "rows" if self.table is None else self.table.name
        if row is None or self.table is None:
            return where if row is None else f"{where}, row {row:,}"
        return self.table.place_of(self.first + row, column)

    def _read_array(self, records: np.ndarray, array: np.ndarray, start: int) -> None:
        dtype = self.dtype[FEATURES].base
        if array.dtype == dtype:
            records[FEATURES] = array
            return
        flat = np.ascontiguousarray(array).reshape(-1)
        try:
            values = read_numbers(pa.array(flat.astype(flat.dtype.newbyteorder("="))), dtype)
        except RefusedValueError as refusal:
            place, width = refusal.row or 0, flat.size // len(array)
            name = self.names[place % width] if len(self.names) == width else place % width
            raise UserError(
                f"rows, row {start + place // width:,}, feature {name}: {refusal.reason}"
            ) from None
        numbers = values.values.reshape(array.shape)
        if dtype.kind == "f" and values.missing.any():
            numbers[values.missing.reshape(array.shape)] = np.nan
        records[FEATURES] = numbers


def read_rows(rows: Any, recipe: TrainingRecipe, columns: Sequence[InputColumn]) -> InputRows:
    """Return new rows.

    Args:
        rows: what a user gave.
        recipe: training part of the recipe, which describes a row.
        columns: the columns that the model takes.

    Raises:
        UserError: where they are no rows, there are none, or their columns are not the model's.
    """
    dtype = dtype_from_json(recipe.task.dtype)
    table = columns_of(rows)
    if table is None:
        array = checked_array(as_array(rows), recipe, dtype, columns)
        names = [one.name for one in columns]
        return InputRows(len(array), dtype, [], array, names)
    needed = [column.name for column in columns]
    if not needed:
        raise UserError(
            "rows: the features of this model have no names. Give them as an array, "
            f"(rows, {_shape_text(recipe)})."
        )
    check_names(list(table), needed, recipe.task.target)
    chosen = [(column, table[column.name]) for column in columns]
    count = len(chosen[0][1])
    if not count:
        raise UserError("rows: there are none to predict.")
    return InputRows(count, dtype, chosen, None, needed)


def checked_array(
    array: np.ndarray, recipe: TrainingRecipe, dtype: np.dtype, columns: Sequence[InputColumn]
) -> np.ndarray:
    """Return an array that has the shape and the kind of the features in the data file.

    Raises:
        UserError: for every other array.
    """
    if FEATURES not in (dtype.names or ()):
        raise UserError(
            "rows: the columns of this model have several types, so that no array holds them. Give "
            "a table, or a dict of arrays, with the columns "
            f"{', '.join(column.name for column in columns)}."
        )
    if array.ndim < 2 or array.shape[1:] != dtype[FEATURES].shape:
        raise UserError(
            f"rows: found an array of shape {array.shape}; the features of this model are "
            f"(rows, {_shape_text(recipe)})."
        )
    own = dtype[FEATURES].base
    if array.dtype != own and "V" in array.dtype.kind + own.kind:
        raise UserError(f"rows: found {array.dtype}; the features of this model are {own}.")
    if not len(array):
        raise UserError("rows: there are none to predict.")
    return array


def _shape_text(recipe: TrainingRecipe) -> str:
    return ", ".join(map(str, dtype_from_json(recipe.task.dtype)[FEATURES].shape))


def _read_column(column: InputColumn, cells: pa.Array, records: np.ndarray) -> None:
    """Write the values of one column into rows of the data file.

    Raises:
        RefusedValueError: for the first value that the column cannot take.
    """
    values, missing = _values(column, cells)
    if missing.any() and not column.may_be_missing:
        raise RefusedValueError(
            f"it has missing values ({int(missing.sum()):,} here), and the model was trained on "
            "rows without. Fill them in, or leave such rows out.",
            int(missing.any(axis=1).argmax()),
        )
    _write(records[column.field], column.position, values)
    if column.present is not None:
        _write(records[PRESENT], column.present, ~missing)


def _values(column: InputColumn, cells: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return values as the data file has them, and which are missing, both (rows, width)."""
    if pa.types.is_null(cells.type):  # That of columns in which every value is missing.
        cells = cells.cast(pa.string())
    if column.kind == "category":
        words = CategoryFeature(column.name).read(cells)
        return codes_of_words(words.words)[:, np.newaxis].view(np.int64), words.missing
    reader = (
        NumberColumn(column.name, np.dtype(column.dtype), rounds=column.rounds)
        if column.kind == "number"
        else TimeColumn(column.name, column.kind)
    )
    numbers = reader.read(cells)
    if numbers.shape != tuple(column.shape):
        raise RefusedValueError(
            f"its rows have the shape {numbers.shape}, and those that the model was trained on "
            f"{tuple(column.shape)}."
        )
    return reader.encode(numbers), numbers.missing


def _write(field: np.ndarray, position: int, values: np.ndarray) -> None:
    """Write values (rows, width) into a field (rows, ...), from a position on."""
    flat = field.reshape(len(field), -1)
    assert np.shares_memory(flat, field), "the rows of a field lie in one run"
    flat[:, position : position + values.shape[1]] = values
