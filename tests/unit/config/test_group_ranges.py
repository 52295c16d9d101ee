"""Ranges and folds of rows with groups cut no group."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.config.folds import FoldSettings
from memtrain.config.reading import parse_configuration
from memtrain.config.splits import SplitSettings
from memtrain.core.errors import UserError
from memtrain.core.group_borders import GroupBorders
from memtrain.core.ranges import Range

#: Groups of 3, 4, 1 and 2 rows.
GROUPS = GroupBorders([0, 3, 7, 8], 10, "patient")

STARTS = st.sets(st.integers(1, 99), min_size=3).map(lambda inner: [0, *sorted(inner)])


def resolved(train, evaluate=None, groups=GROUPS):
    return SplitSettings(train=train, evaluate=evaluate).resolve("splits.a", groups.rows, groups)


def test_percentages_stand_for_the_nearest_border():
    found = resolved([0, "60%"], ["60%", "100%"])
    assert (found.train, found.evaluate) == ([Range(0, 7)], [Range(7, 10)])
    assert found.problems == []
    assert resolved([[0, "25%"], ["75%", "100%"]]).train == [Range(0, 3), Range(7, 10)]


def test_a_row_number_that_cuts_a_group_is_refused_with_the_nearest_borders():
    found = resolved([0, 5], [7, 9])
    assert found.problems == [
        "splits.a.train: [0, 5] cuts a group of 'patient' at row 5; the group is rows [3, 7). Use "
        "3 or 7, or a percentage, which stands for the nearest border of groups.",
        "splits.a.evaluate: [7, 9] cuts a group of 'patient' at row 9; the group is rows [8, 10). "
        "Use 8 or 10, or a percentage, which stands for the nearest border of groups.",
    ]
    assert resolved([0, 3], [3, 8]).problems == []
    assert "reaches to row 12" in resolved([0, 12]).problems[0]


def test_a_range_that_holds_no_border_is_empty_and_says_why():
    [problem] = resolved(["40%", "50%"]).problems
    assert "is [3, 3) of 10 rows, at borders of groups of 'patient', which is empty" in problem


@given(STARTS, st.integers(2, 9), st.sampled_from(["any", "time"]), st.integers(0, 30))
def test_folds_are_whole_groups_and_no_group_is_on_both_sides(starts, count, order, gap):
    groups = GroupBorders(starts, 100, "patient")
    folds = FoldSettings(count=count, order=order, gap=gap)
    borders = {*starts, 100}
    evaluated = []
    for number in range(count):
        found = folds.resolve(number, 100, groups)
        if found.problems:
            assert count + (order == "time") > len(starts) or "folds.gap" in found.problems[0]
            return
        assert {bound for part in (*found.train, *found.evaluate) for bound in part} <= borders
        [part] = found.evaluate
        for train in found.train:
            assert train.end + gap <= part.start or part.end + gap <= train.start
            assert order == "any" or train.end <= part.start
        evaluated.append(part)
    assert evaluated == sorted(evaluated)
    assert evaluated[-1].end == 100
    assert all(one.end == other.start for one, other in pairwise(evaluated))


@pytest.mark.parametrize(
    ("order", "count", "expected"),
    [
        ("any", 5, "5 folds need 5 groups of 'patient' or more, and there are 4. Use fewer folds."),
        ("time", 4, "4 folds need 5 groups of 'patient' or more (and the first one is only"),
    ],
)
def test_more_folds_than_groups_are_refused(order, count, expected):
    [problem] = FoldSettings(count=count, order=order).resolve(0, 10, GROUPS).problems
    assert expected in problem


def test_very_unequal_groups_leave_no_fold_empty():
    groups = GroupBorders([0, 97, 98, 99], 100, "patient")
    folds = [FoldSettings(count=4).resolve(number, 100, groups) for number in range(4)]
    found = [fold.evaluate for fold in folds]
    assert found == [[Range(0, 97)], [Range(97, 98)], [Range(98, 99)], [Range(99, 100)]]


def test_a_problem_of_all_folds_is_told_once():
    with pytest.raises(UserError) as error:
        parse_configuration({"dataset": {"name": "d", "mock": {"rows": 3}}, "folds": 5})
    assert list(error.value.problems) == ["folds: 5 folds of 3 rows leave some of the folds empty."]
