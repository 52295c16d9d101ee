"""The fixed binary tree in which the values of the slots of an accumulation window are added.

A slot is the place of a micro-batch in its window; in a short window, some slots may be empty. A
run is a range of consecutive slots.

Sums of floating-point numbers depend on their order, so the order is fixed here. The tree of a
window depends only on its number of slots: the value of slot 0 is added to that of slot 1, slot 2
to slot 3, then the sums of these pairs are added, and so on, whichever process computes them. A run
of slots is cut in half while its length is even, so that the slots of each of 2, 4, ... processes
are a subtree; a run of odd length is cut so that its left part is the largest possible power of
two. An empty slot is left out of the sum rather than counted as zero, because -0.0 + 0.0 is 0.0 and
not -0.0.

Fixed trees are a known way to reproducible parallel sums; see Demmel and Nguyen, "Parallel
reproducible summation", 2015, who go on to sums that do not depend on the tree.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

Value = TypeVar("Value", torch.Tensor, float)


def left_branch_size(count: int) -> int:
    """Return how many of ``count`` slots, 2 or more, lie in the left branch of their tree."""
    return count // 2 if count % 2 == 0 else 1 << (count.bit_length() - 1)


def subtree_sizes(count: int) -> list[int]:
    """Return the sizes of the leftmost subtrees of ``count`` slots, the largest first."""
    sizes = [count]
    while sizes[-1] > 1:
        sizes.append(left_branch_size(sizes[-1]))
    return sizes


def add(left: Value | None, right: Value | None) -> Value | None:
    """Return the sum of two branches; None stands for an empty branch."""
    if left is None or right is None:
        return right if left is None else left
    return left + right


def tree_sum(values: Sequence[Value | None]) -> Value | None:
    """Return the sum of the values of all slots; None stands for an empty slot or sum."""
    if len(values) == 1:
        return values[0]
    left = left_branch_size(len(values))
    return add(tree_sum(values[:left]), tree_sum(values[left:]))


def add_in_place(left: torch.Tensor | None, right: torch.Tensor | None) -> torch.Tensor | None:
    """Return ``add`` of two branches, in the memory of the left one if there are both."""
    if left is None or right is None:
        return right if left is None else left
    return left.add_(right)


def tree_sum_of_runs(
    run: range,
    add_run: Callable[[Value | None, range], Value | None],
    is_one_call: Callable[[range], bool],
    merge: Callable[[Value | None, Value | None], Value | None],
) -> Value | None:
    """Return the sum over a run of slots, computed branch by branch, the left branch first.

    At any time at most one value per level of the tree is held: about log2(slots) values.

    Args:
        run: the slots, a subtree.
        add_run: adds the sum over a single slot, or over a run that is computed in one call, to the
            value of the branch on its left, and returns the sum; both branches may be empty, None.
        is_one_call: tells whether a run of several slots is computed in one call.
        merge: adds the values of two branches.
    """

    def is_leaf(part: range) -> bool:
        return len(part) == 1 or is_one_call(part)

    if is_leaf(run):
        return add_run(None, run)
    size = left_branch_size(len(run))
    left = tree_sum_of_runs(run[:size], add_run, is_one_call, merge)
    if is_leaf(run[size:]):
        return add_run(left, run[size:])
    return merge(left, tree_sum_of_runs(run[size:], add_run, is_one_call, merge))


def tree_sum_of_rows(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of the rows of a tensor (slots, n), as (n,), added as by ``tree_sum``."""
    count = len(values)
    if count & (count - 1):
        left = left_branch_size(count)
        return tree_sum_of_rows(values[:left]) + tree_sum_of_rows(values[left:])
    while len(values) > 1:
        values = values[0::2] + values[1::2]
    return values[0]
