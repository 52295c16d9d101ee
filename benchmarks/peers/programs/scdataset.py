"""scDataset: blocks of 16 rows and 16 batches per fetch, as in its quick start."""

from pathlib import Path

import numpy as np
import torch
from scdataset import BlockShuffling, scDataset
from torch.utils.data import DataLoader

FETCH_FACTOR = 16


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> DataLoader:
    dataset = scDataset(
        # A plain view, since an np.memmap is slower to index.
        np.load(path, mmap_mode="r").view(np.ndarray),
        BlockShuffling(block_size=16),
        batch_size=batch_size,
        fetch_factor=FETCH_FACTOR,
        batch_transform=torch.from_numpy,
    )
    return DataLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=FETCH_FACTOR + 1 if workers else None,
        persistent_workers=workers > 0,
    )
