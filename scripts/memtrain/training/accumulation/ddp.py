"""Accumulation as PyTorch does it, in whatever order is fastest (``reduction: fast``).

Gradients are added into the parameters, and across processes once a window. For models whose
additional vectors of gradients, or whose traffic, would hurt. The sums are exact as those of
``accumulation`` are, and as good; but their last bits depend on the number of processes.
"""

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch.nn.parallel import DistributedDataParallel

from memtrain.training.accumulation.slot_loss import Batch, MicroBatchRng, SlotLoss
from memtrain.training.accumulation.tree import Accumulated, Window, mean_loss
from memtrain.training.distributed.process_group import ProcessGroup


class DdpAccumulator:
    """Accumulates by ``backward``; a process speaks to others with its last micro-batch only.

    Args:
        slot_loss: with the model; parameters that are sharded stay so.
        rng: the random streams of micro-batches.
        slots: of a window.
        group: the processes that share them.
        device: that the model is on.
        any_row: gives some row as a batch: a process with fewer rows in a short window goes along
            with it, at weight zero, since all have to meet.
        sharded: whether the model is cut among the processes (``fsdp.shard``).
        compiled: whether the model is compiled.
    """

    def __init__(
        self,
        slot_loss: SlotLoss,
        rng: MicroBatchRng,
        slots: int,
        group: ProcessGroup,
        device: torch.device,
        any_row: Callable[[], Batch],
        sharded: bool = False,
        compiled: bool = False,
    ):
        self._loss, self._rng, self._slots = slot_loss, rng, slots
        self._group, self._device, self._any_row = group, device, any_row
        self._own = group.slots(slots, needs_tree=False)
        self._sharded = slot_loss.model if sharded else None
        self._distributed = None
        module = slot_loss
        if group.world_size > 1 and not sharded:
            module = self._distributed = DistributedDataParallel(
                slot_loss, gradient_as_bucket_view=True
            )
        self._module = torch.compile(module, dynamic=False) if compiled else module

    def accumulate(
        self, window: Window, scale: float, has_to_stop: Callable[[], bool]
    ) -> Accumulated:
        """Give the gradient of the window's mean loss, times ``scale``, to the parameters.

        Raises:
            NonFiniteLossError: in every process.
        """
        # Both DistributedDataParallel and FSDP divide by the number of processes.
        factor = scale * self._group.world_size / window.rows
        facts = torch.zeros(self._slots + 1, dtype=torch.float64, device=self._device)
        batches = list(window.by_slot(self._own).items())
        empty = self._calls(window) - len(batches)
        # With those that count for nothing last, a process without rows meets the others too.
        calls = [(slot, batch, factor) for slot, batch in batches]
        calls += [(self._own.start, self._any_row(), 0.0) for _ in range(empty)]
        for number, (slot, batch, weight) in enumerate(calls, 1):
            self._rng.seed(window.step, slot)
            with self._meeting(number == len(calls)):
                summed = self._module(batch)
                (summed * weight).backward()
            if weight:
                facts[slot] = summed.detach()
        facts[-1] = has_to_stop()
        *losses, stops = self._group.all_reduce_sum(facts).tolist()
        return Accumulated(mean_loss(losses, window.sizes), stops > 0)

    def _calls(self, window: Window) -> int:
        """Return how many micro-batches this process has to compute, empty ones among them.

        The parts of a sharded model come from all processes whenever it is called, so that all
        have to call it as often as the one with the most micro-batches.
        """
        share = len(self._own)
        counts = [
            sum(size > 0 for size in window.sizes[start : start + share])
            for start in range(0, self._slots, share)
        ]
        return max(counts) if self._sharded is not None else max(1, counts[self._group.rank])

    def _meeting(self, meets: bool):
        """Return the context of one micro-batch: whether its gradients are added up with others."""
        if self._sharded is not None:
            self._sharded.set_requires_gradient_sync(meets)
        if self._distributed is None or meets:
            return nullcontext()
        return self._distributed.no_sync()
