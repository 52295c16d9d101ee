"""``RaggedRows``: consecutive rows of which some fields vary in length, as they lie in files."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from memtrain.data.field_view import FieldView


@dataclass(frozen=True, eq=False)
class RaggedValues:
    """The elements of rows, row after row.

    Attributes:
        values: (elements, ...) in the dtype of the files.
        lengths: int64 (n,), the number of elements of each row.
    """

    values: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True, eq=False)
class RaggedRows:
    """Consecutive rows, n of them.

    Attributes:
        rows: number of rows.
        stored: the stored fields by name: (n, ...), or the elements of rows that vary in length.
    """

    rows: int
    stored: Mapping[str, RaggedValues | np.ndarray]

    def __len__(self) -> int:
        return self.rows

    def values_of(self, view: FieldView) -> np.ndarray:
        """Return the values of a field.

        Args:
            view: which of the stored values the field is.

        Returns:
            (n, ...); of a field that varies in length, the elements of all rows, (elements, ...).
        """
        stored = self.stored[view.stored]
        if isinstance(stored, np.ndarray):
            return view.of(stored)
        values = view.of_elements(stored.values)
        if not view.start and not view.end:
            return values
        starts, lengths = view.trimmed(np.cumsum(stored.lengths) - stored.lengths, stored.lengths)
        # The first element of a run adds 1, and the one behind its last takes it away again.
        steps = np.zeros(len(values) + 1, np.int8)
        steps[starts[lengths > 0]] += 1
        steps[(starts + lengths)[lengths > 0]] -= 1
        return values[np.cumsum(steps[:-1]).astype(bool)]

    def row_of(self, view: FieldView, place: int) -> int:
        """Return which row a value belongs to, counted from the first of these rows.

        Args:
            view: the field.
            place: position of the value on the first axis of ``values_of``.
        """
        stored = self.stored[view.stored]
        if isinstance(stored, np.ndarray):
            return place
        _, lengths = view.trimmed(np.zeros_like(stored.lengths), stored.lengths)
        return int(np.searchsorted(np.cumsum(lengths), place, side="right"))
