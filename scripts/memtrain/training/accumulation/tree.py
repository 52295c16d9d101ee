"""Exact accumulation: the gradient of a window, the same bytes for any number of processes.

The loss of a micro-batch is the sum over its rows, divided by the rows of the whole window (or by
the elements of these rows) before it is differentiated. The accumulated gradient is therefore the
gradient of the window as one batch, also where the last micro-batch or the last window is short, or
where rows differ in length. (Like torchtitan's ``train_step``, this collects the whole window
first, counts its rows, and only then divides.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from memtrain.training.accumulation.accumulator import AccumulatedWindow, Window, mean_loss
from memtrain.training.accumulation.slot_gradients import SlotGradients
from memtrain.training.accumulation.slot_loss import WindowSlots
from memtrain.training.accumulation.summation_tree import add_in_place
from memtrain.training.distributed.process_group import ProcessGroup


@dataclass(frozen=True)
class _PartialSum:
    """The sum over a run of slots.

    Attributes:
        run: the slots, a subtree of the window.
        vector: summed gradients, flat; None if all slots are empty.
        losses: summed losses of all slots of the window, with 0 for slots outside the run; float64
            (slots,), on the CPU.
        flags: bool (1 + parameters,), on the CPU. First, whether a process was asked to stop; then,
            for every trained parameter, whether it took part in the loss of any slot of the run.
    """

    run: range
    vector: torch.Tensor | None
    losses: torch.Tensor
    flags: torch.Tensor


class TreeAccumulator:
    """Adds the gradients of the slots in one tree, whatever the number of processes.

    Args:
        gradients: computes the gradients of slots.
        accumulation_steps: number of slots in a window.
        group: processes that share the slots.
        device: device of the model.
    """

    def __init__(
        self,
        gradients: SlotGradients,
        *,
        accumulation_steps: int,
        group: ProcessGroup,
        device: torch.device,
    ):
        self._gradients = gradients
        self._slots = accumulation_steps
        self._group = group
        self._device = device
        self._own_slots = group.slots(accumulation_steps)

    def accumulate(
        self, window: Window, scale: float, should_stop: Callable[[], bool]
    ) -> AccumulatedWindow:
        """Give the parameters the gradient of the window's mean loss; see ``Accumulator``.

        If a loss is not finite, the parameters get no gradient in any process.
        """
        batches = window.batches_by_slot(self._own_slots)
        own = self._gradients.sum_run(
            self._own_slots, WindowSlots(window.step, batches, window.rows, scale, window.elements)
        )
        losses = torch.zeros(self._slots, dtype=torch.float64)
        if own.losses:
            losses[list(own.losses)] = torch.stack(list(own.losses.values())).double().cpu()
        flags = torch.cat([torch.tensor([should_stop()]), own.took_part])
        partial = _PartialSum(self._own_slots, own.vector, losses, flags)
        total = self._add_other_processes(partial, window.sizes)
        loss = mean_loss(total.losses.tolist(), window)
        stop, took_part = total.flags[0], total.flags[1:]
        self._gradients.hand_over(self._gradients.vector_or_zeros(total.vector), took_part)
        return AccumulatedWindow(loss, bool(stop))

    def _add_other_processes(self, partial: _PartialSum, sizes: Sequence[int]) -> _PartialSum:
        """Add the sums of all processes, up the tree: pairs of processes, then pairs of pairs.

        Both processes of a pair add the same two sums, and addition commutes. All processes
        therefore end with the same bits, after log2(world size) exchanges, and never hold more than
        two vectors.
        """
        while len(partial.run) < self._slots:
            partial = self._add_partner(partial, sizes)
        return partial

    def _add_partner(self, partial: _PartialSum, sizes: Sequence[int]) -> _PartialSum:
        """Add the sum of the sibling subtree, which another process holds."""
        run, vector = partial.run, partial.vector
        is_left = run.start % (2 * len(run)) == 0
        start = run.stop if is_left else run.start - len(run)
        sibling = range(start, start + len(run))
        # The ranks of two processes that hold sibling subtrees differ in this one bit.
        partner = self._group.rank ^ (len(run) // len(self._own_slots))
        entries = torch.cat([partial.losses, partial.flags.double()])
        sent = [self._gradients.vector_or_zeros(vector), entries.to(self._device)]
        their_sum, their_entries = self._group.exchange(sent, partner)
        their_losses, their_flags = their_entries.cpu().split([self._slots, len(partial.flags)])
        # A slot that a process does not have is 0 there, so that one of the two numbers is 0.
        losses = partial.losses + their_losses
        flags = partial.flags | their_flags.bool()
        # A partner without rows has sent zeros, which must not be added.
        their_vector = their_sum if any(sizes[slot] for slot in sibling) else None
        left, right = (vector, their_vector) if is_left else (their_vector, vector)
        both = range(min(run.start, sibling.start), max(run.stop, sibling.stop))
        return _PartialSum(both, add_in_place(left, right), losses, flags)
