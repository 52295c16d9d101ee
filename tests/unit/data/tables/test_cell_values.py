"""Cells become numbers of the declared type, or words; a cell that would lose digits is refused."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.data.tables.cell_values import read_numbers, read_words
from memtrain.data.tables.refused_value import RefusedValueError

FLOAT, INT = np.dtype("float32"), np.dtype("int64")


def refusal(read, *arguments):
    with pytest.raises(RefusedValueError) as error:
        read(*arguments)
    return error.value.row, error.value.reason


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1.5, -2, None], pa.float16()),
        pa.array([1.5, -2, float("nan")], pa.float64()),
        pa.array([Decimal("1.50"), Decimal("-2"), None]),
        pa.array(["1.5", "-2", ""]),
        pa.array(["1.5", "-2", None], pa.large_string()),
        pa.array([b"1.5", b" -2 ", b"NA"]),
        pa.array([1.5, -2, None]).dictionary_encode(),
        pa.array(["1.5", "-2", "nan"]).dictionary_encode(),
    ],
)
def test_numbers_of_any_type(array):
    cells = read_numbers(array, FLOAT)
    assert cells.values.dtype == FLOAT
    assert cells.values.tolist() == [[1.5], [-2], [0]]
    assert cells.missing.tolist() == [[False], [False], [True]]


def test_a_column_of_nulls_is_all_missing():
    cells = read_numbers(pa.nulls(2), INT)
    assert cells.values.tolist() == [[0], [0]]
    assert cells.missing.all()


@pytest.mark.parametrize("array", [pa.array([True, False, None]), pa.array(["True", "false", ""])])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
def test_booleans_are_one_and_zero(array, dtype):
    cells = read_numbers(array, np.dtype(dtype))
    assert cells.values[:, 0].tolist() == [1, 0, 0]
    assert cells.missing[:, 0].tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("1.00", 1),
        ("100", 100),
        (" +2 ", 2),
        ("3e2", 300),
        ("-7", -7),
        ("TRUE", 1),
        ("False", 0),
    ],
)
def test_spellings_of_integers(text, number):
    assert read_numbers(pa.array(["7", text]), INT).values.tolist() == [[7], [number]]


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "#N/A", "<NA>", "NaN", "null", "None"])
@pytest.mark.parametrize("dtype", [FLOAT, INT])
def test_spellings_of_a_missing_number(text, dtype):
    cells = read_numbers(pa.array(["7", text]), dtype)
    assert cells.values.tolist() == [[7], [0]]
    assert cells.missing.tolist() == [[False], [True]]


@pytest.mark.parametrize("other", ["5", " 5 ", "NA", "+5", "5.0", "5.", "-0"])
def test_integers_in_text_keep_all_of_their_digits(other):
    large = [2**53 + 1, 2**63 - 1, -(2**63)]
    cells = read_numbers(pa.array([other, *map(str, large)]), INT)
    assert cells.values[1:, 0].tolist() == large


def test_integers_that_would_lose_digits_are_refused():
    row, reason = refusal(read_numbers, pa.array(["1e3", "9007199254740993"]), INT)
    assert row == 1
    assert "9007199254740993 would lose digits" in reason


@pytest.mark.parametrize(
    ("array", "dtype", "row", "message"),
    [
        (pa.array([1, 1.5]), "int64", 1, "1.5 does not fit the type int64"),
        (pa.array(["1", "1.5"]), "int64", 1, "1.5 does not fit the type int64"),
        (pa.array([1, 300, 301]), "uint8", 1, "300 does not fit the type uint8"),
        (pa.array([-1, 2]), "uint32", 0, "-1 does not fit"),
        (pa.array([1, 2**63], pa.uint64()), "int64", 1, "9223372036854775808 does not fit"),
        (pa.array([0, 2.0**63]), "int64", 1, "9.223372036854776e+18 does not fit"),
        (pa.array([0, float("inf")]), "int8", 1, "inf does not fit"),
        (pa.array([1, 128.5], pa.float16()), "int8", 1, "128.5 does not fit"),
        (pa.array([60000, 1.5], pa.float16()), "int64", 1, "1.5 does not fit"),
        (pa.array([0, 2]), "bool", 1, "2 does not fit the type bool"),
        (pa.array([1, 70000]), "float16", 1, "70000 does not fit"),
        (pa.array([1, 1e300]), "float32", 1, "1e+300 does not fit"),
        (pa.array([[1, 2], [3, 300]], pa.list_(pa.int64(), 2)), "uint8", 1, "300 does not fit"),
        (pa.array(["7", "inf"]), "int64", 1, "inf does not fit the type int64"),
        (pa.array(["7", str(2**63)]), "int64", 1, f"{2**63} does not fit the type int64"),
        (pa.array([str(2**53 + 1), str(2**63)]), "int64", 1, f"{2**63} does not fit the type"),
        (pa.array(["7", "1e400"]), "int64", 1, "1e400 is beyond all numbers"),
        (pa.array(["7", "-1e400"]), "float32", 1, "-1e400 is beyond all numbers"),
        (pa.array(["7", "0x1F"]), "int64", 1, "found the text '0x1F'"),
        (pa.array(["7", "0x1F"]), "float64", 1, "found the text '0x1F'"),
        (pa.array(["7", "+-5"]), "int64", 1, "found the text '+-5'"),
        (pa.array(["7", "+-5"]), "float32", 1, "found the text '+-5'"),
        (pa.array([1, 2**24 + 1]), "float32", 1, "integer 16777217 would become 16777216 as float"),
        (pa.array(["1", "20240101"]), "float32", 1, "20240101 would become 20240100 as float32"),
        (pa.array(["+20240101.0", "x"][:1]), "float32", 0, "would become 20240100 as float32"),
        (pa.array([2**53 + 1, 1.0][:1]), "float64", 0, f"{2**53 + 1} would become {2**53} as"),
        (pa.array(["1.5", str(2**53 + 1)]), "float64", 1, f"{2**53 + 1} would become {2**53}"),
        (pa.array([2**64 - 1], pa.uint64()), "float64", 0, f"would become {2**64} as float64"),
        (pa.array([Decimal(2**24 + 1)]), "float32", 0, "16777217 would become 16777216"),
        (pa.array([2049], pa.int16()), "float16", 0, "2049 would become 2048 as float16"),
        (pa.array(["1", None, "one", "two"]), "float32", 2, "found the text 'one'"),
        (pa.array(["1", "1" + "x" * 1000]), "int64", 1, "x' where a number is needed"),
        (pa.array([b"1", b"caf\xe9"]), "float32", 1, "its text b'caf\\xe9' has bytes"),
        (pa.array([date(2013, 1, 1)]), "float32", None, "type date32[day], which is no number"),
        (pa.array([datetime(2013, 1, 1)]), "int64", None, "type timestamp[us], which is no number"),
        (pa.array([timedelta(1)]), "int64", None, "Save it as a number, of days or seconds"),
        (pa.array([[1], [2, 3]]), "float32", None, "type list<item: int64>, which is no number"),
        (pa.array([{"a": 1}]), "float32", None, "type struct<a: int64>, which is no number"),
    ],
)
def test_values_that_do_not_fit_are_refused(array, dtype, row, message):
    found, reason = refusal(read_numbers, array, np.dtype(dtype))
    assert found == row
    assert message in reason
    assert len(reason) < 300


@pytest.mark.parametrize("array", [pa.array([np.inf, -np.inf]), pa.array([" +inf", "-Infinity"])])
def test_infinite_values_stay_infinite(array):
    assert read_numbers(array, FLOAT).values.tolist() == [[np.inf], [-np.inf]]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.sampled_from([2, 4, 8]))
def test_integers_are_exact_or_refused_in_text_as_in_numbers(integers, size):
    dtype = np.dtype(f"f{size}")
    with np.errstate(over="ignore"):
        as_floats = [dtype.type(integer) for integer in integers]
    are_exact = all(
        np.isfinite(f) and int(f) == i for f, i in zip(as_floats, integers, strict=True)
    )
    for array in (pa.array(integers), pa.array(map(str, integers))):
        if are_exact:
            assert read_numbers(array, dtype).values[:, 0].tolist() == as_floats
        else:
            row, reason = refusal(read_numbers, array, dtype)
            assert str(integers[row]) in reason


@pytest.mark.parametrize("array", [pa.array([20240101]), pa.array(["20240101"])])
def test_integers_are_rounded_where_that_is_asked_for(array):
    assert read_numbers(array, FLOAT, rounds=True).values.tolist() == [[20240100]]


@pytest.mark.parametrize("array", [pa.array([20240101.0, 0.1]), pa.array(["2.0240101e7", "0.1"])])
def test_floats_are_rounded(array):
    cells = read_numbers(array, FLOAT)
    assert cells.values.tolist() == [[20240100], [np.float32(0.1)]]
    assert cells.rounded_from.tolist() == [[20240101], [0.1]]


def test_lists_of_lists_keep_their_shape():
    numbers = np.arange(36.0).reshape(6, 3, 2)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), 2)
    lists = pa.FixedSizeListArray.from_arrays(inner, 3)
    cells = read_numbers(lists[1:], FLOAT)
    assert cells.shape == (3, 2)
    assert cells.values.tolist() == numbers[1:].reshape(5, 6).tolist()


def test_a_slice_of_lists_has_its_own_numbers():
    lists = pa.array([[9, 9], [1, 2], None, [3, None]], pa.list_(pa.float32(), 2))
    cells = read_numbers(lists[1:], FLOAT)
    assert cells.values.tolist() == [[1, 2], [0, 0], [3, 0]]
    assert cells.missing.tolist() == [[False, False], [True, True], [False, True]]


def test_all_numbers_of_a_missing_list_are_missing():
    numbers, gone = pa.array([1.0, 2, 3, 4]), pa.array([False, True])
    lists = pa.FixedSizeListArray.from_arrays(numbers, 2, mask=gone)
    assert read_numbers(lists, FLOAT).missing.tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (pa.array(["b", "", None]), ["b", None, None]),
        (pa.array(["b", "NA"], pa.large_string()), ["b", "NA"]),
        (pa.array([b"b", None]), ["b", None]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ["b", "a", "b"]),
        (pa.array([2, None], pa.int16()), ["2", None]),
        (pa.array([True, False]), ["true", "false"]),
    ],
)
def test_words_of_any_type(array, words):
    cells = read_words(array)
    assert cells.words.to_pylist() == words
    assert cells.missing[:, 0].tolist() == [word is None for word in words]


@pytest.mark.parametrize("array", [pa.array([1.5]), pa.array([date(2013, 1, 1)]), pa.array([[1]])])
def test_values_that_are_no_category_are_refused(array):
    row, reason = refusal(read_words, array)
    assert row is None
    assert f"a category is of text or integers; this column is of the type {array.type}" in reason
