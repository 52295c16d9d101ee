"""Borders of groups: the nearest ones, and those that cut the rows into even parts."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.core.group_borders import GroupBorders


def borders_of(sizes):
    ends = np.cumsum(sizes)
    return GroupBorders([0, *ends[:-1].tolist()], int(ends[-1]), "patient")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.data())
def test_the_nearest_border_is_the_nearest(sizes, data):
    groups = borders_of(sizes)
    all_borders = [*groups.starts, groups.rows]
    row = data.draw(st.integers(0, groups.rows))
    assert groups.nearest(row) == min(all_borders, key=lambda border: (abs(border - row), border))
    before, after = groups.around(row)
    assert before == max(one for one in all_borders if one <= row)
    assert after == min(one for one in all_borders if one >= row)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.data())
def test_no_part_is_empty_and_no_group_is_cut(sizes, data):
    groups = borders_of(sizes)
    parts = data.draw(st.integers(1, groups.groups))
    borders = groups.even_borders(parts)
    assert (borders[0], borders[-1], len(borders)) == (0, groups.rows, parts + 1)
    assert sorted(set(borders)) == borders
    assert set(borders) <= {*groups.starts, groups.rows}


@pytest.mark.parametrize("sizes", [[1] * 12, [2, 1, 3, 2, 4, 1], [100, 1, 1, 1], [1, 1, 1, 100]])
def test_parts_are_as_even_as_borders_allow(sizes):
    groups = borders_of(sizes)
    for parts in (2, 3):
        ends = [groups.rows * part // parts for part in range(1, parts)]

        def distance(inner, ends=ends):
            return sum(abs(one - end) for one, end in zip(inner, ends, strict=True))

        best = min(map(distance, combinations(groups.starts[1:], parts - 1)))
        assert distance(groups.even_borders(parts)[1:-1]) == best
