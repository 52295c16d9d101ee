"""One order of summation: the fixed binary tree that the slots of a window are added in.

Sums of floating-point numbers depend on their order. The tree of a window depends on its number of
slots and on nothing else: slot 0 is added to slot 1, 2 to 3, then these pairs, and so on, whoever
computes them. A run of slots is cut into halves as long as it is even (so that the runs of 2, 4, …
processes are subtrees), else before the largest power of two. What is empty counts as nothing: not
as zero, since -0.0 + 0.0 is another number than -0.0.

(Fixed trees make parallel sums reproducible; see Demmel and Nguyen, "Parallel reproducible
summation", 2015, who go on to sums that do not depend on the tree.)
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

Value = TypeVar("Value")


def left_part(count: int) -> int:
    """Return how many of a run of slots lie in the left branch of its tree; 2 slots or more."""
    return count // 2 if count % 2 == 0 else 1 << (count.bit_length() - 1)


def sizes_of_subtrees(count: int) -> list[int]:
    """Return the sizes of the runs that the leftmost branches have, the largest first."""
    sizes = [count]
    while sizes[-1] > 1:
        sizes.append(left_part(sizes[-1]))
    return sizes


def add(left: Value | None, right: Value | None) -> Value | None:
    """Return the sum of two branches, either of which may be empty."""
    if left is None or right is None:
        return right if left is None else left
    return left + right


def tree_sum(values: Sequence[Value | None]) -> Value | None:
    """Return the sum of the values of all slots; None where all are empty."""
    if len(values) == 1:
        return values[0]
    left = left_part(len(values))
    return add(tree_sum(values[:left]), tree_sum(values[left:]))


def tree_sum_of_runs(
    run: range, of_run: Callable[[range], Value | None], is_whole: Callable[[range], bool]
) -> Value | None:
    """Return the sum over a run of slots, computed branch by branch, the left one first.

    At most one value for every level of the tree is held at a time: about log2(slots).

    Args:
        run: of slots; a subtree.
        of_run: gives the sum over a run; None for an empty one.
        is_whole: whether it is to be asked for a run of several slots as a whole.
    """
    if len(run) == 1 or is_whole(run):
        return of_run(run)
    left = left_part(len(run))
    return add(
        tree_sum_of_runs(run[:left], of_run, is_whole),
        tree_sum_of_runs(run[left:], of_run, is_whole),
    )


def tree_sum_of_rows(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of the rows of a tensor (slots, n), as (n,)."""
    count = len(values)
    if count & (count - 1):
        left = left_part(count)
        return tree_sum_of_rows(values[:left]) + tree_sum_of_rows(values[left:])
    while len(values) > 1:
        values = values[0::2] + values[1::2]
    return values[0]
