"""MemmapDataset in a ``DataLoader``: one gather for each batch."""

from pathlib import Path

from torch.utils.data import DataLoader

from memtrain.data.memmap_dataset import MemmapDataset


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> DataLoader:
    return DataLoader(
        MemmapDataset(path),
        batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
