"""The digests of two cells are equal exactly where their values are."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memtrain.data.tables.cell_digests import digest_cells

KEY = bytes(32)


def digests(values, kind=None):
    return digest_cells(pa.array(values, kind), KEY, "a").tolist()


def value_of(text):
    """Return the value that a cell of text stands for, in plain Python: the oracle."""
    cell, text = text, text.strip()
    lower = text.lower()
    if lower in {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "+nan", "-nan"}:
        return None
    if lower in {"true", "false"}:
        return int(lower == "true")
    if "_" in text:  # Only Python reads it as a number.
        return cell
    try:
        number = int(text)
        return number if abs(number) < 2**64 else float(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return cell
    is_integer = math.isfinite(number) and number == int(number) and abs(number) < 2**64
    return int(number) if is_integer else number


numbers = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.integers(2**53 - 3, 2**53 + 3).map(str),
    st.floats().map(repr),
    st.sampled_from(["1", "1.0", "+1", " 1", "1e0", "-0", "0", "true", ".5", "0.5", "5.", "5"]),
)
words = st.sampled_from(
    ["", "NA", "null", "x", "X", "x ", "1x", "1,5", "0x1", "1_0", "é", "e5", "1_0 "]
)


@pytest.mark.slow
@given(st.lists(st.one_of(numbers, words), min_size=1, max_size=12))
@example(["9007199254740993", "9007199254740992", "9007199254740992.0", "x"])
@example(["inf", "-Infinity", "1e400", "x"])
def test_text_is_equal_where_its_value_is(cells):
    expected = [value_of(cell) for cell in cells]
    found = digests(cells)
    for left in range(len(cells)):
        for right in range(left):
            equal = expected[left] == expected[right] and (
                isinstance(expected[left], str) == isinstance(expected[right], str)
            )
            assert (found[left] == found[right]) == equal, (cells[left], cells[right])
    # A cell has its digest whatever stands beside it.
    assert found == [digests([cell])[0] for cell in cells]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_have_the_digests_of_their_text(integers):
    assert digests(integers, pa.int64()) == digests(list(map(str, integers)), pa.string())


@given(st.lists(st.one_of(st.none(), st.floats())))
def test_doubles_have_the_digests_of_their_text(doubles):
    text = [None if one is None else repr(one) for one in doubles]
    assert digests(doubles, pa.float64()) == digests(text, pa.string())


@given(st.lists(st.floats(width=32)))
def test_floats_are_what_their_shortest_decimal_spells(floats):
    text = [str(np.float32(one)) for one in floats]
    assert digests(floats, pa.float32()) == digests(text, pa.string())


def test_a_digest_depends_on_key_column_and_every_number_of_a_list():
    one = pa.array([1.5])
    assert digest_cells(one, KEY, "a") != digest_cells(one, KEY, "b")
    assert digest_cells(one, KEY, "a") != digest_cells(one, bytes(31) + b"x", "a")
    pairs = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 2, 1, 1, 2]), 2)
    first, second, third = digest_cells(pairs, KEY, "a").tolist()
    assert first == third != second
    assert digest_cells(pairs[1:], KEY, "a").tolist() == [second, third]
    single = pa.FixedSizeListArray.from_arrays(pa.array([1.5]), 1)
    assert digest_cells(single, KEY, "a") == digest_cells(one, KEY, "a")
    assert digest_cells(pa.array(["x"]).dictionary_encode(), KEY, "a") == digests(["x"])
