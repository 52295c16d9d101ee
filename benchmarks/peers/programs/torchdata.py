"""torchdata: ``StatefulDataLoader`` with a dataset that fetches a whole batch at once."""

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader


class Rows(Dataset):
    """Rows that are gathered by batch in ``__getitems__``, which ``DataLoader`` looks for."""

    def __init__(self, path: Path):
        self.rows = np.load(path, mmap_mode="r").view(np.ndarray)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        return torch.from_numpy(self.rows[indices])


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> StatefulDataLoader:
    return StatefulDataLoader(
        Rows(path),
        batch_size,
        shuffle=True,
        collate_fn=unchanged,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def unchanged(batch: torch.Tensor) -> torch.Tensor:
    """Return a batch as it was fetched."""
    return batch
