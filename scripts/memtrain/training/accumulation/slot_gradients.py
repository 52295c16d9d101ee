"""The gradient of every slot, computed alone, and their sum over a run of slots.

What defines the bytes of a training is the gradient of every slot by itself, as ``torch.autograd``
computes it, and the tree that ``summation_tree`` adds them in.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

from memtrain.training.accumulation.slot_loss import (
    Batch,
    MicroBatchRng,
    SlotLoss,
    WindowSlots,
    rows_of,
)
from memtrain.training.accumulation.summation_tree import (
    sizes_of_subtrees,
    tree_sum_of_rows,
    tree_sum_of_runs,
)
from memtrain.training.accumulation.vmapped_slots import VmappedSlots

#: Slots that take this many times as long as their first two rows alone gain little from being
#: computed together: their time goes into sums, and not into calls.
_TIMES_WORTH_A_CALL = 2.0

#: What finding out costs, in slots computed alone (to record the call, and to compare it), and the
#: share of a slot's time that being computed together then saves; measured, roughly.
_SLOTS_TO_RECORD, _SLOTS_TO_COMPARE, _SHARE_SAVED = 350, 400, 0.7

#: Gradients that are held at a time to be computed together.
_BYTES_TOGETHER = 64 << 20


class SlotGradients:
    """Gives the gradients of slots, as vectors.

    A vector is the gradients of all trained parameters, flat, one after the other, in float32 (or
    float64, where a parameter is); behind them what the forward pass changed in the model's
    buffers, weighed by the rows of the slot, so that their sum is the mean change.

    Args:
        slot_loss: with the model.
        batch_size: rows of a full micro-batch.
        rng: the random streams of micro-batches.
        slots_per_call: the most slots that are computed together; None for as many as pay.
        windows: that there are to compute, which has to pay for finding out.
        compiled: whether the model is compiled.
        note: takes what should stand in the log.
    """

    def __init__(
        self,
        slot_loss: SlotLoss,
        batch_size: int,
        rng: MicroBatchRng,
        slots_per_call: int | None = None,
        windows: int = 1 << 30,
        compiled: bool = False,
        note: Callable[[str], None] = print,
    ):
        self._loss, self._batch_size, self._rng = slot_loss, batch_size, rng
        self._slots_per_call, self._windows, self._note = slots_per_call, windows, note
        self.parameters = [part for part in slot_loss.model.parameters() if part.requires_grad]
        self._buffers = [part for part in slot_loss.model.buffers() if part.dtype != torch.bool]
        self._dtype = _dtype_of_sums(self.parameters)
        self._compiled = torch.compile(slot_loss, dynamic=False) if compiled else None
        self._together: VmappedSlots | None = None
        self._is_settled = False

    def sum_of(
        self, run: range, step: int, batches: Mapping[int, Batch], rows: int, scale: float = 1.0
    ) -> tuple[torch.Tensor | None, dict[int, torch.Tensor]]:
        """Return the sum of the gradients of a run of slots, and the loss of each.

        Args:
            run: a subtree of the window.
            step: 0, 1, ...
            batches: by slot; empty slots are left out.
            rows: of the whole window; every summed loss is divided by it.
            scale: that every loss is multiplied with, a power of two.

        Returns:
            The vector (None where all slots are empty), and the summed loss of every slot that is
            not empty, scalars.
        """
        window = WindowSlots(step, batches, rows, torch.tensor(rows / scale, dtype=torch.float64))
        full = {slot for slot, batch in batches.items() if rows_of(batch) == self._batch_size}
        if not self._is_settled and len(full) == len(run):
            self._settle(run, window)
        losses: dict[int, torch.Tensor] = {}

        def of_run(part: range) -> torch.Tensor | None:
            if len(part) > 1:
                vectors, summed = self._together(part, window)
                losses.update(zip(part, summed, strict=True))
                return tree_sum_of_rows(vectors)
            if part.start not in batches:
                return None
            vector, losses[part.start] = self._alone(part.start, window)
            return vector

        sizes = self._together.sizes if self._together else ()
        total = tree_sum_of_runs(
            run, of_run, lambda part: len(part) in sizes and full.issuperset(part)
        )
        return total, losses

    def or_zeros(self, vector: torch.Tensor | None) -> torch.Tensor:
        """Return a vector, or one of zeros in its place, to be sent."""
        if vector is not None:
            return vector
        numbers = sum(part.numel() for part in self.parameters + self._buffers)
        return torch.zeros(numbers, dtype=self._dtype, device=self.parameters[0].device)

    def hand_over(self, vector: torch.Tensor) -> None:
        """Give the parts of a summed vector to the parameters as gradients, and to the buffers."""
        parts = vector.split([part.numel() for part in self.parameters + self._buffers])
        for parameter, part in zip(self.parameters, parts, strict=False):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)
        for buffer, part in zip(self._buffers, parts[len(self.parameters) :], strict=True):
            change = part.view_as(buffer)
            buffer += change if buffer.is_floating_point() else change.round().to(buffer.dtype)

    def _alone(self, slot: int, window: WindowSlots) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the vector of one slot, and its summed loss."""
        batch = window.batches[slot]
        self._rng.seed(window.step, slot)
        before = [buffer.clone() for buffer in self._buffers]
        summed = self._summed_loss(batch)
        gradients = torch.autograd.grad(
            summed / window.divisor, self.parameters, allow_unused=True, materialize_grads=True
        )
        parts = [gradient.reshape(-1).to(self._dtype) for gradient in gradients]
        parts += self._taken_back(before, rows_of(batch) / window.rows)
        return torch.cat(parts), summed.detach()

    @torch.no_grad()
    def _taken_back(self, before: list[torch.Tensor], share: float) -> list[torch.Tensor]:
        """Return the changes of the buffers, weighed, and put them back to what they were.

        Else the buffers of a slot would depend on the slots that its process computed before.
        """
        changes = []
        for buffer, old in zip(self._buffers, before, strict=True):
            # Where nothing changed the difference is 0, also of infinite numbers.
            change = torch.where(buffer == old, 0, buffer - old)
            changes.append((change * share).reshape(-1).to(self._dtype))
            buffer.copy_(old)
        return changes

    def _summed_loss(self, batch: Batch) -> torch.Tensor:
        if self._compiled is None:
            return self._loss(batch)
        if not self._loss.loss.weighs_rows:
            is_full = rows_of(batch) == self._batch_size
            return self._compiled(batch) if is_full else self._loss(batch)
        return self._compiled(*_padded(batch, self._batch_size))

    def _settle(self, run: range, window: WindowSlots) -> None:
        """Find out, by the first full window, which slots can be computed together."""
        self._is_settled = True
        limit = self._slots_per_call or len(run)
        sizes = [size for size in sizes_of_subtrees(len(run)) if 1 < size <= limit]
        vector_bytes = self.or_zeros(None).nbytes
        fitting = [size for size in sizes if size * vector_bytes <= _BYTES_TOGETHER]
        reason = self._reason_for_one(sizes, fitting) or self._reason_of_time(run, window)
        if reason is None:
            together = VmappedSlots(self._loss, self._dtype)
            reason = together.try_sizes(fitting, run, window, self._alone)
            self._together = together if reason is None else None
        if reason is None:
            reason = "the same bits as one by one"
        count = max(self._together.sizes) if self._together else 1
        self._note(f"slots in one call: {count} of {len(run)} ({reason})")

    def _reason_for_one(self, sizes: list[int], fitting: list[int]) -> str | None:
        if not sizes:
            return "as set" if self._slots_per_call == 1 else "there are no more"
        if self._compiled is not None:
            return "the model is compiled"
        if self._buffers:
            return "the model has buffers, which every slot may change"
        return None if fitting else "the gradients of more would take much memory"

    def _reason_of_time(self, run: range, window: WindowSlots) -> str | None:
        if self._slots_per_call is not None:
            return None
        if _SHARE_SAVED * len(run) * self._windows < _SLOTS_TO_RECORD + _SLOTS_TO_COMPARE:
            return "the training is too short for more to pay"
        slot = run.start
        few = {name: value[:2] for name, value in window.batches[slot].items()}
        whole, of_few = (
            self._seconds_alone(slot, replace(window, batches={slot: batch}))
            for batch in (window.batches[slot], few)
        )
        if whole > _TIMES_WORTH_A_CALL * of_few:
            return f"one takes {whole * 1e3:.1f} ms, of which calls are little"
        return None

    def _seconds_alone(self, slot: int, window: WindowSlots) -> float:
        """Return the shortest of a few times of one slot; the first call warms up."""
        times = []
        for _ in range(4):
            start = time.perf_counter()
            self._alone(slot, window)
            times.append(time.perf_counter() - start)
        return min(times)


def _dtype_of_sums(parameters: list[nn.Parameter]) -> torch.dtype:
    dtype = torch.float32
    for part in parameters:
        dtype = torch.promote_types(dtype, part.dtype)
    return dtype


def _padded(batch: Batch, size: int) -> tuple[Batch, torch.Tensor]:
    """Return a batch of ``size`` rows, and weights that are 0 for those that were added.

    They are copies of the first row: its loss is finite, where that of zeros need not be.
    """
    rows = rows_of(batch)
    weights = torch.zeros(size, device=next(iter(batch.values())).device)
    weights[:rows] = 1
    if rows == size:
        return batch, weights
    return {
        name: torch.cat([value, value[:1].expand(size - rows, *value.shape[1:])])
        for name, value in batch.items()
    }, weights
