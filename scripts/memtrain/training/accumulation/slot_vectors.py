"""The gradients of slots as vectors, which are added up in memory that is used again.

A large vector takes as long to write as to add, and fresh memory takes the kernel longer still to
clear. A slot on the right of its branch is therefore added to the vector on its left tensor by
tensor, without a vector of its own, and vectors that were added to others are filled again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from memtrain.training.accumulation.summation_tree import add_in_place

#: What a vector holds in place of the gradient of a parameter that took no part. Adding it changes
#: no number, not even the sign of a zero.
NO_GRADIENT = -0.0

#: Mean bytes of a tensor from which on its numbers take longer than a call.
_BYTES_WORTH_A_CALL = 16 << 10


@dataclass(frozen=True)
class SlotParts:
    """The gradient of one slot, tensor by tensor, and its loss.

    Attributes:
        parts: gradients of all trained parameters, None for one that took no part in the loss, and
            behind them the changes of the buffers.
        took_part: whether each trained parameter took part, bool (parameters,), on the CPU.
        loss: summed loss of the slot, a scalar.
    """

    parts: Sequence[torch.Tensor | None]
    took_part: torch.Tensor
    loss: torch.Tensor


class SlotVectors:
    """Joins and adds the gradients of slots.

    Args:
        like: tensors that have the shapes of the parts.
        dtype: dtype of the vectors.
    """

    def __init__(self, like: Sequence[torch.Tensor], dtype: torch.dtype):
        self._like = like
        self._sizes = [part.numel() for part in like]
        self._dtype = dtype
        total_bytes = sum(self._sizes) * dtype.itemsize
        self._adds_parts = total_bytes >= _BYTES_WORTH_A_CALL * len(like)
        #: Vectors whose numbers are not needed any more.
        self._free: list[torch.Tensor] = []

    def joined(self, slot: SlotParts) -> torch.Tensor:
        """Return the vector of a slot, (n,)."""
        parts = [
            torch.full_like(like, NO_GRADIENT, dtype=self._dtype).reshape(-1)
            if part is None
            else part.reshape(-1).to(self._dtype)
            for part, like in zip(slot.parts, self._like, strict=True)
        ]
        return torch.cat(parts, out=self._free.pop()) if self._free else torch.cat(parts)

    def added(self, left: torch.Tensor | None, slot: SlotParts) -> torch.Tensor:
        """Return the sum of a vector, whose memory it takes, and a slot on its right.

        Args:
            left: the vector; None for an empty branch.
            slot: the slot.
        """
        if left is None or not self._adds_parts:
            merged = self.merged(left, self.joined(slot))
            assert merged is not None
            return merged
        for place, part in zip(left.split(self._sizes), slot.parts, strict=True):
            if part is not None:
                place.add_(part.reshape(-1).to(self._dtype))
        return left

    def merged(self, left: torch.Tensor | None, right: torch.Tensor | None) -> torch.Tensor | None:
        """Return the sum of two branches, in the memory of the left one; None for an empty branch.

        The memory of the right one is used again if it was added.
        """
        total = add_in_place(left, right)
        is_whole = right is not None and not right._is_view()
        if right is not None and total is not right and is_whole and self._adds_parts:
            self._free.append(right)
        return total
