"""Which rows, in which order: a pure function of seed and epoch."""

from collections.abc import Sequence

import numpy as np

from memtrain.random_streams import stream
from memtrain.ranges import Range


def epoch_rows(ranges: Sequence[Range], seed: int, epoch: int) -> np.ndarray:
    """Return the rows of an epoch in the order in which they are trained on.

    Args:
        ranges: the training rows; no row stands in two of them.
        seed: the seed of the recipe.
        epoch: 0, 1, ...

    Returns:
        int64 (rows,): a uniform permutation of all rows of the ranges.
    """
    rows = np.concatenate([np.arange(piece.start, piece.end) for piece in ranges])
    stream(seed, "row order", epoch).shuffle(rows)
    return rows


def micro_batches(rows: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Cut rows into micro-batches of ``batch_size``; the last one may be shorter."""
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
