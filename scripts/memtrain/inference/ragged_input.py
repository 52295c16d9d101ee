"""Takes rows that vary in length in the forms that users hold them in: lists of arrays, tables."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from memtrain.core.errors import UserError
from memtrain.core.wording import shown
from memtrain.data.record_file import dtype_from_json
from memtrain.data.source import FEATURES
from memtrain.data.tables.cell_values import read_numbers
from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.inference.given_rows import check_names, columns_of
from memtrain.inference.ragged_features import RaggedFeatures
from memtrain.recipes.recipe import TrainingRecipe


@dataclass(frozen=True)
class RaggedInput:
    """New rows that vary in length.

    Attributes:
        rows: an array (elements, ...) for each row, or lists.
        lengths: the number of elements of each row, int64 (rows,).
        dtype: the type of one element in the files, with its shape.
        where: what the rows are called in messages.
        first: number of the first row in messages.
    """

    rows: list[np.ndarray] | pa.ChunkedArray
    lengths: np.ndarray
    dtype: np.dtype
    where: str = "rows"
    first: int = 0

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """The number of elements of the longest row, at least 1."""
        return max(1, int(self.lengths.max(initial=0)))

    def pieces(self, rows: int) -> Iterator[RaggedFeatures]:
        """Yield all rows, some at a time.

        Args:
            rows: the rows of a piece.

        Raises:
            UserError: naming the first value that the type of the features does not hold.
        """
        for start in range(0, self.count, rows):
            lengths = self.lengths[start : start + rows]
            yield RaggedFeatures(self._elements(start, lengths), lengths)

    def _elements(self, start: int, lengths: np.ndarray) -> np.ndarray:
        """Return the elements of some rows in the type of the files, (elements, ...)."""
        if not isinstance(self.rows, list):
            lists = self.rows.slice(start, len(lengths)).combine_chunks()
            return self._converted(lists.flatten(), lengths, start)
        rows = self.rows[start : start + len(lengths)]
        if all(row.dtype == self.dtype.base for row in rows):
            return np.concatenate(rows)
        if len({row.dtype for row in rows}) == 1:
            return self._converted(_flat(np.concatenate(rows)), lengths, start)
        # Integers and floats side by side would be rounded before they are looked at.
        parts = [
            self._converted(_flat(row), lengths[at : at + 1], start + at)
            for at, row in enumerate(rows)
        ]
        return np.concatenate(parts)

    def _converted(self, values: pa.Array, lengths: np.ndarray, start: int) -> np.ndarray:
        """Return values in the type of the files.

        Args:
            values: the values of the elements of some rows.
            lengths: the elements of these rows.
            start: number of the first of these rows.
        """
        base, shape = self.dtype.base, self.dtype.shape
        try:
            numbers = read_numbers(values, base)
            if numbers.missing.any() and base.kind != "f":
                raise RefusedValueError(
                    f"it is missing, and elements are {base}", int(numbers.missing.argmax())
                )
        except RefusedValueError as refusal:
            width = len(values) // max(1, int(lengths.sum()))
            raise self._refused(refusal, lengths, width, start) from None
        found = numbers.values
        if found.size != int(lengths.sum()) * math.prod(shape):
            width = found.size // max(1, int(lengths.sum()))
            raise UserError(
                f"{self.where}: their elements have {width} values, and those that the model was "
                f"trained on have the shape {shape}."
            )
        if numbers.missing.any():
            found = np.where(numbers.missing, np.array(np.nan, base), found)
        return found.reshape(int(lengths.sum()), *shape)

    def _refused(
        self, refusal: RefusedValueError, lengths: np.ndarray, width: int, start: int
    ) -> UserError:
        """Return what is wrong with a value, with its row and its element.

        Args:
            refusal: what is wrong, with the number of the value.
            lengths: the elements of the rows.
            width: values of an element.
            start: number of the first row.
        """
        if refusal.row is None:
            return UserError(f"{self.where}: {refusal.reason}")
        place = refusal.row // max(1, width)
        ends = np.cumsum(lengths)
        row = int(np.searchsorted(ends, place, side="right"))
        element = place - (int(ends[row - 1]) if row else 0)
        return UserError(
            f"{self.where}, row {start + row:,}, element {element:,}: {refusal.reason}"
        )


def element_name(recipe: TrainingRecipe) -> str:
    """Return the name of the values that rows which vary in length are made of.

    It is that of the field, or of the array in its file, as the settings call it.
    """
    first = recipe.task.features[0]
    shape = recipe.feature_shape
    return first.removesuffix(f"[{','.join('0' * len(shape))}]") if shape else first


def read_ragged_rows(rows: Any, recipe: TrainingRecipe) -> RaggedInput:
    """Return new rows of a model whose rows vary in length.

    Args:
        rows: what a user gave.
        recipe: training part of the recipe, which describes an element.

    Raises:
        UserError: where they are no such rows, or there are none.
    """
    field = dtype_from_json(recipe.task.dtype)[FEATURES]
    name = element_name(recipe)
    if isinstance(rows, pa.Array | pa.ChunkedArray):
        chunked = rows if isinstance(rows, pa.ChunkedArray) else pa.chunked_array([rows])
        return _not_empty(rows_of_lists(chunked, recipe, "rows"))
    is_sequence = isinstance(rows, list | tuple) or getattr(rows, "ndim", 2) == 1
    table = None if is_sequence else columns_of(rows)
    if table is None:
        return _not_empty(_of_arrays(rows, field, name))
    check_names(list(table), [name], recipe.task.target)
    return _not_empty(rows_of_lists(table[name], recipe, f"rows, column '{name}'"))


def _not_empty(rows: RaggedInput) -> RaggedInput:
    if not rows.count:
        raise UserError("rows: there are none to predict.")
    return rows


def rows_of_lists(
    column: pa.ChunkedArray, recipe: TrainingRecipe, where: str, first: int = 0
) -> RaggedInput:
    """Return rows that are the lists of a column.

    Args:
        column: the column.
        recipe: training part of the recipe, which describes an element.
        where: what the rows are called in messages.
        first: number of the first row in messages.

    Raises:
        UserError: where the column holds anything else than lists.
    """
    lists = _lists_of(column)
    if lists is None:
        raise UserError(
            f"{where}: found {column.type}; the rows of this model vary in length, so each is a "
            "list of numbers."
        )
    if lists.null_count:
        row = first + int(np.argmax(lists.is_null().to_numpy()))
        raise UserError(f"{where}, row {row:,}: it is missing. Give a list, which may be empty.")
    lengths = pc.call_function("list_value_length", [lists]).to_numpy().astype(np.int64)
    field = dtype_from_json(recipe.task.dtype)[FEATURES]
    return RaggedInput(lists, lengths, field, where, first)


def _lists_of(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return a column as lists of varying length; None where its values are no lists."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return column
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list_view(kind):
        return column.cast(pa.large_list(kind.value_type))
    return None


def _of_arrays(rows: Any, dtype: np.dtype, name: str) -> RaggedInput:
    try:
        arrays = [np.asarray(row) for row in rows]
    except (TypeError, ValueError):
        raise UserError(
            f"rows: found {shown(rows)}. Give a list of arrays, each (elements, ...), a list array "
            f"of Arrow, or a table with a column '{name}' of lists."
        ) from None
    for number, row in enumerate(arrays):
        if not row.size and row.ndim == 1:
            arrays[number] = np.empty((0, *dtype.shape), dtype.base)
        elif row.ndim < 1 or row.shape[1:] != dtype.shape or row.dtype.kind not in "fiubV":
            wanted = ", ".join(map(str, ("elements", *dtype.shape)))
            raise UserError(
                f"rows, row {number:,}: found the shape {row.shape} of {row.dtype}. A row of this "
                f"model is an array of numbers, ({wanted})."
            )
        elif row.dtype != dtype.base and "V" in row.dtype.kind + dtype.base.kind:
            raise UserError(
                f"rows, row {number:,}: found {row.dtype}; the features of this model are "
                f"{dtype.base}."
            )
    return RaggedInput(arrays, np.array([len(row) for row in arrays], np.int64), dtype)


def _flat(values: np.ndarray) -> pa.Array:
    return pa.array(values.astype(values.dtype.newbyteorder("="), copy=False).reshape(-1))
