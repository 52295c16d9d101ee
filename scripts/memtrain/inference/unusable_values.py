"""Finds values of new rows that no model can be given: infinite ones, missing ones that stay so."""

from collections.abc import Iterator, Sequence

import numpy as np

from memtrain.components.row_transform import filled_values
from memtrain.core.errors import raise_problems
from memtrain.data.source import PRESENT
from memtrain.recipes.inputs import InputColumn
from memtrain.recipes.recipe import TrainingRecipe

#: Most columns of a field that a message names.
_MOST_COLUMNS = 5


class UnusableValues:
    """Refuses rows of which a model would predict NaN, or some class by it.

    Args:
        recipe: training part of the recipe, which says what is filled.
        columns: the columns of the rows; none where the features have no names.
    """

    def __init__(self, recipe: TrainingRecipe, columns: Sequence[InputColumn]):
        self._filled = filled_values(recipe)
        self._columns = columns

    def refuse(self, records: np.ndarray, first: int) -> None:
        """Refuse rows that the model cannot be given.

        Args:
            records: rows of the data file, (rows,). Their targets are not looked at.
            first: the number of the first one.

        Raises:
            UserError: with the first such value of every column.
        """
        raise_problems(list(self._problems(records, first)))

    def _problems(self, records: np.ndarray, first: int) -> Iterator[str]:
        for field, filled in self._filled.items():
            missing, infinite = _unusable(field, records[field].reshape(len(records), -1))
            wrong = (missing & ~filled) | infinite
            for place in np.flatnonzero(wrong.any(axis=0))[:_MOST_COLUMNS].tolist():
                row = int(wrong[:, place].argmax())
                what = (
                    "it is infinite, and no model can be given that. Correct it"
                    if infinite[row, place]
                    else "it is missing, and the training has nothing that fills it. Fill it in"
                )
                name = self._name_of(field, place)
                yield f"rows, row {first + row:,}, {name}: {what}, or leave the row out."

    def _name_of(self, field: str, place: int) -> str:
        """Return what the value at a place of a field is called."""
        for column in self._columns:
            start = column.present if field == PRESENT else column.position
            owns_field = field in (PRESENT, column.field)
            if owns_field and start is not None and start <= place < start + column.width:
                return f"column '{column.name}'"
        return f"feature {place}"


def _unusable(field: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which values of a field are missing, and which are infinite, both (rows, values)."""
    if field == PRESENT:
        return ~values, np.zeros_like(values)
    if values.dtype.kind != "f" or field == "target":
        return np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    return np.isnan(values), np.isinf(values)
