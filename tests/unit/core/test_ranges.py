"""Ranges of rows."""

from hypothesis import given
from hypothesis import strategies as st

from memtrain.core.ranges import Range, cut_at_grid, overlaps, resolve_bound

ranges = st.tuples(st.integers(0, 200), st.integers(1, 100)).map(
    lambda pair: Range(pair[0], pair[0] + pair[1])
)


@given(ranges, st.integers(1, 50))
def test_cutting_keeps_every_row_in_its_cell(piece, rows_per_cell):
    rows = []
    for cell, part in cut_at_grid(piece, rows_per_cell):
        assert all(row // rows_per_cell == cell for row in range(*part))
        rows += range(*part)
    assert rows == list(range(*piece))


@given(st.lists(ranges, max_size=4), st.lists(ranges, max_size=4))
def test_overlaps_are_the_common_rows(left, right):
    def rows(pieces):
        return {row for piece in pieces for row in range(*piece)}

    assert rows(overlaps(left, right)) == rows(left) & rows(right)


def test_a_share_is_exact():
    assert resolve_bound("33.3%", 1000) == 333
    assert resolve_bound("0.1%", 3 * 10**18) == 3 * 10**15
    assert resolve_bound("100%", 7) == 7
