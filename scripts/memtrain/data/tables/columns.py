"""The columns of a table and how each becomes numbers: an Arrow array comes in, numbers go out.

A column is read twice. The first time it learns what must be known before a row can be written: the
words of a category, the labels of classes, and whether the type of a column holds its numbers.
"""

import math
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa

from memtrain.data.field_statistics import FieldStatistics, least_spread
from memtrain.data.tables.cell_values import (
    NumberCells,
    WordCells,
    read_numbers,
    read_words,
    refuse_rounded_beside,
)
from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.data.tables.word_codes import code_of_word, codes_of_words, signed_code

#: A target with more words than this is taken for a mistake: each becomes a class.
MOST_WORDS = 10_000

#: A feature with more words than this is taken for a mistake.
MOST_WORDS_OF_FEATURE = 100_000

#: A target of integers with more different values than this is taken for a number.
MOST_CLASSES = 100_000

Cells = NumberCells | WordCells
CellsT = TypeVar("CellsT", NumberCells, WordCells)


class Column(ABC, Generic[CellsT]):
    """A column of the tables, and what the first pass over them finds out about it.

    Args:
        name: name of the column in the tables.
        dtype: type in which its values are written.
    """

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
    def shape(self) -> tuple[int, ...]:
        """The shape of the values of one row; () for a single value."""
        return ()

    @property
    def classes(self) -> int | None:
        """The number of classes; None for all but the target of a classification."""
        return None

    @property
    def labels(self) -> list[str] | None:
        """What the classes are called; None where they are numbers, and without classes."""
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
    """A column of numbers, or of blocks of several numbers a row.

    Args:
        name: name of the column in the tables.
        dtype: type in which its values are written.
        rounds: whether integers may lose digits, and values that lie close together be merged.
        keeps_missing: whether missing numbers stay missing in the file.

    Attributes:
        has_validity: whether the file says for every number whether it is there, since the type has
            no value for a missing one.
    """

    def __init__(
        self, name: str, dtype: np.dtype, rounds: bool = False, keeps_missing: bool = False
    ):
        super().__init__(name, dtype)
        self.has_validity = keeps_missing and dtype.kind in "iub"
        self._rounds = rounds
        #: Type in which the field of a target is written, which all of its columns share.
        self.stored = dtype
        self._shape: tuple[int, ...] | None = None
        self._doubles: FieldStatistics | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the numbers of one row; () for a single number."""
        return self._shape or ()

    @property
    def names(self) -> list[str]:
        """The name of the column; for a block, one name for each number, with its position."""
        if math.prod(self.shape) == 1:
            return [self.name]
        places = np.ndindex(self.shape)
        return [f"{self.name}[{','.join(map(str, place))}]" for place in places]

    def read(self, array: pa.Array) -> NumberCells:
        """Return the numbers of an array.

        Raises:
            RefusedValueError: for the first value that is no number or does not fit the type, and
                where rows have another shape than those before.
        """
        cells = read_numbers(array, self.dtype, self._rounds)
        if self.stored.kind == "f" and self.dtype.kind in "iu" and not self._rounds:
            refuse_rounded_beside(cells.values, self.stored)
        if self._shape is None:
            self._shape = cells.shape
        if cells.shape != self._shape:
            raise RefusedValueError(
                f"rows of {_shape_text(cells.shape)} numbers follow rows of "
                f"{_shape_text(self._shape)}. Import them apart."
            )
        return cells

    def learn(self, cells: NumberCells) -> None:
        """Take the numbers of rows that are kept into the statistics.

        Raises:
            RefusedValueError: never; other columns may refuse.
        """
        if self.dtype.itemsize < 8 and self.dtype.kind == "f" and not self._rounds:
            doubles = cells.values if cells.rounded_from is None else cells.rounded_from
            self._doubles = _merged(self._doubles, doubles, cells.missing)

    def refuse_merged(self) -> None:
        """Refuse a column whose type makes one value of many; for the end of the first pass.

        Raises:
            RefusedValueError: where the values vary too little around their mean.
        """
        if self._doubles is None:
            return
        found = self._doubles
        least = least_spread(found.mean, self.dtype)
        merged = (found.minimum < found.maximum) & (found.standard_deviation < least)
        if merged.any():
            at = int(merged.argmax())
            raise RefusedValueError(
                f"{self.names[at]}: its values lie within {found.standard_deviation[at]:.3g} "
                f"(standard deviation) of {found.mean[at]:.10g}, and {self.dtype} merges them: it "
                f"has steps of {np.spacing(self.dtype.type(found.mean[at])):.3g} there. Give the "
                "column the type float64 under `dtypes`, or set `inexact: round`."
            )

    def encode(self, cells: NumberCells) -> np.ndarray:
        """Return the values to write, (rows, width).

        A missing number is NaN, always the same, in a floating type, and 0 in another.
        """
        if self.dtype.kind != "f" or not cells.missing.any():
            return cells.values
        return np.where(cells.missing, self.dtype.type(np.nan), cells.values)


def _merged(
    before: FieldStatistics | None, values: np.ndarray, missing: np.ndarray
) -> FieldStatistics:
    """Return the statistics of values that are present, and of those before."""
    found = FieldStatistics.from_rows(np.where(missing, np.nan, values.astype(np.float64)))
    return before.merge(found) if before else found


def _shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"


class ClassColumn(NumberColumn):
    """A target of integers, each of which is the label of a class.

    Classes are the labels that occur. A class is written as the position of its label among them,
    sorted; where the labels are 0, 1, 2, ... without a gap, these are the labels themselves.
    """

    def __init__(self, name: str, dtype: np.dtype):
        super().__init__(name, dtype)
        self._labels = np.zeros(0, dtype)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self._labels)

    @property
    def labels(self) -> list[str] | None:
        """The labels of the classes; None where they are the numbers of the classes."""
        if (self._labels == np.arange(self.classes)).all():
            return None
        return [str(label) for label in self._labels.tolist()]

    def read(self, array: pa.Array) -> NumberCells:
        """Return the labels of an array.

        Raises:
            RefusedValueError: for the first value that is not the label of a class.
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
        """Note the labels.

        Raises:
            RefusedValueError: where there are more than ``MOST_CLASSES``.
        """
        self._labels = np.union1d(self._labels, cells.values[~cells.missing])
        if self.classes > MOST_CLASSES:
            raise RefusedValueError(
                f"it has more than {MOST_CLASSES:,} different values, and each would be a class. "
                "Give the target the type float32 if it is a number."
            )

    def encode(self, cells: NumberCells) -> np.ndarray:
        """Return the numbers of the classes, (rows, 1).

        Raises:
            RefusedValueError: for a label that it did not have before.
        """
        if not np.isin(cells.values, self._labels).all():
            raise RefusedValueError("it has a label that it did not have before.")
        return np.searchsorted(self._labels, cells.values).astype(self.dtype)


