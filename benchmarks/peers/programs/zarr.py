"""zarr: chunks of a megabyte, as it advises, uncompressed; 64 of them are read and shuffled.

It has no loader. One orthogonal selection of whole chunks reads them side by side, and is faster
than ``blocks``, which takes one after the other.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import zarr

CHUNK_BYTES, CHUNKS_AT_ONCE = 1 << 20, 64


def prepare(path: Path, folder: Path) -> None:
    rows = np.load(path, mmap_mode="r")
    chunk_rows = CHUNK_BYTES // rows[:1].nbytes
    zarr.create_array(
        folder / "rows.zarr", data=rows, chunks=(chunk_rows, rows.shape[1]), compressors=None
    )


class Shuffled:
    """Yields the rows of some random chunks in random order, and then those of the next."""

    def __init__(self, rows: zarr.Array, batch_size: int):
        self.rows, self.batch_size = rows, batch_size
        self.random = np.random.default_rng(0)

    def __iter__(self) -> Iterator[torch.Tensor]:
        chunks = self.random.permutation(self.rows.cdata_shape[0])
        for start in range(0, len(chunks), CHUNKS_AT_ONCE):
            numbers = self.rows_of(np.sort(chunks[start : start + CHUNKS_AT_ONCE]))
            rows = torch.from_numpy(self.rows.oindex[numbers])
            order = torch.from_numpy(self.random.permutation(len(rows)))
            yield from (rows[batch] for batch in order.split(self.batch_size))

    def rows_of(self, chunks: np.ndarray) -> np.ndarray:
        """Return the numbers of all rows of some chunks; the last chunk may be short."""
        numbers = np.add.outer(chunks * self.rows.chunks[0], np.arange(self.rows.chunks[0]))
        return numbers[numbers < self.rows.shape[0]]


def loader(path: Path, folder: Path, batch_size: int, workers: int) -> Shuffled:
    return Shuffled(zarr.open_array(folder / "rows.zarr", mode="r"), batch_size)
