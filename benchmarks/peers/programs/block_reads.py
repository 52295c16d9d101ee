"""A ceiling of the disk: threads read blocks in random order, each into its own buffer."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np


class BlockReads:
    """Yields the whole rows of each block, in the order in which the reads were started."""

    def __init__(self, path: Path, block_bytes: int, threads: int):
        rows = np.load(path, mmap_mode="r")
        self.columns = rows.shape[1]
        self.offset = rows.offset
        self.block_rows = block_bytes // rows[:1].nbytes
        self.block_bytes = self.block_rows * rows[:1].nbytes
        self.blocks = len(rows) // self.block_rows
        self.file = os.open(path, os.O_RDONLY)
        self.threads = threads
        self.buffers = threading.local()

    def read(self, block: int) -> np.ndarray:
        """Read a block into this thread's buffer."""
        if not hasattr(self.buffers, "rows"):
            self.buffers.rows = np.empty((self.block_rows, self.columns), np.float32)
        os.preadv(self.file, [self.buffers.rows], self.offset + block * self.block_bytes)
        return self.buffers.rows

    def __iter__(self) -> Iterator[np.ndarray]:
        order = iter(np.random.default_rng(0).permutation(self.blocks).tolist())
        with ThreadPoolExecutor(self.threads) as pool:
            # Two reads per thread are submitted, so that no thread ever waits for work.
            reads = [pool.submit(self.read, block) for block in islice(order, 2 * self.threads)]
            while reads:
                yield reads.pop(0).result()
                reads += [pool.submit(self.read, block) for block in islice(order, 1)]


def loader(
    path: Path, folder: Path, *, batch_size: int, workers: int, block_bytes: int, threads: int
) -> BlockReads:
    return BlockReads(path, block_bytes, threads)
