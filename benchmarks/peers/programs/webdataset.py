"""WebDataset: tar shards in random order, and a shuffle buffer of 10,000 rows."""

from pathlib import Path

import numpy as np
import torch
import webdataset

ROWS_PER_SHARD = 10_000
MIN_SHARDS = 8
BUFFER_ROWS = 10_000


def prepare(path: Path, folder: Path) -> None:
    rows = np.load(path, mmap_mode="r")
    size = min(ROWS_PER_SHARD, -(-len(rows) // MIN_SHARDS))
    # With a time of whole seconds, a row needs only one header, which halves the size of a shard.
    with webdataset.ShardWriter(f"{folder}/%06d.tar", maxcount=size, verbose=0, mtime=0) as writer:
        for number, row in enumerate(rows):
            writer.write({"__key__": f"{number:09d}", "row": row.tobytes()})


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> webdataset.WebLoader:
    shards = [str(shard) for shard in sorted(folder.glob("*.tar"))]
    rows = (
        webdataset.WebDataset(shards, shardshuffle=len(shards))
        .shuffle(BUFFER_ROWS)
        .map(to_array)
        .batched(batch_size, collation_fn=to_tensor)
    )
    return webdataset.WebLoader(
        rows, batch_size=None, num_workers=workers, persistent_workers=workers > 0
    )


def to_array(sample: dict) -> np.ndarray:
    """Return the values of a row."""
    return np.frombuffer(sample["row"], np.float32)


def to_tensor(rows: list[np.ndarray]) -> torch.Tensor:
    """Stack the rows of a batch."""
    return torch.from_numpy(np.stack(rows))
