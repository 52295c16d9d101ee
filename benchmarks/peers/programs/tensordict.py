"""tensordict: a memory-mapped ``TensorDict`` is the dataset, indexed once for each batch."""

from pathlib import Path

import numpy as np
import torch
from tensordict import TensorDict
from torch.utils.data import DataLoader


def prepare(path: Path, folder: Path) -> None:
    rows = torch.from_numpy(np.load(path, mmap_mode="c"))
    TensorDict({"rows": rows}, batch_size=[len(rows)]).memmap(folder / "tensordict")


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> DataLoader:
    return DataLoader(
        TensorDict.load_memmap(folder / "tensordict"),
        batch_size,
        shuffle=True,
        collate_fn=take_rows,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def take_rows(batch: TensorDict) -> torch.Tensor:
    """Return the tensor of a batch."""
    return batch["rows"]
