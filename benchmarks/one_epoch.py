"""Read a file once, and print the time and the memory that it took, as JSON.

Other programs run this within a memory cgroup. The first column of the file holds the numbers of
its rows, so that the program can say whether it has seen each row once.
"""

import json
import re
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import numpy as np
import torch

from benchmarks.ceilings import random_block_reads
from memtrain.cli.entry_point import argument_parser
from memtrain.config.training import ShuffleSettings
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader

BATCH = 1024


def memory_kib(kind: str) -> int:
    """Return the memory of this process: VmRSS, RssAnon or RssFile, in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{kind}:\s+(\d+)", status)[1])


def used() -> dict[str, float]:
    """Return what this process has used up to now: CPU seconds, page faults, bytes from disks."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    from_disks = re.search(r"read_bytes: (\d+)", Path("/proc/self/io").read_text())[1]
    return {
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "minor_faults": usage.ru_minflt,
        "major_faults": usage.ru_majflt,
        "disk_bytes": int(from_disks),
    }


def used_since(before: dict[str, float]) -> dict[str, float]:
    """Return what this process has used since ``used`` returned ``before``."""
    return {name: amount - before[name] for name, amount in used().items()}


def run_epoch(path: str, reader: str, shuffle: ShuffleSettings, budget: int | None) -> dict:
    """Run through one epoch of a file, and return its rows, seconds and anonymous memory."""
    dataset = MemmapDataset(path)
    loader = BlockLoader(
        dataset, BATCH, shuffle=shuffle, seed=1, reader=reader, memory_budget=budget
    )
    seen = np.zeros(len(dataset), np.uint8)
    # From the second buffer on, the loader takes no more memory.
    settled = 2 * loader.order.rows_per_buffer // BATCH
    anonymous = []
    before = used()
    start = time.perf_counter()
    for number, batch in enumerate(loader):
        seen[batch[:, 0].numpy().astype(np.int64)] += 1
        if number >= settled and number % 64 == 0:
            anonymous.append(memory_kib("RssAnon"))
    seconds = time.perf_counter() - start
    return {
        "rows": len(dataset),
        "seconds": seconds,
        "each_row_once": bool((seen == 1).all()),
        "anonymous_kib": [min(anonymous), max(anonymous)],
        "reader": str(loader.reading),
        **used_since(before),
    }


def main(argv: list[str] | None = None) -> int:
    """Run one program, and print its result."""
    parser = argument_parser(__name__)
    parser.add_argument("path")
    parser.add_argument(
        "program", choices=["imports", "reads", "direct-reads", "auto", "mmap", "pread", "direct"]
    )
    parser.add_argument("--buffer-bytes", default="256MiB")
    parser.add_argument("--memory-budget", type=int, help="memory budget of the loader in bytes")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    shuffle = ShuffleSettings(buffer_bytes=args.buffer_bytes)
    if args.program == "imports":
        report = {"bytes": memory_kib("VmRSS") << 10}
    elif args.program.endswith("reads"):
        read = random_block_reads(args.path, 256 << 10, args.program == "direct-reads")
        before = used()
        start = time.perf_counter()
        report = {"rows": read(), "seconds": time.perf_counter() - start, **used_since(before)}
    else:
        report = run_epoch(args.path, args.program, shuffle, args.memory_budget)
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
