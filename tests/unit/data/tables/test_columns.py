"""Columns learn classes and words in the first pass, and encode rows in the second."""

import numpy as np
import pyarrow as pa
import pytest

from memtrain.data.tables.cell_values import RefusedValueError
from memtrain.data.tables.columns import (
    CategoryFeature,
    CategoryTarget,
    ClassColumn,
    NumberColumn,
)

FLOAT, INT = np.dtype("float32"), np.dtype("int64")


def refusal(read, *arguments):
    with pytest.raises(RefusedValueError) as error:
        read(*arguments)
    return error.value.row, error.value.reason


def test_a_block_has_a_name_for_every_number():
    column = NumberColumn("pixels", FLOAT)
    column.read(pa.array([[1, 2]], pa.list_(pa.float32(), 2)))
    assert column.names == ["pixels[0]", "pixels[1]"]
    other = pa.array([[1, 2, 3]], pa.list_(pa.float32(), 3))
    assert "rows of 3 numbers follow rows of 2" in refusal(column.read, other)[1]


def learned(column, array):
    """Let a column learn an array, and return the column."""
    column.learn(column.read(array))
    return column


def test_classes_are_counted():
    column = learned(ClassColumn("y", INT), pa.array([0, 4, None]))
    assert learned(column, pa.array([1, 1])).classes == 5
    assert learned(column, pa.nulls(0)).classes == 5


@pytest.mark.parametrize(
    ("array", "row", "message"),
    [
        (pa.array([0, -1]), 1, "classes count from 0, and this is -1"),
        (pa.array([[0, 1]], pa.list_(pa.int8(), 2)), None, "a class is one number, and this is 2"),
    ],
)
def test_values_that_are_no_class_are_refused(array, row, message):
    found, reason = refusal(ClassColumn("y", INT).read, array)
    assert found == row
    assert message in reason


def test_a_category_with_too_many_words_is_refused():
    column = CategoryFeature("x", FLOAT)
    learned(column, pa.array(map(str, range(10_000))))
    problem = refusal(learned, column, pa.array(["0", "one more"]))
    assert "more than 10,000 different words" in problem[1]


@pytest.mark.parametrize("kind", [CategoryFeature, CategoryTarget])
def test_a_word_that_was_not_learned_is_refused(kind):
    column = learned(kind("x", INT), pa.array(["a"]))
    assert "word" in refusal(column.encode, column.read(pa.array(["b"])))[1]
