"""Cuts a stream of rows into batches of one size, from a row on."""

from collections.abc import Iterator

import numpy as np

from memtrain.inference.ragged_features import RaggedFeatures

#: Rows of the data file: records, (rows,); or the features of rows that vary in length.
Rows = np.ndarray | RaggedFeatures


def rebatched(pieces: Iterator[Rows], rows: int) -> Iterator[Rows]:
    """Yield the rows of all pieces in batches of some rows; the last batch may be smaller.

    Args:
        pieces: rows, in pieces of any size; a piece may be overwritten once the next one comes.
        rows: rows of a batch.
    """
    parts: list[Rows] = []
    missing = rows
    for piece in pieces:
        start = 0
        while start < len(piece):
            part = piece[start : start + missing].copy()
            parts.append(part)
            missing -= len(part)
            start += len(part)
            if not missing:
                yield _joined(parts)
                parts, missing = [], rows
    if parts:
        yield _joined(parts)


def without_first(pieces: Iterator[Rows], rows: int) -> Iterator[Rows]:
    """Yield the rows of all pieces but the first ones.

    Args:
        pieces: rows, in pieces of any size.
        rows: how many rows are left out.
    """
    for piece in pieces:
        if rows < len(piece):
            yield piece[rows:]
        rows = max(0, rows - len(piece))


def _joined(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    ragged = [part for part in parts if isinstance(part, RaggedFeatures)]
    if ragged:
        return RaggedFeatures.joined(ragged)
    return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])
