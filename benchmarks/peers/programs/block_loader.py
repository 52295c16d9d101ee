"""BlockLoader with its defaults: random blocks fill a buffer, in which rows are shuffled."""

from pathlib import Path

from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader


def loader(
    path: Path, folder: Path, *, batch_size: int, workers: int, copy: bool = False
) -> BlockLoader:
    return BlockLoader(MemmapDataset(path), batch_size=batch_size, shuffle=True, seed=0, copy=copy)
