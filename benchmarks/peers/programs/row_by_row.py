"""A memory-mapped dataset as it is usually written: it reads the ``np.memmap`` for every row."""

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class Rows(Dataset):
    """Rows that are copied from the mapping one at a time."""

    def __init__(self, path: Path):
        self.rows = np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(self.rows[index])


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> DataLoader:
    return DataLoader(
        Rows(path), batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
