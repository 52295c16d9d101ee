"""What one slot of a window computes: its loss, and the random numbers that it draws."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from memtrain.components.losses import Loss
from memtrain.core.random_streams import torch_seed

Batch = dict[str, torch.Tensor]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class WindowSlots:
    """What the slots of a window are computed from.

    Attributes:
        step: 0, 1, ...
        batches: by slot; empty slots are left out.
        rows: of the whole window.
        divisor: what every summed loss is divided by: the rows over the scale, float64 ().
    """

    step: int
    batches: Mapping[int, Batch]
    rows: int
    divisor: torch.Tensor


class SlotLoss(nn.Module):
    """The sum of the losses of a micro-batch, computed in the precision of the recipe."""

    def __init__(self, model: nn.Module, loss: Loss, precision: str, device: torch.device):
        super().__init__()
        self.model, self.loss = model, loss
        self._dtype, self._device_type = _DTYPES[precision], device.type

    def forward(self, batch: Batch, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return the sum over the rows, a scalar of float32 or better.

        Args:
            batch: "features" and "target", each (rows, ...).
            weights: of the rows, (rows,); all 1 unless given.
        """
        weighted = () if weights is None else (weights,)
        if self._dtype is torch.float32:
            return self.loss(self.model, batch, *weighted)
        # A cache of casted weights would outlive the transforms of torch.func.
        with torch.autocast(self._device_type, self._dtype, cache_enabled=False):
            return self.loss(self.model, batch, *weighted)


class MicroBatchRng:
    """The random numbers of every micro-batch: those of its step and slot, whoever computes it.

    Args:
        seed: of the recipe.
        slots: of a window.
        device: that the model draws on.
    """

    def __init__(self, seed: int, slots: int, device: torch.device):
        self._first, self._slots, self._device = torch_seed(seed, "dropout"), slots, device

    def seed(self, step: int, slot: int) -> None:
        """Set PyTorch's generators to the stream of a micro-batch.

        Seeds are counted up, not hashed: the CPU's generator keeps 32 bits of them, and no two of
        four billion micro-batches shall have the same.
        """
        seed = self._first + step * self._slots + slot
        torch.default_generator.manual_seed(seed)
        if self._device.type == "cuda":
            torch.cuda.manual_seed(seed)


def rows_of(batch: Batch) -> int:
    """Return how many rows a batch has."""
    return len(next(iter(batch.values())))
