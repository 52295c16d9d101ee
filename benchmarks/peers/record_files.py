"""The file of rows that all programs read."""

from pathlib import Path

import numpy as np

from memtrain.data.record_file import create

#: Every row number below this is exact in float32.
MAX_ROWS = 1 << 24


def write_rows(folder: Path, columns: int, mebibytes: float) -> Path:
    """Write a file of random numbers with each row's number in column 0, if it is missing.

    Args:
        folder: folder of the file.
        columns: number of columns of float32.
        mebibytes: size of the file, which is cut where row numbers would no longer be exact.
    """
    rows = min(int(mebibytes * (1 << 20)) // (4 * columns), MAX_ROWS)
    path = folder / f"{columns}x{rows}" / "rows.npy"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    rows_per_write = 1 << 16
    with create(path, np.dtype(np.float32), rows, (columns,)) as writer:
        for start in range(0, rows, rows_per_write):
            values = random.random((min(rows_per_write, rows - start), columns), np.float32)
            values[:, 0] = np.arange(start, start + len(values))
            writer.write(start, values)
    return path
