"""Grain: a memory-mapped source, shuffled by an index cipher, repeated without end.

It runs without threads, which help sources that wait, but slow down one of rows in memory.
"""

from pathlib import Path

import grain
import numpy as np
import torch


class Source:
    """A random-access source with the methods that Grain requires."""

    def __init__(self, path: Path):
        self.path = path
        self.rows = np.load(path, mmap_mode="r").view(np.ndarray)

    def __reduce__(self) -> tuple:
        # A worker process opens the file itself; otherwise all rows would be sent to it.
        return Source, (self.path,)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.rows[index]


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> grain.IterDataset:
    rows = grain.MapDataset.source(Source(path)).shuffle(seed=0).repeat()
    batches = rows.batch(batch_size).to_iter_dataset(grain.ReadOptions(num_threads=0))
    if workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    return batches.map(torch.from_numpy)
