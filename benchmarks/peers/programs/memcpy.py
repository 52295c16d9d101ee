"""A ceiling: large pieces of an array, copied in order into a buffer."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

PIECE_BYTES = 64 << 20


class Copies:
    """Yields each piece as it is copied."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows
        size = PIECE_BYTES // rows[:1].nbytes
        self.starts = range(0, len(rows) - size + 1, size) or [0]
        self.buffer = np.zeros_like(rows[:size])

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in self.starts:
            np.copyto(self.buffer, self.rows[start : start + len(self.buffer)])
            yield self.buffer


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> Copies:
    return Copies(np.load(path))
