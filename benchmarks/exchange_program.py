"""One of two processes that exchange messages in several ways, started by torchrun.

Rank 0 prints JSON: for every way and every number of bytes, the seconds and the CPU seconds of each
exchange.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import torch
from torch import distributed

from memtrain.training.distributed.process_group import ProcessGroup, joined_process_group

#: Most bytes that are exchanged in one way, and most exchanges.
_BYTES, _MOST = 1 << 28, 300


def ways(group: ProcessGroup, vector: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Return the ways to exchange a vector, and what memtrain sends with it."""
    partner = 1 - group.rank
    entries = torch.zeros(13, dtype=torch.float64)
    sent = [vector, entries]
    return {
        "Gloo, all_reduce": lambda: distributed.all_reduce(vector),
        "Gloo, two messages (before)": lambda: group._exchange_by_torch(sent, partner),
        "memtrain, shared memory": lambda: group.exchange(sent, partner),
        "copies alone (the floor)": lambda: [part.clone().clone() for part in sent],
    }


def main(sizes: list[int]) -> None:
    """Measure all ways for every number of bytes."""
    torch.set_num_threads(1)
    found = []
    with joined_process_group(torch.device("cpu")) as group:
        for size in sizes:
            vector = torch.ones(size // 4)
            for name, exchange in ways(group, vector).items():
                for _ in range(5):
                    exchange()
                distributed.barrier()
                seconds = []
                cpu = time.process_time()
                for _ in range(max(10, min(_MOST, _BYTES // size))):
                    start = time.perf_counter()
                    exchange()
                    seconds.append(time.perf_counter() - start)
                cpu_seconds = (time.process_time() - cpu) / len(seconds)
                found.append([name, size, sorted(seconds), cpu_seconds])
        if group.is_main:
            print(json.dumps(found))


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]])
