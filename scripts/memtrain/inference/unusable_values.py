"""Finds values of new rows that no model can be given: infinite ones, missing ones that stay so."""

from collections.abc import Iterator, Sequence

import numpy as np

from memtrain.components.row_transform import filled_values
from memtrain.core.errors import raise_problems
from memtrain.data.source import FEATURES, PRESENT
from memtrain.inference.ragged_features import RaggedFeatures
from memtrain.inference.rebatching import Rows
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

    def refuse(self, rows: Rows, first: int) -> None:
        """Refuse rows that the model cannot be given.

        Args:
            rows: records, (rows,), whose targets are not looked at; or the features of rows that
                vary in length.
            first: the number of the first one.

        Raises:
            UserError: with the first such value of every column.
        """
        if isinstance(rows, RaggedFeatures):
            raise_problems(list(self._problems_of_elements(rows, first)))
        else:
            raise_problems(list(self._problems(rows, first)))

    def _problems_of_elements(self, rows: RaggedFeatures, first: int) -> Iterator[str]:
        values = rows.values.reshape(len(rows.values), -1)
        missing, infinite = _unusable(FEATURES, values)
        wrong = ((missing & ~self._filled[FEATURES]) | infinite).any(axis=1)
        if wrong.any():
            place = int(wrong.argmax())
            row = rows.row_of(place)
            what = _reason(bool(infinite[place].any()))
            yield f"rows, row {first + row:,}, element {place - rows.start_of(row):,}: {what}"

    def _problems(self, records: np.ndarray, first: int) -> Iterator[str]:
        for field, filled in self._filled.items():
            missing, infinite = _unusable(field, records[field].reshape(len(records), -1))
            wrong = (missing & ~filled) | infinite
            for place in np.flatnonzero(wrong.any(axis=0))[:_MOST_COLUMNS].tolist():
                row = int(wrong[:, place].argmax())
                name = self._name_of(field, place)
                yield f"rows, row {first + row:,}, {name}: {_reason(bool(infinite[row, place]))}"

    def _name_of(self, field: str, place: int) -> str:
        """Return what the value at a place of a field is called."""
        for column in self._columns:
            start = column.present if field == PRESENT else column.position
            owns_field = field in (PRESENT, column.field)
            if owns_field and start is not None and start <= place < start + column.width:
                return f"column '{column.name}'"
        return f"feature {place}"


def _reason(is_infinite: bool) -> str:
    what = (
        "it is infinite, and no model can be given that. Correct it"
        if is_infinite
        else "it is missing, and the training has nothing that fills it. Fill it in"
    )
    return f"{what}, or leave the row out."


def _unusable(field: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which values of a field are missing, and which are infinite, both (rows, values)."""
    if field == PRESENT:
        return ~values, np.zeros_like(values)
    if values.dtype.kind != "f" or field == "target":
        return np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    return np.isnan(values), np.isinf(values)
