"""Features of rows that vary in length, as they lie in files: element after element."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from memtrain.data.padding import longest_of, mask_of, padded
from memtrain.data.row_decoding import tensor_dtype
from memtrain.data.source import FEATURES


@dataclass(frozen=True, eq=False)
class RaggedFeatures:
    """The features of n rows.

    Attributes:
        values: the elements of all rows, row after row, (elements, ...), in the dtype of the files.
        lengths: the number of elements of each row, int64 (n,).
    """

    values: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice) -> "RaggedFeatures":
        """Return consecutive rows, without a copy."""
        start, end, _ = rows.indices(len(self))
        elements = slice(self._ends[start], self._ends[max(start, end)])
        return RaggedFeatures(self.values[elements], self.lengths[start:end])

    @cached_property
    def _ends(self) -> np.ndarray:
        """Where each row begins, and the last one ends: int64 (n + 1,)."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def row(self, number: int) -> "RaggedFeatures":
        """Return one row."""
        return self[number : number + 1]

    def start_of(self, row: int) -> int:
        """Return the place of the first element of a row among the values."""
        return int(self._ends[row])

    def row_of(self, place: int) -> int:
        """Return which row the element at a place among the values belongs to."""
        return int(np.searchsorted(self._ends, place, side="right")) - 1

    def copy(self) -> "RaggedFeatures":
        """Return the same rows in memory of their own."""
        return RaggedFeatures(self.values.copy(), self.lengths.copy())

    @staticmethod
    def joined(parts: Sequence["RaggedFeatures"]) -> "RaggedFeatures":
        """Return the rows of all parts, of which there is at least one."""
        values = np.concatenate([part.values for part in parts])
        return RaggedFeatures(values, np.concatenate([part.lengths for part in parts]))

    def decoded(self) -> dict[str, np.ndarray]:
        """Return the features as a dataset decodes them: padded, with lengths and a mask."""
        dtype = tensor_dtype("rows", self.values.dtype, doubles=True)
        shape = (len(self), longest_of(self.lengths), *self.values.shape[1:])
        features, mask = np.zeros(shape, dtype), mask_of(self.lengths)
        features[mask] = self.values
        return padded(FEATURES, features, self.lengths, mask)
