"""LitData: chunks of 64 MB, read by ``TokensLoader``, to which a row is a block of tokens.

This is how LitData stores contiguous arrays; its default, a sample for each row, is several times
slower here.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from litdata import StreamingDataLoader, StreamingDataset, TokensLoader, optimize

ROWS_PER_TASK = 8192


def prepare(path: Path, folder: Path) -> None:
    shape = np.load(path, mmap_mode="r").shape
    optimize(
        partial(values_from, path=path),
        list(range(0, shape[0], ROWS_PER_TASK)),
        str(folder / "chunks"),
        chunk_bytes="64MB",
        num_workers=1,
        item_loader=TokensLoader(block_size=shape[1]),
    )


def values_from(start: int, path: Path) -> Iterator[torch.Tensor]:
    """Yield the values of a task's rows; the reader cuts them into blocks again."""
    yield torch.tensor(np.load(path, mmap_mode="r")[start : start + ROWS_PER_TASK].reshape(-1))


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> StreamingDataLoader:
    columns = np.load(path, mmap_mode="r").shape[1]
    dataset = StreamingDataset(
        str(folder / "chunks"), shuffle=True, item_loader=TokensLoader(block_size=columns)
    )
    return StreamingDataLoader(
        dataset, batch_size=batch_size, num_workers=workers, persistent_workers=workers > 0
    )
