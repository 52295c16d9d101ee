"""The rows that everything reads."""

from pathlib import Path

import numpy as np

from memtrain.data.record_file import create

#: Up to here, float32 holds every row number.
MOST_ROWS = 1 << 24


def write_rows(folder: Path, columns: int, mebibytes: float) -> Path:
    """Write a plain file of random numbers, with each row's number in column 0, unless it is there.

    Args:
        folder: where the file goes.
        columns: of float32.
        mebibytes: the size; cut where a row's number would not be exact any more.
    """
    rows = min(int(mebibytes * (1 << 20)) // (4 * columns), MOST_ROWS)
    path = folder / f"{columns}x{rows}" / "rows.npy"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    random, at_once = np.random.default_rng(0), 1 << 16
    with create(path, np.dtype(np.float32), rows, (columns,)) as writer:
        for start in range(0, rows, at_once):
            values = random.random((min(at_once, rows - start), columns), np.float32)
            values[:, 0] = np.arange(start, start + len(values))
            writer.write(start, values)
    return path
