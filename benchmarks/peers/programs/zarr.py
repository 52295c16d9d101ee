"""zarr: uncompressed chunks of a megabyte, as it advises; 64 at a time are read and shuffled.

zarr has no loader. One orthogonal selection of whole chunks reads them in parallel, and is faster
than ``blocks``, which reads one after the other.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import zarr

CHUNK_BYTES = 1 << 20
CHUNKS_AT_A_TIME = 64


def prepare(path: Path, folder: Path) -> None:
    rows = np.load(path, mmap_mode="r")
    chunk_rows = CHUNK_BYTES // rows[:1].nbytes
    zarr.create_array(
        folder / "rows.zarr", data=rows, chunks=(chunk_rows, rows.shape[1]), compressors=None
    )


class Shuffled:
    """Yields batches of rows: a few random chunks at a time, the rows of these in random order."""

    def __init__(self, rows: zarr.Array, batch_size: int):
        self.rows = rows
        self.batch_size = batch_size
        self.random = np.random.default_rng(0)

    def __iter__(self) -> Iterator[torch.Tensor]:
        chunks = self.random.permutation(self.rows.cdata_shape[0])
        for start in range(0, len(chunks), CHUNKS_AT_A_TIME):
            numbers = self.row_numbers(np.sort(chunks[start : start + CHUNKS_AT_A_TIME]))
            rows = torch.from_numpy(self.rows.oindex[numbers])
            order = torch.from_numpy(self.random.permutation(len(rows)))
            yield from (rows[batch] for batch in order.split(self.batch_size))

    def row_numbers(self, chunks: np.ndarray) -> np.ndarray:
        """Return the numbers of all rows in chunks; the last chunk of the file may be short."""
        numbers = np.add.outer(chunks * self.rows.chunks[0], np.arange(self.rows.chunks[0]))
        return numbers[numbers < self.rows.shape[0]]


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> Shuffled:
    return Shuffled(zarr.open_array(folder / "rows.zarr", mode="r"), batch_size)
