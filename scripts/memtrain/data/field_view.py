"""``FieldView``: what of the stored values is a field of the rows."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

#: An array or a tensor.
Values = TypeVar("Values", bound=Any)


@dataclass(frozen=True)
class FieldView:
    """A field of the rows: a stored field, or a part of one.

    Attributes:
        stored: name of the stored field.
        record_fields: the names that lead to a field of its records; none for values that are no
            records.
        start, end: places ``[start, end)`` on the first axis of a row; None for all of them.
        is_column: whether single values become arrays of one value, as targets are.
    """

    stored: str
    record_fields: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    is_column: bool = False

    def in_record(self, record: str) -> "FieldView":
        """Return this view where the stored fields are those of a record, by the record's name."""
        return replace(self, stored=record, record_fields=(self.stored, *self.record_fields))

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the values of this field, without a copy.

        Args:
            rows: (n, ...), rows of the stored field.
        """
        return self.part_of(self.whole_of(rows))

    def whole_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the values that this field is all or a part of, without a copy."""
        values = rows
        for name in self.record_fields:
            values = values[name]
        return values

    def part_of(self, values: Values) -> Values:
        """Return the part of these values that this field is, without a copy.

        Args:
            values: (n, ...), an array or a tensor of what ``whole_of`` returns.
        """
        if self.start is not None or self.end is not None:
            values = values[:, self.start : self.end]
        return values[:, None] if self.is_column and values.ndim == 1 else values
