"""The gradient of every slot, computed by itself, and the sum over a run of slots.

Two things define the bytes of a training: the gradient of every slot by itself, as
``torch.autograd`` computes it, and the tree in which ``summation_tree`` adds the gradients.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from memtrain.components.custom_losses import CustomLoss
from memtrain.components.padded_batch import varies_in_length
from memtrain.training.accumulation.shared_gradients import separate_gradients
from memtrain.training.accumulation.slot_loss import (
    Batch,
    MicroBatchRng,
    SlotLoss,
    WindowSlots,
    rows_of,
)
from memtrain.training.accumulation.slot_vectors import SlotParts, SlotVectors
from memtrain.training.accumulation.summation_tree import (
    add_in_place,
    subtree_sizes,
    tree_sum_of_rows,
    tree_sum_of_runs,
)
from memtrain.training.accumulation.vmapped_slots import SlotGradient, VmappedSlots

#: A slot that takes at least this many times as long as its first two rows alone gains little from
#: being computed together with others: its time goes into arithmetic, not into calls.
_COMPUTE_BOUND_RATIO = 2.0

#: What it costs to try whether slots can be computed together: the recording of the call, and the
#: comparison of its results. Both are given as the number of slots that could be computed alone in
#: the same time; roughly measured.
_SLOTS_TO_RECORD = 350
_SLOTS_TO_COMPARE = 400

#: Share of a slot's time that is saved if it is computed together with others; roughly measured.
_SHARE_SAVED = 0.7

#: Most bytes of gradients that are held at a time to compute slots together.
_MAX_BYTES_TOGETHER = 64 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSum:
    """The sum over a run of slots.

    Attributes:
        vector: sum of the vectors of the slots; None if all slots are empty.
        took_part: whether each trained parameter took part in the loss of any slot, bool
            (parameters,), on the CPU.
        losses: summed losses by slot, scalars; empty slots are left out.
    """

    vector: torch.Tensor | None
    took_part: torch.Tensor
    losses: dict[int, torch.Tensor]


@dataclass(frozen=True)
class _Differentiated:
    """One slot: its gradients, if they were asked for, the changes of the buffers, and its loss."""

    gradients: Sequence[torch.Tensor | None]
    changes: Sequence[torch.Tensor]
    loss: torch.Tensor


class SlotGradients:
    """Computes the gradients of slots, as vectors.

    A vector is the concatenation of the flat gradients of all trained parameters, in float32 (or in
    float64, if a parameter is float64). After them come the changes that the forward pass made to
    the buffers of the model, weighted by the rows of the slot so that they add up to the mean
    change.

    A parameter that took no part in the loss has no gradient, as in a plain loop over the window.
    Which ones took part is known beside the vector.

    Args:
        slot_loss: loss of a slot, with the model.
        rng: seeds the random numbers of every micro-batch.
        batch_size: rows of a full micro-batch.
        slots_per_call: most slots that are computed together; None for as many as pay off.
        windows: number of windows in the training. If they are too few for it to pay off, slots are
            not tried together.
        compiled: whether the model is compiled.
    """

    def __init__(
        self,
        slot_loss: SlotLoss,
        rng: MicroBatchRng,
        *,
        batch_size: int,
        slots_per_call: int | None = None,
        windows: int = 1 << 30,
        compiled: bool = False,
    ):
        self._loss = slot_loss
        self._rng = rng
        self._batch_size = batch_size
        self._slots_per_call = slots_per_call
        self._windows = windows
        self._parameters = [part for part in slot_loss.model.parameters() if part.requires_grad]
        self._buffers = [part for part in slot_loss.model.buffers() if part.dtype != torch.bool]
        self._dtype = _sum_dtype(self._parameters)
        self._vectors = SlotVectors(self._parameters + self._buffers, self._dtype)
        self._compiled = torch.compile(slot_loss, dynamic=False) if compiled else None
        self._vmapped: VmappedSlots | None = None
        self._has_chosen_sizes = False

    @property
    def parameter_count(self) -> int:
        """Number of trained parameters: tensors, not numbers."""
        return len(self._parameters)

    def sum_run(self, run: range, window: WindowSlots) -> RunSum:
        """Return the sum of the gradients of a run of slots, and the loss of each slot.

        Args:
            run: the slots, a subtree of the window.
            window: micro-batches of these slots.
        """
        batches = window.batches
        full = {slot for slot, batch in batches.items() if rows_of(batch) == self._batch_size}
        # Rows that vary in length give micro-batches of different shapes.
        is_padded = any(map(varies_in_length, batches.values()))
        if not (self._has_chosen_sizes or is_padded) and len(full) == len(run):
            self._choose_sizes(run, window)
        vmapped = self._vmapped
        losses: dict[int, torch.Tensor] = {}
        took_part = torch.zeros(self.parameter_count, dtype=torch.bool)
        are_pairs_one_call = vmapped is None and self._may_add_pairs()

        def is_one_call(part: range) -> bool:
            if vmapped is None:
                return are_pairs_one_call and len(part) == 2
            return len(part) in vmapped.sizes and full.issuperset(part)

        def add_part(left: torch.Tensor | None, part: range) -> torch.Tensor | None:
            if vmapped is not None and len(part) > 1:
                together = vmapped(part, window)
                losses.update(zip(part, together.losses, strict=True))
                took_part.logical_or_(together.took_part)
                return add_in_place(left, tree_sum_of_rows(together.vectors))
            filled = [slot for slot in part if slot in batches]
            if not filled:
                return left
            computed = self._compute_parts(filled, window)
            losses.update(zip(filled, computed.losses, strict=True))
            took_part.logical_or_(computed.took_part)
            return self._vectors.added(left, computed.parts)

        # Memory is kept for slots that are computed alone, and only these use it again.
        merge = self._vectors.merged if vmapped is None else add_in_place
        total = tree_sum_of_runs(run, add_part, is_one_call, merge)
        return RunSum(total, took_part, losses)

    def vector_or_zeros(self, vector: torch.Tensor | None) -> torch.Tensor:
        """Return a vector, or a vector of zeros in place of None."""
        if vector is not None:
            return vector
        numbers = sum(part.numel() for part in self._parameters + self._buffers)
        return torch.zeros(numbers, dtype=self._dtype, device=self._parameters[0].device)

    def hand_over(self, vector: torch.Tensor, took_part: torch.Tensor) -> None:
        """Split a summed vector: set the parameters' gradients, and add the buffers' changes.

        Args:
            vector: sum of the vectors of the slots of a window.
            took_part: which parameters took part in the loss of any slot, (parameters,); the others
                get no gradient.
        """
        parts = vector.split([part.numel() for part in self._parameters + self._buffers])
        for parameter, part, has_gradient in zip(
            self._parameters, parts, took_part.tolist(), strict=False
        ):
            parameter.grad = part.view_as(parameter).to(parameter.dtype) if has_gradient else None
        for buffer, part in zip(self._buffers, parts[len(self._parameters) :], strict=True):
            change = part.view_as(buffer)
            buffer += change if buffer.is_floating_point() else change.round().to(buffer.dtype)

    def _may_add_pairs(self) -> bool:
        """Return whether autograd may add the gradients of two slots, which saves a copy of them.

        It adds them in the dtype of the parameters. Hooks of parameters that run then would see
        every second slot.
        """
        return self._vectors.adds_parts and all(
            part.dtype == self._dtype and not getattr(part, "_post_accumulate_grad_hooks", None)
            for part in self._parameters
        )

    def _compute_alone(self, slot: int, window: WindowSlots) -> SlotGradient:
        alone = self._compute_parts([slot], window)
        return SlotGradient(self._vectors.joined(alone.parts), alone.took_part, alone.losses[0])

    def _compute_parts(self, slots: Sequence[int], window: WindowSlots) -> SlotParts:
        """Return the gradient of a slot, or the sum of those of two slots, and the losses."""
        if len(slots) == 1:
            slot = self._differentiate(slots[0], window, self._gradients)
            gradients, changes, losses = slot.gradients, slot.changes, [slot.loss]
        else:
            self._clear_gradients()
            left, right = (self._differentiate(one, window, self._add_gradients) for one in slots)
            gradients = [parameter.grad for parameter in self._parameters]
            self._clear_gradients()
            changes = [one + other for one, other in zip(left.changes, right.changes, strict=True)]
            losses = [left.loss, right.loss]
        took_part = torch.tensor([gradient is not None for gradient in gradients])
        return SlotParts([*gradients, *changes], took_part, losses)

    def _differentiate(
        self,
        slot: int,
        window: WindowSlots,
        differentiate: Callable[[torch.Tensor], Sequence[torch.Tensor | None]],
    ) -> _Differentiated:
        batch = window.batches[slot]
        self._rng.seed(window.step, slot)
        before = [buffer.clone() for buffer in self._buffers]
        summed = self._summed_loss(batch)
        gradients = differentiate(summed / window.divisor)
        changes = self._take_back_changes(before, rows_of(batch) / window.rows)
        return _Differentiated(gradients, changes, summed.detach())

    def _gradients(self, loss: torch.Tensor) -> Sequence[torch.Tensor | None]:
        return torch.autograd.grad(loss, self._parameters, allow_unused=True)

    def _add_gradients(self, loss: torch.Tensor) -> Sequence[torch.Tensor | None]:
        torch.autograd.backward(loss, inputs=self._parameters)
        separate_gradients(self._parameters)
        return ()

    def _clear_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def _take_back_changes(self, before: list[torch.Tensor], share: float) -> list[torch.Tensor]:
        """Reset the buffers to what they were, and return their weighted changes.

        Without the reset, the buffers of a slot would depend on the slots that its process computed
        before it.
        """
        changes = []
        for buffer, old in zip(self._buffers, before, strict=True):
            # Infinity minus infinity is NaN, but where nothing changed the change must be 0.
            change = torch.where(buffer == old, 0, buffer - old)
            changes.append((change * share).reshape(-1).to(self._dtype))
            buffer.copy_(old)
        return changes

    def _summed_loss(self, batch: Batch) -> torch.Tensor:
        if self._compiled is None:
            return self._loss(batch)
        loss = self._loss.loss
        if isinstance(loss, CustomLoss) and loss.weighs_rows is None:
            loss.learn(self._loss.model, batch)
        if not self._loss.loss.weighs_rows:
            is_full = rows_of(batch) == self._batch_size
            return self._compiled(batch) if is_full else self._loss(batch)
        padded = _pad(batch, self._batch_size)
        return self._compiled(padded.batch, padded.weights)

    def _choose_sizes(self, run: range, window: WindowSlots) -> None:
        """Find out, from the first full window, how many slots can be computed together."""
        self._has_chosen_sizes = True
        limit = self._slots_per_call or len(run)
        sizes = [size for size in subtree_sizes(len(run)) if 1 < size <= limit]
        vector_bytes = self.vector_or_zeros(None).nbytes
        fitting = [size for size in sizes if size * vector_bytes <= _MAX_BYTES_TOGETHER]
        reason = self._why_impossible(sizes, fitting) or self._why_not_faster(run, window)
        if reason is None:
            vmapped = VmappedSlots(self._loss, self._dtype)
            reason = vmapped.try_sizes(fitting, run, window, self._compute_alone)
            self._vmapped = vmapped if reason is None else None
        if reason is None:
            reason = "the same bits as one by one"
        count = max(self._vmapped.sizes) if self._vmapped else 1
        _log.info(f"slots in one call: {count} of {len(run)} ({reason})")

    def _why_impossible(self, sizes: list[int], fitting: list[int]) -> str | None:
        """Return why slots cannot be computed together; None if they may be."""
        if not sizes:
            is_set = self._slots_per_call == 1
            return "slots_per_call is 1" if is_set else "this process has only one"
        if self._compiled is not None:
            return "the model is compiled"
        if self._buffers:
            return "the model has buffers, and every slot may change them"
        return None if fitting else "the gradients of more slots would take too much memory"

    def _why_not_faster(self, run: range, window: WindowSlots) -> str | None:
        """Return why computing slots together would not pay off; None if it may."""
        if self._slots_per_call is not None:
            return None
        if _SHARE_SAVED * len(run) * self._windows < _SLOTS_TO_RECORD + _SLOTS_TO_COMPARE:
            return "the training is too short for more slots to pay off"
        slot = run.start
        batch = window.batches[slot]
        first_rows = {name: value[:2] for name, value in batch.items()}
        seconds = self._seconds_alone(slot, replace(window, batches={slot: batch}))
        few_seconds = self._seconds_alone(slot, replace(window, batches={slot: first_rows}))
        if seconds > _COMPUTE_BOUND_RATIO * few_seconds:
            return f"one slot takes {seconds * 1e3:.1f} ms, of which little is the cost of a call"
        return None

    def _seconds_alone(self, slot: int, window: WindowSlots) -> float:
        """Return the shortest time of several computations of a slot; the first one warms up."""
        times = []
        for _ in range(4):
            start = time.perf_counter()
            gradient = self._compute_alone(slot, window)
            # A GPU has only been told so far; reading a number waits until it is computed.
            gradient.vector[:1].tolist()
            times.append(time.perf_counter() - start)
        return min(times)


@dataclass(frozen=True)
class _PaddedBatch:
    """A micro-batch filled up to full size, and weights that leave out the added rows."""

    batch: Batch
    weights: torch.Tensor


def _pad(batch: Batch, size: int) -> _PaddedBatch:
    """Fill a micro-batch up to ``size`` rows.

    The added rows are copies of the first row, because its loss is finite; the loss of a row of
    zeros may not be.
    """
    rows = rows_of(batch)
    weights = torch.zeros(size, device=next(iter(batch.values())).device)
    weights[:rows] = 1
    if rows == size:
        return _PaddedBatch(batch, weights)
    filled = {
        name: torch.cat([value, value[:1].expand(size - rows, *value.shape[1:])])
        for name, value in batch.items()
    }
    return _PaddedBatch(filled, weights)


def _sum_dtype(parameters: list[nn.Parameter]) -> torch.dtype:
    dtype = torch.float32
    for part in parameters:
        dtype = torch.promote_types(dtype, part.dtype)
    return dtype
