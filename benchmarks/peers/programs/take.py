"""A ceiling: rows in memory, gathered in an order that is drawn in advance."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np


class Gathers:
    """Yields batches of all rows, each in the same buffer."""

    def __init__(self, rows: np.ndarray, batch_size: int):
        self.rows = rows
        order = np.random.default_rng(0).permutation(len(rows))
        self.batches = order[: len(order) // batch_size * batch_size].reshape(-1, batch_size)
        self.buffer = np.empty_like(rows[:batch_size])

    def __iter__(self) -> Iterator[np.ndarray]:
        for batch in self.batches:
            # mode="clip" avoids a buffered copy.
            np.take(self.rows, batch, 0, out=self.buffer, mode="clip")
            yield self.buffer


def loader(path: Path, folder: Path, *, batch_size: int, workers: int) -> Gathers:
    return Gathers(np.load(path), batch_size)
