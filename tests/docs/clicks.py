"""Writes the arrays that the page on files trains on: python clicks.py FOLDER."""

import sys
from pathlib import Path

import numpy as np

DAYS = 10


def write_days(folder: Path) -> None:
    """Write three files for each day: dense numbers, categories, and whether it was clicked."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    weights = random.normal(size=13)
    for day in range(1, DAYS + 1):
        rows = 1000 + day
        dense = random.normal(size=(rows, 13)).astype(np.float32)
        sparse = random.integers(0, 4, (rows, 3), np.int32)
        score = dense @ weights + sparse[:, 0] + random.normal(size=rows)
        np.save(folder / f"day_{day}_dense.npy", dense)
        np.save(folder / f"day_{day}_sparse.npy", sparse)
        np.save(folder / f"day_{day}_labels.npy", (score > 1.5).astype(np.uint8))


if __name__ == "__main__":
    write_days(Path(sys.argv[1]) / "data")
