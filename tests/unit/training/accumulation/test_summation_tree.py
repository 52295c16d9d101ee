"""The order in which slots are added does not depend on which process adds them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memtrain.training.accumulation.summation_tree import (
    add,
    left_branch_size,
    subtree_sizes,
    tree_sum,
    tree_sum_of_rows,
    tree_sum_of_runs,
)


class Spelled(str):
    """A number whose sums spell out the order of addition."""

    def __add__(self, other):
        return Spelled(f"({self}+{other})")


def spelled(slots):
    return [Spelled(slot) for slot in slots]


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (1, "0"),
        (2, "(0+1)"),
        (3, "((0+1)+2)"),
        (4, "((0+1)+(2+3))"),
        (5, "(((0+1)+(2+3))+4)"),
        (6, "(((0+1)+2)+((3+4)+5))"),
        (7, "(((0+1)+(2+3))+((4+5)+6))"),
        (8, "(((0+1)+(2+3))+((4+5)+(6+7)))"),
    ],
)
def test_the_shape_of_the_tree(slots, expected):
    assert tree_sum(spelled(range(slots))) == expected


@given(odd=st.integers(0, 4), halvings=st.integers(0, 5), data=st.data())
def test_runs_of_a_power_of_two_of_processes_are_subtrees(odd, halvings, data):
    processes = 2 ** data.draw(st.integers(0, halvings))
    slots = (2 * odd + 1) * 2**halvings
    share = slots // processes
    parts = [tree_sum(spelled(range(start, start + share))) for start in range(0, slots, share)]
    assert tree_sum(parts) == tree_sum(spelled(range(slots)))


@given(slots=st.integers(1, 40), empty=st.sets(st.integers(0, 40)))
def test_empty_slots_are_left_out(slots, empty):
    values = [None if slot in empty else 2.0**-slot for slot in range(slots)]
    total = tree_sum(values)
    assert (total or 0.0) == math.fsum(value for value in values if value is not None)
    assert (total is None) == all(value is None for value in values)


def test_an_empty_slot_is_not_a_zero():
    assert math.copysign(1, add(-0.0, None)) == -1
    assert math.copysign(1, tree_sum([None, -0.0, None])) == -1


@given(slots=st.integers(1, 33), size=st.integers(1, 5), seed=st.integers(0, 99))
def test_the_rows_of_a_tensor_are_added_in_the_same_tree(slots, size, seed):
    values = torch.randn(slots, size, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(tree_sum_of_rows(values), tree_sum(list(values)))


@given(slots=st.integers(1, 64), whole=st.integers(1, 64), start=st.integers(0, 3))
def test_computing_a_branch_in_one_call_changes_nothing(slots, whole, start):
    run = range(start * slots, (start + 1) * slots)
    summed_runs = []

    def add_run(left, part):
        summed_runs.append(part)
        return add(left, tree_sum(spelled(part)))

    total = tree_sum_of_runs(run, add_run, lambda part: len(part) <= whole, add)
    assert total == tree_sum(spelled(run))
    assert [slot for part in summed_runs for slot in part] == list(run)
    assert all(len(part) <= whole for part in summed_runs)


def test_the_number_of_sums_held_grows_with_the_logarithm():
    held, most = 0, 0

    class Counted:
        def __init__(self):
            nonlocal held, most
            held += 1
            most = max(most, held)

        def __add__(self, other):
            nonlocal held
            held -= 2
            return Counted()

    def add_run(left, part):
        return add(left, Counted())

    tree_sum_of_runs(range(1024), add_run, lambda part: False, add)
    assert most <= 12


def test_subtree_sizes():
    assert subtree_sizes(8) == [8, 4, 2, 1]
    assert subtree_sizes(12) == [12, 6, 3, 2, 1]
    assert left_branch_size(7) == 4
