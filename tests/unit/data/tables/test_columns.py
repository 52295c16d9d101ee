"""Columns learn classes and words in the first pass, and encode rows in the second."""

import numpy as np
import pyarrow as pa
import pytest

from memtrain.data.tables.columns import (
    CategoryFeature,
    CategoryTarget,
    ClassColumn,
    NumberColumn,
)
from memtrain.data.tables.refused_value import RefusedValueError

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


def test_classes_are_the_labels_that_occur():
    column = learned(ClassColumn("y", INT), pa.array([1, 0, None]))
    assert (column.classes, column.labels) == (2, None)
    learned(column, pa.array([10**9, 1]))
    assert learned(column, pa.nulls(0)).classes == 3
    assert column.labels == ["0", "1", "1000000000"]
    assert column.encode(column.read(pa.array([10**9, 0, 1]))).tolist() == [[2], [0], [1]]


def test_a_label_that_was_not_learned_is_refused():
    column = learned(ClassColumn("y", INT), pa.array([0, 5]))
    assert "label" in refusal(column.encode, column.read(pa.array([3])))[1]


def test_a_target_with_too_many_labels_is_refused():
    column = learned(ClassColumn("y", INT), pa.array(range(100_000)))
    assert "more than 100,000 different values" in refusal(learned, column, pa.array([10**9]))[1]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (1e8 + np.arange(9.0), "float32"),
        (1_700_000_000 + np.linspace(0, 3600, 9), "float32"),
        (100 + np.linspace(0, 1, 9), "float16"),
        (np.linspace(-1e-60, 1e-60, 9), "float32"),
        (np.linspace(0, 1e-8, 9), "float16"),
    ],
)
def test_values_that_a_type_merges_are_refused(values, dtype):
    column = learned(NumberColumn("x", np.dtype(dtype)), pa.array(values))
    assert f"{dtype} merges them" in refusal(column.refuse_merged)[1]
    learned(NumberColumn("x", np.dtype(dtype), rounds=True), pa.array(values)).refuse_merged()
    learned(NumberColumn("x", np.dtype("float64")), pa.array(values)).refuse_merged()


@pytest.mark.parametrize(
    "values", [[0.1] * 2000, [1e8, -1e8], [1.0, 1.1, None], [1e-60, 0.5], [None, None]]
)
def test_values_that_differ_enough_are_taken(values):
    learned(NumberColumn("x", FLOAT), pa.array(values, pa.float64())).refuse_merged()


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
    for column, most in ((CategoryFeature("x"), 100_000), (CategoryTarget("x", INT), 10_000)):
        learned(column, pa.array(map(str, range(most))))
        problem = refusal(learned, column, pa.array(["0", "one more"]))
        assert f"more than {most:,} different words" in problem[1]


def test_a_word_is_written_as_a_code_that_depends_on_its_text_alone():
    column = learned(CategoryFeature("x"), pa.array(["b", "a", None]))
    other = learned(CategoryFeature("x"), pa.array(["b"]))
    codes = column.encode(column.read(pa.array(["a", None, "b"])))[:, 0].tolist()
    assert codes == [column.codes["a"], 0, other.codes["b"]]
    assert list(column.codes) == ["a", "b"]


@pytest.mark.parametrize("column", [CategoryFeature("x"), CategoryTarget("x", INT)])
def test_a_word_that_was_not_learned_is_refused(column):
    learned(column, pa.array(["a"]))
    assert "word" in refusal(column.encode, column.read(pa.array(["b"])))[1]
