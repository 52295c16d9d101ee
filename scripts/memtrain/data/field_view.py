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
        start, end: places ``[start, end)`` on the first axis of a row; None for all of them. Where
            rows vary in length, the end counts from that of each row: -1 leaves out the last
            element.
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

    def of_elements(self, values: np.ndarray) -> np.ndarray:
        """Return the values of this field where rows vary in length, without a copy.

        Args:
            values: (elements, ...), the elements of rows that lie one after the other.
        """
        values = self.whole_of(values)
        return values[:, np.newaxis] if self.is_column and values.ndim == 1 else values

    def trimmed(self, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the places of this field lie in rows that vary in length.

        Args:
            starts: int64 (n,), the first element of each row of the stored field.
            lengths: int64 (n,), its number of elements.

        Returns:
            The first element and the number of elements of each row of this field; none where a
            row is too short.
        """
        left_out = (self.start or 0) - (self.end or 0)
        return starts + (self.start or 0), np.maximum(lengths - left_out, 0)
