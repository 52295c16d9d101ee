"""dtypes have names, bfloat16 included, and come back from them and from descriptions."""

import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.lib import format as npy

from memtrain.core.errors import UserError
from memtrain.data.formats.dtypes import (
    BFLOAT16,
    dtype_from_json,
    dtype_name,
    dtype_to_json,
    parse_dtype,
)

numbers = st.one_of(
    st.just(BFLOAT16),
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(),
    arrays.floating_dtypes(),
    arrays.datetime64_dtypes(),
)
records = arrays.array_dtypes(numbers, min_size=1, max_size=4, allow_subarrays=True)


@given(numbers)
def test_names_come_back(dtype):
    assert parse_dtype(dtype_name(dtype)) == dtype


@given(st.one_of(numbers, records))
def test_descriptions_come_back_from_json(dtype):
    described = json.loads(json.dumps(dtype_to_json(dtype)))
    assert dtype_from_json(described) == dtype


@pytest.mark.slow
@given(arrays.nested_dtypes(arrays.integer_dtypes(), max_leaves=4))
def test_descriptions_of_other_dtypes_are_those_of_npy_headers(dtype):
    assert dtype_to_json(dtype) == json.loads(json.dumps(npy.dtype_to_descr(dtype)))


def test_bfloat16_has_its_name_wherever_it_is():
    dtype = np.dtype(
        [("x", BFLOAT16, (3,)), ("y", [("z", BFLOAT16)], (2,)), ("raw", "V2")], align=True
    )
    assert dtype_to_json(dtype) == [
        ["x", "bfloat16", [3]],
        ["y", [["z", "bfloat16"]], [2]],
        ["raw", "|V2"],
    ]
    assert dtype_from_json(dtype_to_json(dtype)) == dtype
    assert dtype_to_json(BFLOAT16) == "bfloat16"
    assert parse_dtype("bfloat16") is np.dtype(ml_dtypes.bfloat16)


def test_bytes_between_fields_stay():
    dtype = np.dtype([("a", "u1"), ("b", BFLOAT16), ("c", "u1"), ("d", "<f8")], align=True)
    again = dtype_from_json(json.loads(json.dumps(dtype_to_json(dtype))))
    assert again.itemsize == dtype.itemsize
    assert {n: again.fields[n][1] for n in "abcd"} == {n: dtype.fields[n][1] for n in "abcd"}
    assert again["b"] == BFLOAT16


@pytest.mark.parametrize(
    "name", ["object", "S3", "U2", "V2", "float8_e4m3fn", "M8", "f4,f4", "uint17", "", None, 3]
)
def test_what_is_no_number_is_refused(name):
    with pytest.raises(UserError, match="is not a dtype that can be read"):
        parse_dtype(name)


def test_a_slip_is_corrected():
    with pytest.raises(UserError, match="Did you mean 'bfloat16'"):
        parse_dtype("bflaot16")


def test_records_have_no_name():
    with pytest.raises(ValueError, match="no name"):
        dtype_name(np.dtype([("a", "f4")]))
