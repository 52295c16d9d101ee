"""Predictions for every element of new rows, such as the next word behind every word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from memtrain.recipes.recipe import TaskKind

#: A value for every element: (rows, elements, ...); or, of rows that vary in length, an array
#: (elements, ...) for each row.
OfElements = np.ndarray | list[np.ndarray]


@dataclass(frozen=True)
class ElementPredictions:
    """What a model predicts for the elements of some rows.

    Where all rows have as many elements, values are arrays (rows, elements); else they are lists
    of an array (elements,) for each row. So ``values[3]`` are those of row 3 in any case.

    Attributes:
        values: for classes, the probability of the most probable class of every element (its score,
            where the model gives scores), float32. For numbers, the predicted ones in the unit of
            the target, (elements, values) for each row, float32, or float64 where the target is
            float64 in the files.
        class_numbers: the most probable class of every element, int64; None for numbers.
        task: kind of task that the model does: "sequence" for classes, "other" for numbers.
        target: names of the target columns.
        class_names: words of all classes, in the order of the classes' numbers; None where the
            classes are numbers, and for numbers.
    """

    values: OfElements
    class_numbers: OfElements | None
    task: TaskKind
    target: Sequence[str]
    class_names: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def classes(self) -> OfElements:
        """The most probable class of every element, as its word or else its number.

        Raises:
            ValueError: if the model predicts numbers.
        """
        if self.class_numbers is None:
            raise ValueError("the model predicts numbers, which have no classes")
        if self.class_names is None:
            return self.class_numbers
        names = np.array(self.class_names)
        if isinstance(self.class_numbers, np.ndarray):
            return names[self.class_numbers]
        return [names[numbers] for numbers in self.class_numbers]

    def to_arrow(self) -> pa.Table:
        """Return the predictions as a table of lists; ``to_pandas`` makes a DataFrame of it.

        Of classes, the column "class" has that of every element, and "probability" how probable it
        is. Numbers are in the column "prediction".
        """
        if self.class_numbers is None:
            return pa.table({"prediction": _as_lists(self.values)})
        return pa.table({"class": _as_lists(self.classes), "probability": _as_lists(self.values)})


def _as_lists(values: OfElements) -> pa.Array:
    """Return the elements of every row as lists; of several values each, as lists of lists."""
    rows = list(values)
    flat = np.concatenate(rows)
    ends = np.cumsum([0, *map(len, rows)])
    elements = pa.array(flat.reshape(-1))
    if flat.ndim > 1:
        elements = pa.FixedSizeListArray.from_arrays(elements, flat.shape[1])
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), elements)
