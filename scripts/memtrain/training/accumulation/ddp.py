"""Accumulation as PyTorch does it, in whatever order is fastest (``reduction: fast``).

Gradients are added up in the parameters, and across processes once per window. This is for models
that cannot afford the extra vectors of gradients, or the extra traffic, of ``accumulation.tree``.
The sums are as exact as those of the tree, but their last bits depend on the number of processes.

A parameter that took no part in a window has no gradient here either. DistributedDataParallel and
FSDP would give it zeros where a process computes a row with a weight of zero, or has the parameter
in its shards; so every process counts which parameters took part, and the counts are added up.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from memtrain.training.accumulation.accumulator import AccumulatedWindow, Window, mean_loss
from memtrain.training.accumulation.shared_gradients import separate_gradients
from memtrain.training.accumulation.slot_loss import Batch, MicroBatchRng, SlotLoss
from memtrain.training.distributed.process_group import ProcessGroup


@dataclass(frozen=True)
class _Pass:
    """One forward and backward pass.

    Attributes:
        slot: place of the micro-batch in its window.
        batch: the micro-batch.
        factor: factor of its summed loss; 0 for a pass that is made only because the other
            processes wait for one.
    """

    slot: int
    batch: Batch
    factor: float


class DdpAccumulator:
    """Accumulates by ``backward``; processes add their gradients in the last pass of a window only.

    Args:
        slot_loss: loss of a slot, with the model; a sharded model stays sharded.
        rng: seeds the random numbers of every micro-batch.
        accumulation_steps: number of slots in a window.
        group: processes that share the slots.
        device: device of the model.
        any_row: returns some row as a micro-batch. A process that has fewer micro-batches than the
            others in a short window computes this row with a weight of zero, because the other
            processes wait for it to communicate.
        compiled: whether the model is compiled.
    """

    def __init__(
        self,
        slot_loss: SlotLoss,
        rng: MicroBatchRng,
        *,
        accumulation_steps: int,
        group: ProcessGroup,
        device: torch.device,
        any_row: Callable[[], Batch],
        compiled: bool = False,
    ):
        self._rng = rng
        self._slots = accumulation_steps
        self._group = group
        self._device = device
        self._any_row = any_row
        self._own_slots = group.slots(accumulation_steps, needs_tree=False)
        model = slot_loss.model
        self._participation = _Participation(model)
        self._fsdp_model = model if isinstance(model, FSDPModule) else None
        self._ddp_module: DistributedDataParallel | None = None
        module: nn.Module = slot_loss
        if self._fsdp_model is not None:
            # Processes whose parameters took part in different passes would wait for each other.
            self._fsdp_model.set_reduce_scatter_unused_params(True)
        elif group.world_size > 1:
            self._ddp_module = _wrap(slot_loss)
            module = self._ddp_module
        is_plain = module is slot_loss and self._fsdp_model is None
        # DistributedDataParallel and FSDP put gradients into memory of their own.
        self._given_by_autograd = list(model.parameters()) if is_plain else []
        self._module = torch.compile(module, dynamic=False) if compiled else module

    def accumulate(
        self, window: Window, scale: float, should_stop: Callable[[], bool]
    ) -> AccumulatedWindow:
        """Give the parameters the gradient of the window's mean loss; see ``Accumulator``."""
        losses = torch.zeros(self._slots, dtype=torch.float64, device=self._device)
        passes = self._passes(window, scale)
        self._participation.clear()
        took_part: list[bool] = []
        for number, current in enumerate(passes, 1):
            self._rng.seed(window.step, current.slot)
            with self._communication(is_last=number == len(passes)):
                summed = self._module(current.batch)
                self._participation.counts = bool(current.factor)
                (summed * current.factor).backward()
            if took_part != self._participation.flags:
                separate_gradients(self._given_by_autograd)
                took_part = list(self._participation.flags)
            if current.factor:
                losses[current.slot] = summed.detach()
        shared = torch.cat([losses, losses.new_tensor([should_stop(), *self._participation.flags])])
        total = self._group.all_reduce_sum(shared).tolist()
        stops, *counts = total[self._slots :]
        self._participation.drop_others(counts)
        return AccumulatedWindow(mean_loss(total[: self._slots], window), stops > 0)

    def _passes(self, window: Window, scale: float) -> list[_Pass]:
        """Return the passes of this process; those with the factor 0 come last."""
        # Both DistributedDataParallel and FSDP divide gradients by the number of processes.
        factor = scale * self._group.world_size / window.divisor
        batches = window.batches_by_slot(self._own_slots)
        passes = [_Pass(slot, batch, factor) for slot, batch in batches.items()]
        missing = self._count_passes(window) - len(passes)
        first_slot = self._own_slots.start
        return passes + [_Pass(first_slot, self._any_row(), 0.0) for _ in range(missing)]

    def _count_passes(self, window: Window) -> int:
        """Return how many passes this process makes, including those with the factor 0.

        Whenever a sharded model is called, all processes send their shards. Every process therefore
        has to call it as often as the process with the most micro-batches.
        """
        share = len(self._own_slots)
        counts = [
            sum(size > 0 for size in window.sizes[start : start + share])
            for start in range(0, self._slots, share)
        ]
        return max(counts) if self._fsdp_model is not None else max(1, counts[self._group.rank])

    def _communication(self, is_last: bool) -> AbstractContextManager[None]:
        """Return the context of one pass: only the last adds gradients across processes."""
        if self._fsdp_model is not None:
            self._fsdp_model.set_requires_gradient_sync(is_last)
        if self._ddp_module is None or is_last:
            return nullcontext()
        return self._ddp_module.no_sync()


