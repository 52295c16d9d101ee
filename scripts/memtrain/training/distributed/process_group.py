"""The processes that train together, as ``torchrun`` starts them.

Process r of W owns the slots [r·S/W, (r+1)·S/W) of every accumulation window: its run is a subtree
of the tree that ``summation_tree`` adds gradients in, so that W processes add in the same order as
one.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from memtrain.core.errors import TransientError, UserError

#: How long one process waits for another. Each node may copy its rows before the first exchange,
#: some hours sooner than others; one that is lost is noticed at once, by its closed connection.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that train together.

    Attributes:
        rank: of this process, 0, 1, ...
        world_size: how many there are.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes the files."""
        return self.rank == 0

    def slots(self, accumulation_steps: int, needs_tree: bool = True) -> range:
        """Return the slots of every window that this process owns.

        Args:
            accumulation_steps: the slots of a window.
            needs_tree: whether the slots of a process have to be a subtree.

        Raises:
            UserError: where the slots cannot be shared evenly, or not as subtrees.
        """
        wanted = None
        if accumulation_steps % self.world_size:
            wanted = "so many processes do not divide the slots"
        elif needs_tree and self.world_size & (self.world_size - 1):
            wanted = (
                "gradients are added in a tree of pairs, which only a power of two of processes "
                "can share (`reduction: fast` takes any number that divides the slots)"
            )
        if wanted:
            possible = [
                count
                for count in range(1, accumulation_steps + 1)
                if accumulation_steps % count == 0 and not (needs_tree and count & (count - 1))
            ]
            raise UserError(
                f"training.accumulation_steps: {accumulation_steps} slots were to be shared by "
                f"{self.world_size} processes, but {wanted}. Use one of {possible} processes, or "
                "another number of accumulation_steps (which trains another model)."
            )
        share = accumulation_steps // self.world_size
        return range(self.rank * share, (self.rank + 1) * share)

    def exchange(self, tensors: Sequence[torch.Tensor], partner: int) -> list[torch.Tensor]:
        """Send tensors to another process, and return the same of the other's."""
        received = [torch.empty_like(tensor) for tensor in tensors]
        sends = [
            distributed.P2POp(distributed.isend, part.contiguous(), partner) for part in tensors
        ]
        receives = [distributed.P2POp(distributed.irecv, part, partner) for part in received]
        with self._unless_lost(f"process {partner}"):
            for request in distributed.batch_isend_irecv(sends + receives):
                request.wait()
        return received

    def all_reduce_sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the sum over all processes, in whatever order is fastest."""
        if self.world_size > 1:
            with self._unless_lost("another process"):
                distributed.all_reduce(tensor)
        return tensor

    def broadcast(self, number: int, device: torch.device) -> int:
        """Return the number that the first process gave."""
        if self.world_size == 1:
            return number
        shared = torch.tensor(number, dtype=torch.int64, device=device)
        with self._unless_lost("process 0"):
            distributed.broadcast(shared, 0)
        return int(shared)

    @contextmanager
    def _unless_lost(self, partner: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise TransientError(
                f"process {self.rank} of {self.world_size} has lost {partner} ({error}). It "
                "was killed, or its node is gone. Run the training again: it goes on from its last "
                "checkpoint."
            ) from None


def count_nodes() -> int:
    """Return on how many machines the processes that ``torchrun`` started run."""
    processes, on_this_node = (
        int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")
    )
    return max(1, processes // on_this_node)


@contextmanager
def joined_process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """Join the processes that ``torchrun`` started; alone where it did not.

    Args:
        device: that this process trains on; says what tensors travel by.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield ProcessGroup()
        return
    on_gpu = device.type == "cuda"
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo", timeout=_PATIENCE, device_id=device if on_gpu else None
    )
    try:
        yield ProcessGroup(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()
