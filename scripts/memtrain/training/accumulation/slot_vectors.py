"""The gradients of slots as vectors, which are added up in memory that is used again.

A large vector takes as long to write as to add, and fresh memory takes the kernel longer still to
clear. What is on the right of its branch is therefore added to the vector on its left tensor by
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
    """The gradient of one slot, or the sum of those of two, tensor by tensor.

    Attributes:
        parts: gradients of all trained parameters, None for one that took no part in the loss, and
            behind them the changes of the buffers.
        took_part: whether each trained parameter took part, bool (parameters,), on the CPU.
        losses: summed loss of each slot, scalars.
    """

    parts: Sequence[torch.Tensor | None]
    took_part: torch.Tensor
    losses: Sequence[torch.Tensor]


class SlotVectors:
    """Joins and adds the gradients of slots.

    Args:
        like: tensors that have the shapes of the parts.
        dtype: dtype of the vectors.

    Attributes:
        adds_parts: whether the parts are so large that their numbers take longer than calls.
    """

    def __init__(self, like: Sequence[torch.Tensor], dtype: torch.dtype):
        self._like = like
        self._sizes = [part.numel() for part in like]
        self._dtype = dtype
        total_bytes = sum(self._sizes) * dtype.itemsize
        self.adds_parts = total_bytes >= _BYTES_WORTH_A_CALL * len(like)
        #: Vectors whose numbers are not needed any more.
        self._free: list[torch.Tensor] = []

    def joined(self, parts: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """Return parts as one vector, (n,)."""
        flat = [
            torch.full_like(like, NO_GRADIENT, dtype=self._dtype).reshape(-1)
            if part is None
            else part.reshape(-1).to(self._dtype)
            for part, like in zip(parts, self._like, strict=True)
        ]
        return torch.cat(flat, out=self._free.pop()) if self._free else torch.cat(flat)

    def added(
        self, left: torch.Tensor | None, parts: Sequence[torch.Tensor | None]
    ) -> torch.Tensor:
        """Return the sum of a vector, whose memory it takes, and of parts on its right.

        Args:
            left: the vector; None for an empty branch.
            parts: the parts.
        """
        if left is None or not self.adds_parts:
            merged = self.merged(left, self.joined(parts))
            assert merged is not None
            return merged
        for place, part in zip(left.split(self._sizes), parts, strict=True):
            if part is not None:
                place.add_(part.reshape(-1).to(self._dtype))
        return left

    def merged(self, left: torch.Tensor | None, right: torch.Tensor | None) -> torch.Tensor | None:
        """Return the sum of two branches, in the memory of the left one; None for an empty branch.

        The memory of the right one is used again if it was added.
        """
        total = add_in_place(left, right)
        is_whole = right is not None and not right._is_view()
        if right is not None and total is not right and is_whole and self.adds_parts:
            self._free.append(right)
        return total
