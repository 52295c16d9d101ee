"""Statistics of fields: equal to NumPy's, also when merged, and written without loss."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.data.field_statistics import FieldStatistics, merge_all
from memtrain.system import canonical_json

FIELDS = ("count", "mean", "m2", "minimum", "maximum", "missing", "infinite")


def random_rows(seed, rows, columns, dtype, shift, nonfinite):
    generator = np.random.default_rng(seed)
    array = (generator.standard_normal((rows, columns)) * 10 + shift).astype(dtype)
    if nonfinite and array.dtype.kind == "f":
        spoilt = generator.random(array.shape) < nonfinite
        array[spoilt] = generator.choice([np.nan, np.inf, -np.inf], spoilt.sum())
    return array


arrays = st.builds(
    random_rows,
    seed=st.integers(0, 1000),
    rows=st.sampled_from([1, 2, 5, 1023, 1024, 1025, 3000, 20_000]),
    columns=st.sampled_from([1, 3, 21]),
    dtype=st.sampled_from(["<f4", ">f8", "<i8", "u1"]),
    shift=st.sampled_from([50, 120]),
    nonfinite=st.sampled_from([0, 0.001, 0.5, 1]),
)


def assert_equals_numpy(statistics, array):
    doubles = np.ma.masked_invalid(array.astype(np.float64))
    assert np.array_equal(statistics.count, doubles.count(axis=0))
    assert np.array_equal(statistics.missing, np.isnan(array).sum(axis=0))
    assert np.array_equal(statistics.infinite, np.isinf(array).sum(axis=0))
    there = statistics.count > 0
    for found, expected in (
        (statistics.mean, doubles.mean(axis=0)),
        (statistics.m2, doubles.var(axis=0) * doubles.count(axis=0)),
        (statistics.standard_deviation, doubles.std(axis=0)),
        (statistics.minimum, doubles.min(axis=0)),
        (statistics.maximum, doubles.max(axis=0)),
    ):
        expected = np.ma.filled(expected, 0)
        assert np.allclose(found[there], expected[there], rtol=1e-12, atol=1e-7 * (array.size > 0))


@given(arrays)
@settings(deadline=None, max_examples=60)
def test_statistics_equal_those_of_numpy(array):
    assert_equals_numpy(FieldStatistics.from_rows(array), array)


@given(arrays, st.lists(st.integers(0, 20_000), max_size=6))
@settings(deadline=None, max_examples=60)
def test_merged_parts_have_the_statistics_of_the_whole(array, cuts):
    parts = np.split(array, sorted(min(cut, len(array)) for cut in cuts))
    merged = merge_all([FieldStatistics.from_rows(part) for part in parts])
    assert_equals_numpy(merged, array)


@given(arrays)
@settings(deadline=None, max_examples=30)
def test_json_keeps_every_bit(array):
    statistics = FieldStatistics.from_rows(array)
    again = FieldStatistics.from_json(statistics.to_json())
    for name in FIELDS:
        assert np.array_equal(getattr(again, name), getattr(statistics, name))


def test_a_large_mean_costs_no_digits_of_the_deviation():
    array = np.random.default_rng(0).random((5000, 2)) + 1e9
    found = FieldStatistics.from_rows(array).standard_deviation
    assert np.allclose(found, array.std(axis=0), rtol=1e-6)


def test_columns_of_constant_value_have_no_deviation():
    assert FieldStatistics.from_rows(np.full((3000, 2), 0.1)).m2.max() < 1e-25


@pytest.mark.parametrize("rows", [10, 5000])
def test_classes_are_counted(rows):
    labels = np.random.default_rng(0).integers(0, 5, (rows, 1))
    statistics = FieldStatistics.from_rows(labels)
    assert statistics.values.tolist() == np.bincount(labels[:, 0]).tolist()
    other = FieldStatistics.from_rows(np.array([[7]]))
    assert merge_all([statistics, other]).values.tolist()[5:] == [0, 0, 1]
    assert merge_all([statistics, FieldStatistics.from_rows(np.array([[-1]]))]).values is None


@pytest.mark.parametrize("rows", [3, 5000])
def test_values_without_a_finite_square_have_an_infinite_deviation(rows):
    statistics = FieldStatistics.from_rows(np.array([[1e200, 1.0], [-1e200, 2.0]] * rows))
    again = FieldStatistics.from_json(json.loads(canonical_json.dumps(statistics.to_json())))
    assert again.standard_deviation[0] == np.inf
    assert again.standard_deviation[1] == 0.5


@settings(max_examples=30)
@given(
    rows=st.integers(0, 3000),
    columns=st.integers(1, 40),
    parts=st.integers(1, 4),
    dtype=st.sampled_from(["u1", "<i8", ">u2"]),
    highest=st.sampled_from([0, 7, 255]),
    seed=st.integers(0, 1000),
)
def test_values_of_several_columns_are_counted_together(rows, columns, parts, dtype, highest, seed):
    generator = np.random.default_rng(seed)
    array = generator.integers(highest + 1, size=(rows, columns)).astype(dtype)
    pieces = np.array_split(array, parts)
    found = merge_all([FieldStatistics.from_rows(one, counts_together=True) for one in pieces])
    assert found.values.tolist() == np.bincount(array.reshape(-1).astype(np.int64)).tolist()
    apart = FieldStatistics.from_rows(array).values
    assert (apart is None) == (columns > 1)


@pytest.mark.parametrize("value", [-1, 1024])
def test_values_that_are_no_small_numbers_are_not_counted(value):
    array = np.array([[1, 2], [3, value]], np.int16)
    assert FieldStatistics.from_rows(array, counts_together=True).values is None
    assert FieldStatistics.from_rows(array[:, 1:]).values is None
