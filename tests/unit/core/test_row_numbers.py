"""Numbers of rows become the fewest ranges that hold them."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memtrain.core.row_numbers import ranges_of_rows


@given(st.lists(st.integers(0, 50)))
def test_ranges_hold_exactly_the_rows(rows):
    ranges = ranges_of_rows(np.array(sorted(rows), np.int64))
    assert {row for part in ranges for row in range(*part)} == set(rows)
    assert all(before.end < after.start for before, after in pairwise(ranges))
