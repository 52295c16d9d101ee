"""Rate of a ``DataLoader`` with MemmapDataset, and with a dataset that fetches row by row."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.measuring import compare
from memtrain.data.memmap_dataset import MemmapDataset

ROWS = 200_000
COLUMNS = 20
BATCH = 256


class RowByRowDataset(Dataset):
    """A memory-mapped dataset as it is usually written: it reads the np.memmap for every row."""

    def __init__(self, filename: Path, dtype: str, shape: tuple[int, int]):
        self.data = np.memmap(filename, dtype, "r", shape=shape)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(self.data[index])


def run_epoch(dataset: Dataset) -> int:
    """Run through a shuffled epoch, and return the number of its rows."""
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True)
    return sum(len(batch) for batch in loader)


def main() -> str:
    """Return the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.bin"
        values = np.random.default_rng(0).random((ROWS, COLUMNS), dtype=np.float32)
        values.tofile(path)
        ours = MemmapDataset(path, "float32", (ROWS, COLUMNS))
        usual = RowByRowDataset(path, "float32", (ROWS, COLUMNS))
        gather = np.random.default_rng(1)
        buffer = np.empty((BATCH, COLUMNS), np.float32)

        def take() -> int:
            order = gather.permutation(ROWS)
            for start in range(0, ROWS, BATCH):
                batch = order[start : start + BATCH]
                np.take(values, batch, 0, out=buffer[: len(batch)], mode="clip")
            return ROWS

        comparison = compare(
            {
                "row by row": lambda: run_epoch(usual),
                "MemmapDataset": lambda: run_epoch(ours),
                "np.take alone (the ceiling)": take,
            },
            "rows/s",
        )
    title = f"{ROWS:,} rows of {COLUMNS} float32, batches of {BATCH}, shuffled, in the page cache"
    return f"### Loading: {title}\n\n{comparison.table('row by row')}"
