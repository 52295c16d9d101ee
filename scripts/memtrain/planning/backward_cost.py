"""What a forward and a backward pass of a micro-batch take: memory and operations."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

#: Most bytes that a pass of the dry run may keep, and most operations that it may take: a quarter
#: of the memory that resolve_splits requests, and seconds on one core.
_MOST_KEPT_BYTES = 256 << 20
_MOST_OPERATIONS = 10**11


@dataclass
class BackwardCost:
    """Memory and operations of one forward and one backward pass.

    Attributes:
        rows: rows of the micro-batch.
        kept_bytes: bytes that the forward pass keeps for the backward pass.
        operations: floating-point operations.
    """

    rows: int
    kept_bytes: int = 0
    operations: int = 0

    @property
    def affordable_rows(self) -> int:
        """Rows of the largest micro-batch that the dry run may compute, at least those of this."""
        by_memory = self.rows * _MOST_KEPT_BYTES // max(1, self.kept_bytes)
        by_time = self.rows * _MOST_OPERATIONS // max(1, self.operations)
        return max(self.rows, min(by_memory, by_time))


@contextmanager
def measured_cost(model: nn.Module, rows: int) -> Iterator[BackwardCost]:
    """Measure what the passes of the block take.

    Args:
        model: model of the passes; what it holds anyway is not counted.
        rows: rows of the micro-batch.
    """
    cost = BackwardCost(rows)
    tensors = [*model.parameters(), *model.buffers()]
    model_storages = {part.untyped_storage().data_ptr() for part in tensors}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in model_storages:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        yield cost
    cost.kept_bytes = sum(kept.values())
    cost.operations = counter.get_total_flops()
