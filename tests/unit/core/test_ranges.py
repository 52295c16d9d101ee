"""Ranges of rows: cut, compared, subtracted, and resolved from percentages."""

from hypothesis import given
from hypothesis import strategies as st

from memtrain.core.ranges import (
    Range,
    at_positions,
    overlaps,
    resolve_bound,
    subtract_ranges,
)

ranges = st.tuples(st.integers(0, 200), st.integers(1, 100)).map(
    lambda pair: Range(pair[0], pair[0] + pair[1])
)


def row_set(pieces):
    return {row for piece in pieces for row in range(*piece)}


@given(st.lists(ranges, max_size=4), st.lists(ranges, max_size=4))
def test_overlaps_are_the_common_rows(left, right):
    assert row_set(overlaps(left, right)) == row_set(left) & row_set(right)


@given(st.lists(ranges, max_size=4), st.lists(ranges, max_size=4))
def test_subtracting_leaves_all_other_rows(left, removed):
    rest = subtract_ranges(left, removed)
    assert row_set(rest) == row_set(left) - row_set(removed)
    assert all(piece.rows > 0 for piece in rest)


@given(st.lists(ranges, max_size=4), st.integers(0, 300), st.integers(0, 300))
def test_positions_count_through_all_ranges(pieces, start, end):
    rows = [row for piece in pieces for row in range(*piece)]
    found = [row for piece in at_positions(pieces, start, end) for row in range(*piece)]
    assert found == rows[start:end]


def test_percentages_are_resolved_exactly():
    assert resolve_bound("33.3%", 1000) == 333
    assert resolve_bound("0.1%", 3 * 10**18) == 3 * 10**15
    assert resolve_bound("100%", 7) == 7
