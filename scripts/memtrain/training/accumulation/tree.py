"""Exact accumulation: the gradient of a window, the same bytes for any number of processes.

The loss of a micro-batch is the sum over its rows, divided by the rows of the whole window before
it is differentiated. The accumulated gradient is therefore the gradient of the window as one batch,
also where the last micro-batch or the last window is short. (Like torchtitan's ``train_step``, this
collects the whole window first, counts it, and only then divides.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from memtrain.training.accumulation.accumulator import AccumulatedWindow, Window, mean_loss
from memtrain.training.accumulation.slot_gradients import SlotGradients
from memtrain.training.accumulation.slot_loss import WindowSlots
from memtrain.training.accumulation.summation_tree import add
from memtrain.training.distributed.process_group import ProcessGroup


@dataclass(frozen=True)
class _PartialSum:
    """The sum over a run of slots.

    Attributes:
        run: the slots, a subtree of the window.
        vector: summed gradients, flat; None if all slots are empty.
        facts: float64 (slots of the window + 1,), on the CPU: the summed loss of every slot of the
            run, 0 for all other slots; last, 1 if a process was asked to stop.
    """

    run: range
    vector: torch.Tensor | None
    facts: torch.Tensor


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
        self._own = group.slots(accumulation_steps)

    def accumulate(
        self, window: Window, scale: float, should_stop: Callable[[], bool]
    ) -> AccumulatedWindow:
        """Give the parameters the gradient of the window's mean loss; see ``Accumulator``.

        If a loss is not finite, no process hands over a gradient.
        """
        own = self._gradients.sum_run(
            self._own, WindowSlots(window.step, window.by_slot(self._own), window.rows, scale)
        )
        facts = torch.zeros(self._slots + 1, dtype=torch.float64)
        if own.losses:
            facts[list(own.losses)] = torch.stack(list(own.losses.values())).double().cpu()
        facts[-1] = should_stop()
        total = self._add_other_processes(_PartialSum(self._own, own.vector, facts), window.sizes)
        *losses, stops = total.facts.tolist()
        loss = mean_loss(losses, window.sizes)
        self._gradients.hand_over(self._gradients.or_zeros(total.vector))
        return AccumulatedWindow(loss, bool(stops))

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
        run, vector, facts = partial.run, partial.vector, partial.facts.clone()
        is_left = run.start % (2 * len(run)) == 0
        start = run.stop if is_left else run.start - len(run)
        sibling = range(start, start + len(run))
        partner = self._group.rank ^ (len(run) // len(self._own))
        sent = self._gradients.or_zeros(vector)
        theirs, their_facts = self._group.exchange([sent, facts.to(self._device)], partner)
        their_facts = their_facts.cpu()
        facts[sibling.start : sibling.stop] = their_facts[sibling.start : sibling.stop]
        facts[-1] = max(facts[-1], their_facts[-1])
        their_vector = theirs if any(sizes[slot] for slot in sibling) else None
        left, right = (vector, their_vector) if is_left else (their_vector, vector)
        both = range(min(run.start, sibling.start), max(run.stop, sibling.stop))
        return _PartialSum(both, add(left, right), facts)
