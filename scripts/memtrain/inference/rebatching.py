"""Cuts a stream of rows into batches of one size, from a row on."""

from collections.abc import Iterator

import numpy as np


def rebatched(pieces: Iterator[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """Yield the rows of all pieces in batches of some rows; the last batch may be smaller.

    Args:
        pieces: rows, in pieces of any size; a piece may be overwritten once the next one comes.
        rows: rows of a batch.
    """
    batch: np.ndarray | None = None
    filled = 0
    for piece in pieces:
        start = 0
        while start < len(piece):
            if batch is None:
                batch = np.empty((rows, *piece.shape[1:]), piece.dtype)
            taken = piece[start : start + rows - filled]
            batch[filled : filled + len(taken)] = taken
            filled += len(taken)
            start += len(taken)
            if filled == rows:
                yield batch
                batch, filled = None, 0
    if batch is not None:
        yield batch[:filled]


def without_first(pieces: Iterator[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """Yield the rows of all pieces but the first ones.

    Args:
        pieces: rows, in pieces of any size.
        rows: how many rows are left out.
    """
    for piece in pieces:
        if rows < len(piece):
            yield piece[rows:]
        rows = max(0, rows - len(piece))