class _Participation:
    """Knows which parameters took part in the losses of a window.

    Args:
        model: model that is trained, sharded or not.

    Attributes:
        counts: whether the current pass counts; a pass with the factor 0 does not.
        flags: whether each trained parameter took part, in the order of the model.
    """

    def __init__(self, model: nn.Module):
        self.counts = True
        trained = {name: part for name, part in model.named_parameters() if part.requires_grad}
        self._parameters = list(trained.values())
        self._numbers = {name: number for number, name in enumerate(trained)}
        self._watched: set[int] = set()
        self.flags = [False] * len(trained)
        self._watch(model)
        # Gradients reach the whole parameters of a layer, which are there while it is computed.
        for prefix, layer in model.named_modules():
            if issubclass(type(layer), FSDPModule):
                layer.register_forward_pre_hook(self._watch_layer(prefix))

    def clear(self) -> None:
        """Forget the passes of the window before."""
        self.flags = [False] * len(self._parameters)

    def drop_others(self, took_part: Sequence[float]) -> None:
        """Remove the gradients of the parameters that took part in no process.

        Args:
            took_part: number of processes in which each parameter took part.
        """
        for parameter, count in zip(self._parameters, took_part, strict=True):
            if not count:
                parameter.grad = None

    def _watch_layer(self, prefix: str) -> Callable[[nn.Module, Any], None]:
        return lambda layer, _inputs: self._watch(layer, prefix)

    def _watch(self, module: nn.Module, prefix: str = "") -> None:
        """Let the parameters of a module that are whole tell when they get a gradient."""
        for name, parameter in module.named_parameters(prefix):
            number = self._numbers.get(name)
            if number is None or number in self._watched or isinstance(parameter, DTensor):
                continue
            self._watched.add(number)
            parameter.register_hook(self._note(number))

    def _note(self, number: int) -> Callable[[torch.Tensor | None], None]:
        def note(gradient: torch.Tensor | None) -> None:
            self.flags[number] |= self.counts and gradient is not None

        return note


def _wrap(slot_loss: SlotLoss) -> DistributedDataParallel:
    """Return a loss whose gradients are added across processes."""
    # A parameter may take part in some windows only. PyTorch warns where all took part.
    warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
    return DistributedDataParallel(
        slot_loss, gradient_as_bucket_view=True, find_unused_parameters=True
    )
