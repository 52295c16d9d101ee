"""What one slot of a window computes: its loss, and the random numbers that it draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from memtrain.components.global_state import seed_torch
from memtrain.components.losses import Loss
from memtrain.core.random_streams import torch_seed

Batch = dict[str, torch.Tensor]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class WindowSlots:
    """The slots of a window that one process computes.

    Attributes:
        step: optimizer steps before this window: 0, 1, ...
        batches: micro-batches by slot, without empty slots.
        rows: rows in the whole window.
        scale: factor of every loss, a power of two.
        elements: elements of all rows of the whole window, by which every summed loss is divided;
            None where it is divided by the rows.
    """

    step: int
    batches: Mapping[int, Batch]
    rows: int
    scale: float = 1.0
    elements: int | None = None

    @cached_property
    def divisor(self) -> torch.Tensor:
        """Divisor of every summed loss: elements or rows divided by scale, a float64 scalar."""
        count = self.rows if self.elements is None else self.elements
        return torch.tensor(count / self.scale, dtype=torch.float64)


class SlotLoss(nn.Module):
    """The sum of the losses of a micro-batch, computed in the precision that the recipe names.

    Args:
        model: model that is trained.
        loss: loss of a micro-batch.
        precision: "float32", "bfloat16" or "float16".
        device: device of the model.
    """

    def __init__(self, model: nn.Module, loss: Loss, precision: str, device: torch.device):
        super().__init__()
        self.model = model
        self.loss = loss
        self._dtype = _DTYPES[precision]
        self._device_type = device.type

    def forward(self, batch: Batch, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return the sum over the rows, a scalar of float32 or better.

        Args:
            batch: "features" and "target", each (rows, ...).
            weights: weights of the rows, (rows,); None for a weight of 1 each. Weights are allowed
                only if the loss's attribute ``weighs_rows`` is true.
        """
        weighted = () if weights is None else (weights,)
        if self._dtype is torch.float32:
            return self.loss(self.model, batch, *weighted)
        # The cache is off, because cast weights in it would outlive the transforms of torch.func.
        with torch.autocast(self._device_type, self._dtype, cache_enabled=False):
            return self.loss(self.model, batch, *weighted)


class MicroBatchRng:
    """Seeds PyTorch's generators for every micro-batch.

    A micro-batch draws the random numbers of its step and slot, whichever process computes it.

    Args:
        seed: seed of the recipe.
        accumulation_steps: number of slots in a window.
        device: device on which the model draws random numbers.
    """

    def __init__(self, seed: int, accumulation_steps: int, device: torch.device):
        self._first_seed = torch_seed(seed, "dropout")
        self._slots = accumulation_steps
        self._device = device

    def seed(self, step: int, slot: int) -> None:
        """Set PyTorch's generators to the random stream of a micro-batch.

        Seeds are counted up rather than hashed, because the CPU's generator keeps only 32 bits of a
        seed: hashes may collide in them, but no two of four billion consecutive numbers do.
        """
        seed_torch(self._first_seed + step * self._slots + slot, self._device)


def rows_of(batch: Batch) -> int:
    """Return the number of rows in a micro-batch."""
    return len(next(iter(batch.values())))
