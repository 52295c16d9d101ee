"""Grain: a memory-mapped source, shuffled by an index cipher, for as many epochs as are asked for.

Without threads: they are for sources that wait, and make one of rows in memory slower.
"""

from pathlib import Path

import grain
import numpy as np
import torch


class Source:
    """A random-access source, as Grain asks for one."""

    def __init__(self, path: Path):
        self.path = path
        self.rows = np.load(path, mmap_mode="r").view(np.ndarray)

    def __reduce__(self) -> tuple:
        # A worker process opens the file itself: rows would be sent to it one and all.
        return Source, (self.path,)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.rows[index]


def loader(path: Path, folder: Path, batch_size: int, workers: int) -> grain.IterDataset:
    rows = grain.MapDataset.source(Source(path)).shuffle(seed=0).repeat()
    batches = rows.batch(batch_size).to_iter_dataset(grain.ReadOptions(num_threads=0))
    if workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    return batches.map(torch.from_numpy)
