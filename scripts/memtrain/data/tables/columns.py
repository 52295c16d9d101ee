"""The columns of a table and how each becomes numbers: an Arrow array comes in, numbers go out.

A column is read twice. The first time it learns what must be known before a row can be written: the
words of a category, the means that replace missing numbers, the number of classes.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa

from memtrain.data.field_statistics import FieldStatistics
from memtrain.data.tables.cell_values import (
    NumberCells,
    RefusedValueError,
    WordCells,
    fit,
    read_numbers,
    read_words,
)

#: A category with more words than this is taken for a mistake: each becomes a column or a class.
MOST_WORDS = 10_000

Cells = NumberCells | WordCells
CellsT = TypeVar("CellsT", NumberCells, WordCells)


class Column(ABC, Generic[CellsT]):
    """A column of the tables, and what the first pass over them finds out about it.

    Args:
        name: name of the column in the tables.
        dtype: type in which its values are written.

    Attributes:
        takes_mean: whether a mean can replace a missing value.
    """

    takes_mean = False

    def __init__(self, name: str, dtype: np.dtype):
        self.name = name
        self.dtype = dtype

    @property
    def names(self) -> list[str]:
        """The names of the columns that are written for this one."""
        return [self.name]

    @property
    def words(self) -> list[str] | None:
        """The words of a category, sorted; None for numbers."""
        return None

    @property
    def classes(self) -> int | None:
        """The number of classes; None for all but the target of a classification."""
        return None

    @abstractmethod
    def read(self, array: pa.Array) -> CellsT:
        """Return the cells of an array.

        Raises:
            RefusedValueError: for the first cell that the column cannot take.
        """

    @abstractmethod
    def learn(self, cells: CellsT) -> None:
        """Update what the first pass finds out about the column, from rows that are kept.

        Raises:
            RefusedValueError: where the column as a whole cannot be imported.
        """

    @abstractmethod
    def encode(self, cells: CellsT) -> np.ndarray:
        """Return the values to write, (rows, number of ``names``)."""


class NumberColumn(Column[NumberCells]):
    """A column of numbers, or a block of several numbers a row."""

    def __init__(self, name: str, dtype: np.dtype, takes_mean: bool = False):
        super().__init__(name, dtype)
        self.takes_mean = takes_mean
        self._width: int | None = None
        self._statistics: FieldStatistics | None = None

    @property
    def names(self) -> list[str]:
        """The name of the column; for a block, one name for each number, with its position."""
        if self._width is None or self._width == 1:
            return [self.name]
        return [f"{self.name}[{position}]" for position in range(self._width)]

    def read(self, array: pa.Array) -> NumberCells:
        """Return the numbers of an array.

        Raises:
            RefusedValueError: for the first value that is no number or does not fit the type, and
                where rows have another width than those before.
        """
        cells = read_numbers(array, self.dtype)
        width = cells.values.shape[1]
        self._width = self._width or width
        if width != self._width:
            raise RefusedValueError(
                f"rows of {width} numbers follow rows of {self._width}. Import them apart."
            )
        return cells

    def learn(self, cells: NumberCells) -> None:
        """Take the numbers of rows that are kept into the mean."""
        if self.takes_mean:
            numbers = np.where(cells.missing, np.nan, cells.values.astype(np.float64))
            found = FieldStatistics.from_rows(numbers)
            self._statistics = self._statistics.merge(found) if self._statistics else found

    def means(self) -> np.ndarray:
        """Return the mean of the numbers that are present, in the column's type, (width,).

        Raises:
            RefusedValueError: where there are none, or where their mean does not fit the type.
        """
        if self._statistics is None or not self._statistics.count.all():
            raise RefusedValueError("there is no value to take the mean of. Leave the column out.")
        fitted, fits = fit(self._statistics.mean, self.dtype)
        if not fits.all():
            mean = self._statistics.mean[np.argmin(fits)]
            raise RefusedValueError(
                f"its mean, {mean}, does not fit the type {self.dtype}. Give the column a floating "
                "type under `dtypes`, or set `missing: drop`."
            )
        return fitted

    def encode(self, cells: NumberCells) -> np.ndarray:
        """Return the values to write, (rows, width), with means in place of missing values."""
        if not cells.missing.any():
            return cells.values
        return np.where(cells.missing, self.means(), cells.values)


class ClassColumn(NumberColumn):
    """A target that is the number of a class."""

    def __init__(self, name: str, dtype: np.dtype):
        super().__init__(name, dtype)
        self._classes = 0

    @property
    def classes(self) -> int:
        """The number of classes: the largest class that was found, plus one."""
        return self._classes

    def read(self, array: pa.Array) -> NumberCells:
        """Return the classes of an array.

        Raises:
            RefusedValueError: for the first value that is not the number of a class.
        """
        cells = super().read(array)
        advice = "Correct it, or give the target the type float32 if it is no class."
        width = cells.values.shape[1]
        if width > 1:
            raise RefusedValueError(f"a class is one number, and this is {width}. {advice}")
        negative = cells.values[:, 0] < 0
        if negative.any():
            row = int(np.argmax(negative))
            raise RefusedValueError(
                f"classes count from 0, and this is {cells.values[row, 0]}. {advice}", row
            )
        return cells

    def learn(self, cells: NumberCells) -> None:
        """Count the classes."""
        if len(cells.values):
            self._classes = max(self._classes, int(cells.values.max()) + 1)


class _WordColumn(Column[WordCells]):
    """A column whose words are numbered in their sorted order."""

    def __init__(self, name: str, dtype: np.dtype):
        super().__init__(name, dtype)
        self._found: set[str] = set()

    @property
    def words(self) -> list[str]:
        """All words that were found, sorted."""
        return sorted(self._found)

    def read(self, array: pa.Array) -> WordCells:
        """Return the words of an array.

        Raises:
            RefusedValueError: where it holds neither text nor integers.
        """
        return read_words(array)

    def learn(self, cells: WordCells) -> None:
        """Note the words of rows that are kept.

        Raises:
            RefusedValueError: where there are more than ``MOST_WORDS``.
        """
        self._found.update(cells.words.unique().drop_null().to_pylist())
        if len(self._found) > MOST_WORDS:
            raise RefusedValueError(
                f"it has more than {MOST_WORDS:,} different words, and each becomes a column or a "
                "class. Leave the column out, or put its words into fewer groups."
            )


class CategoryFeature(_WordColumn):
    """A feature of words, one-hot encoded: a column per word, 1 in rows that have it, else 0."""

    @property
    def names(self) -> list[str]:
        """The name of each written column: the column's name and one word."""
        return [f"{self.name}={word}" for word in self.words]

    def encode(self, cells: WordCells) -> np.ndarray:
        """Return the values to write, (rows, number of words)."""
        numbers = cells.numbers(self.words)
        encoded = np.zeros((len(numbers), len(self._found)), self.dtype)
        encoded[np.arange(len(numbers)), numbers] = 1
        return encoded


class CategoryTarget(_WordColumn):
    """A target of words: a class is the position of its word among all words, sorted."""

    @property
    def classes(self) -> int:
        """The number of words."""
        return len(self._found)

    def encode(self, cells: WordCells) -> np.ndarray:
        """Return the values to write, (rows, 1)."""
        return cells.numbers(self.words)[:, np.newaxis].astype(self.dtype)