class _WordColumn(Column[WordCells]):
    """A column of words, which are found in the first pass."""

    #: With more words than this, the column is taken for a mistake.
    most_words = MOST_WORDS
    refusal = "Each becomes a class; put its words into fewer groups."

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
            RefusedValueError: where there are more than ``most_words``.
        """
        self._found.update(cells.words.unique().drop_null().to_pylist())
        if len(self._found) > self.most_words:
            raise RefusedValueError(
                f"it has more than {self.most_words:,} different words. {self.refusal}"
            )


class CategoryFeature(_WordColumn):
    """A feature of words, each of which is written as its code: a number of 64 bits.

    The recipe of a training turns the codes into numbers, by the words of its training rows.
    """

    most_words = MOST_WORDS_OF_FEATURE
    refusal = "Leave the column out, or put its words into fewer groups."

    def __init__(self, name: str):
        super().__init__(name, np.dtype(np.int64))
        self._codes: dict[int, str] = {}

    @property
    def codes(self) -> dict[str, int]:
        """The code of every word that was found, as it is written, by the word."""
        return {word: signed_code(word) for word in self.words}

    def learn(self, cells: WordCells) -> None:
        """Note the words of rows that are kept, and their codes.

        Raises:
            RefusedValueError: where there are too many, or two have the same code.
        """
        before = set(self._found)
        super().learn(cells)
        for word in self._found - before:
            if self._codes.setdefault(code_of_word(word), word) != word:
                raise RefusedValueError(
                    f"the words {word!r} and {self._codes[code_of_word(word)]!r} have the same "
                    "code. Change one of them."
                )

    def encode(self, cells: WordCells) -> np.ndarray:
        """Return the values to write, (rows, 1): codes, as ``word_codes`` gives them.

        Raises:
            RefusedValueError: for a word that it did not have before.
        """
        if not self._found.issuperset(cells.words.unique().drop_null().to_pylist()):
            raise RefusedValueError("it has a word that it did not have before.")
        return codes_of_words(cells.words)[:, np.newaxis].view(np.int64)


class CategoryTarget(_WordColumn):
    """A target of words: a class is the position of its word among all words, sorted."""

    @property
    def classes(self) -> int:
        """The number of words."""
        return len(self._found)

    @property
    def labels(self) -> list[str]:
        """The words."""
        return self.words

    def encode(self, cells: WordCells) -> np.ndarray:
        """Return the values to write, (rows, 1)."""
        return cells.numbers(self.words)[:, np.newaxis].astype(self.dtype)
