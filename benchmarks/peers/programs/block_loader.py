"""Our loader: random blocks into a buffer, shuffled there; with its own defaults."""

from pathlib import Path

from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader


def loader(
    path: Path, folder: Path, batch_size: int, workers: int, copy: bool = False
) -> BlockLoader:
    return BlockLoader(MemmapDataset(path), batch_size=batch_size, shuffle=True, seed=0, copy=copy)
