"""The processes that train together, as ``torchrun`` starts them.

Rank r of W owns the slots [r·S/W, (r+1)·S/W) of every accumulation window. These slots are a
subtree of the tree in which ``accumulation.summation_tree`` adds gradients, so that W processes add
in the same order as one.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import distributed

from memtrain.core.errors import TransientError, UserError
from memtrain.training.distributed.local_channel import LocalChannel
from memtrain.training.distributed.local_partners import open_channel

#: How long one process waits for another. Before the first exchange every node may copy its rows,
#: and some nodes finish hours before others. A lost process is noticed at once all the same,
#: because its connection closes.
_TIMEOUT = timedelta(hours=12)


@dataclass
class ExchangeClock:
    """Counts the time that this process has spent in exchanges, waiting for others included.

    Attributes:
        seconds: the time so far.
    """

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of this context."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that train together.

    Attributes:
        rank: number of this process: 0, 1, ...
        world_size: number of processes.
        clock: counts the time spent in exchanges.
    """

    rank: int = 0
    world_size: int = 1
    clock: ExchangeClock = field(default_factory=ExchangeClock, compare=False)
    _channels: dict[int, LocalChannel | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, the process that writes files."""
        return self.rank == 0

    def slots(self, accumulation_steps: int, needs_tree: bool = True) -> range:
        """Return the slots of every window that this process owns.

        Args:
            accumulation_steps: number of slots in a window.
            needs_tree: whether the slots of every process must be a subtree.

        Raises:
            UserError: if the processes cannot share the slots evenly, or not as subtrees.
        """
        problem = None
        if accumulation_steps % self.world_size:
            problem = "this number of processes does not divide the slots"
        elif needs_tree and not _is_power_of_two(self.world_size):
            problem = (
                "gradients are added in a tree of pairs, which processes can share only if their "
                "number is a power of two (`reduction: fast` takes any number that divides the "
                "slots)"
            )
        if problem:
            possible = [
                size
                for size in range(1, accumulation_steps + 1)
                if accumulation_steps % size == 0 and (_is_power_of_two(size) or not needs_tree)
            ]
            raise UserError(
                f"training.accumulation_steps: {accumulation_steps} slots cannot be shared by "
                f"{self.world_size} processes: {problem}. Use one of {possible} processes, or "
                "another number of accumulation_steps (which trains another model)."
            )
        share = accumulation_steps // self.world_size
        return range(self.rank * share, (self.rank + 1) * share)

    def exchange(self, tensors: Sequence[torch.Tensor], partner: int) -> list[torch.Tensor]:
        """Send tensors to another rank, and return the tensors of that rank.

        They go through shared memory where both ranks run on one machine and train on the CPU: for
        a message of 6 KB, Gloo takes ten times as long, and a hundred times the time of a core.

        Args:
            tensors: tensors whose shapes and dtypes are the same in both processes.
            partner: rank of the other process, which calls this function too.

        Raises:
            TransientError: if the other process is lost.
        """
        with self.clock.running(), self._lost_partner_error(f"process {partner}"):
            are_on_cpu = all(tensor.device.type == "cpu" for tensor in tensors)
            channel = self._channel(partner) if are_on_cpu else None
            if channel is not None:
                return channel.exchange(tensors)
            return self._exchange_by_torch(tensors, partner)

    def close(self) -> None:
        """Close the channels to other processes."""
        for channel in self._channels.values():
            if channel is not None:
                channel.close()
        self._channels.clear()

    def _channel(self, partner: int) -> LocalChannel | None:
        """Return the channel to another rank, opened with the first message; None if none can be.

        Args:
            partner: rank of the other process, which calls this function too.
        """
        if partner not in self._channels:
            self._channels[partner] = open_channel(
                lambda note: self._exchange_by_torch([note], partner)[0],
                listens=self.rank < partner,
                timeout_seconds=int(_TIMEOUT.total_seconds()),
            )
        return self._channels[partner]

    def _exchange_by_torch(
        self, tensors: Sequence[torch.Tensor], partner: int
    ) -> list[torch.Tensor]:
        """Send tensors to another rank by Gloo or NCCL, and return the tensors of that rank."""
        received = [torch.empty_like(tensor) for tensor in tensors]
        sends = [
            distributed.P2POp(distributed.isend, part.contiguous(), partner) for part in tensors
        ]
        receives = [distributed.P2POp(distributed.irecv, part, partner) for part in received]
        for request in distributed.batch_isend_irecv(sends + receives):
            request.wait()
        return received

    def all_reduce_sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes, added in whatever order is fastest."""
        if self.world_size > 1:
            with self.clock.running(), self._lost_partner_error("another process"):
                distributed.all_reduce(tensor)
        return tensor

    def broadcast(self, number: int, device: torch.device) -> int:
        """Return the number that rank 0 passed in.

        Args:
            number: number to send; only that of rank 0 is used.
            device: device of this process.
        """
        if self.world_size == 1:
            return number
        shared = torch.tensor(number, dtype=torch.int64, device=device)
        with self.clock.running(), self._lost_partner_error("process 0"):
            distributed.broadcast(shared, 0)
        return int(shared)

    @contextmanager
    def _lost_partner_error(self, partner: str) -> Iterator[None]:
        """Turn errors of the communication with a partner into the error that it is lost."""
        try:
            yield
        except (RuntimeError, OSError) as error:
            raise TransientError(
                f"process {self.rank} of {self.world_size} has lost {partner} ({error}). It "
                "was killed, or its node is gone. Run the training again: it goes on from its last "
                "checkpoint."
            ) from None


def count_nodes() -> int:
    """Return the number of machines on which the processes of ``torchrun`` run."""
    world_size = int(os.environ.get("WORLD_SIZE", 1))
    local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return max(1, world_size // local_world_size)


@contextmanager
def joined_process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """Join the processes that ``torchrun`` started; without ``torchrun``, stay alone.

    Args:
        device: device that this process trains on; tensors travel by NCCL from a GPU, else by Gloo.
    """
    world_size = int(os.environ.get("WORLD_SIZE", 1))
    if world_size == 1:
        yield ProcessGroup()
        return
    on_gpu = device.type == "cuda"
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo", timeout=_TIMEOUT, device_id=device if on_gpu else None
    )
    group = ProcessGroup(distributed.get_rank(), world_size)
    try:
        yield group
    finally:
        group.close()
        distributed.destroy_process_group()


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0
