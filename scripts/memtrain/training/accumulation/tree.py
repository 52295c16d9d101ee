"""From the micro-batches of a window to its gradient, exact and the same everywhere.

The loss of a micro-batch is the sum over its rows, divided by the rows of the whole window before
it is differentiated. The accumulated gradient is then the gradient of the window as one batch, also
where the last micro-batch or the last window is short. (The order of things, the whole window first
and then its true count, is that of torchtitan's ``train_step``.)
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from memtrain.training.accumulation.slot_gradients import SlotGradients
from memtrain.training.accumulation.slot_loss import Batch
from memtrain.training.accumulation.summation_tree import add, tree_sum
from memtrain.training.distributed.process_group import ProcessGroup


class NonFiniteLossError(ArithmeticError):
    """The loss of a micro-batch is NaN or infinite; ``slot`` is its place in the window."""

    def __init__(self, slot: int, loss: float):
        super().__init__(f"the loss of slot {slot} of the window is {loss}")
        self.slot, self.loss = slot, loss


@dataclass(frozen=True)
class Window:
    """One process's part of an accumulation window.

    Attributes:
        step: 0, 1, ...
        sizes: the rows of every slot of the whole window, 0 for an empty one.
        batches: of this process's slots that are not empty, in their order.
    """

    step: int
    sizes: Sequence[int]
    batches: Sequence[Batch]

    @property
    def rows(self) -> int:
        """The rows of the whole window."""
        return sum(self.sizes)

    def by_slot(self, slots: range) -> dict[int, Batch]:
        """Return this process's batches by their slots."""
        filled = [slot for slot in slots if self.sizes[slot]]
        return dict(zip(filled, self.batches, strict=True))


@dataclass(frozen=True)
class Accumulated:
    """What is known of a window once its gradient stands in the parameters.

    Attributes:
        loss: the mean loss of a row.
        stops: whether any process was asked to stop.
    """

    loss: float
    stops: bool


class TreeAccumulator:
    """Adds the gradients of the slots in one tree, whatever the number of processes.

    Args:
        gradients: of the slots.
        slots: of a window.
        group: the processes that share them.
        device: that tensors travel from.
    """

    def __init__(
        self, gradients: SlotGradients, slots: int, group: ProcessGroup, device: torch.device
    ):
        self._gradients, self._group, self._device = gradients, group, device
        self._slots = slots
        self._own = group.slots(slots)

    def accumulate(
        self, window: Window, scale: float, has_to_stop: Callable[[], bool]
    ) -> Accumulated:
        """Give the gradient of the window's mean loss, times ``scale``, to the parameters.

        Raises:
            NonFiniteLossError: in every process, before any gradient is handed over.
        """
        vector, summed = self._gradients.sum_of(
            self._own, window.step, window.by_slot(self._own), window.rows, scale
        )
        facts = torch.zeros(self._slots + 1, dtype=torch.float64)
        if summed:
            facts[list(summed)] = torch.stack(list(summed.values())).double().cpu()
        facts[-1] = has_to_stop()
        vector, facts = self._meet(window.sizes, vector, facts)
        *losses, stops = facts.tolist()
        loss = mean_loss(losses, window.sizes)
        self._gradients.hand_over(vector)
        return Accumulated(loss, bool(stops))

    def _meet(
        self, sizes: Sequence[int], vector: torch.Tensor | None, facts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the sums of all processes, up the tree: pairs of processes, then pairs of pairs.

        Both of a pair add the same two sums, and addition commutes: so all end with the same bits,
        after log2(processes) exchanges, and hold two vectors at most.
        """
        run = self._own
        while len(run) < self._slots:
            partner = self._group.rank ^ (len(run) // len(self._own))
            is_left = run.start % (2 * len(run)) == 0
            other = (
                range(run.stop, run.stop + len(run))
                if is_left
                else range(run.start - len(run), run.start)
            )
            sent = self._gradients.or_zeros(vector)
            theirs, their_facts = self._group.exchange([sent, facts.to(self._device)], partner)
            their_facts = their_facts.cpu()
            facts[other.start : other.stop] = their_facts[other.start : other.stop]
            facts[-1] = max(facts[-1], their_facts[-1])
            theirs = theirs if any(sizes[slot] for slot in other) else None
            vector = add(vector, theirs) if is_left else add(theirs, vector)
            run = range(min(run.start, other.start), max(run.stop, other.stop))
        return vector, facts


def mean_loss(losses: Sequence[float], sizes: Sequence[int]) -> float:
    """Return the mean loss of a row of a window, its slots added up in their tree.

    Args:
        losses: the summed loss of every slot.
        sizes: the rows of every slot.

    Raises:
        NonFiniteLossError: for the first slot whose loss is NaN or infinite.
    """
    filled = [loss if size else None for loss, size in zip(losses, sizes, strict=True)]
    for slot, loss in enumerate(filled):
        if loss is not None and not math.isfinite(loss):
            raise NonFiniteLossError(slot, loss)
    return tree_sum(filled) / sum(sizes)
