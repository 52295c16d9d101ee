"""MosaicML Streaming: MDS shards, shuffled by its default, py1e.

It imports torchvision, which fails if its wheel is built for CUDA and torch only for the CPU.
Nothing here needs torchvision, so modules with only the imported names take its place.
"""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch.utils.data import DataLoader


def make_module(name: str, **contents: object) -> None:
    """Make a module with these contents, which imports of this name then find."""
    sys.modules[name] = module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(contents)


make_module("torchvision")
make_module("torchvision.datasets", VisionDataset=object)
make_module("torchvision.transforms")
make_module("torchvision.transforms.functional", to_tensor=None)

from streaming import MDSWriter, StreamingDataset  # noqa: E402


def prepare(path: Path, folder: Path) -> None:
    rows = np.load(path, mmap_mode="r")
    columns = {"rows": f"ndarray:float32:{rows.shape[1]}"}
    with MDSWriter(out=str(folder / "mds"), columns=columns) as writer:
        for row in rows:
            writer.write({"rows": np.asarray(row)})


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> DataLoader:
    dataset = StreamingDataset(local=str(folder / "mds"), shuffle=True, batch_size=batch_size)
    return DataLoader(
        dataset,
        batch_size,
        collate_fn=stack,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def stack(samples: list[dict[str, np.ndarray]]) -> torch.Tensor:
    """Stack the rows of a batch."""
    return torch.from_numpy(np.stack([sample["rows"] for sample in samples]))
