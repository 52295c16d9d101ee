"""Counts the classes of the training rows, for a baseline, where their statistics do not.

Statistics count a thousand classes for each shard. A vocabulary has more, so that the training rows
are read once, in memory that grows with the classes alone.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from memtrain.data.layouts import RowLayout, read_layout
from memtrain.data.row_chunks import ChunkReader, values_of_chunk
from memtrain.data.row_digests import RowsDigest
from memtrain.recipes.integrity import corrupt_rows_error
from memtrain.recipes.recipe import Piece, Recipe
from memtrain.system.digests import digest_algorithm
from memtrain.system.progress import Progress

#: More classes than these are not counted: each takes 8 bytes in every thread.
MOST_CLASSES = 1 << 22

_THREADS = 2

#: Pieces whose counts wait to be added up.
_PIECES_AHEAD = 16


def training_class_counts(recipe: Recipe, data: str | os.PathLike) -> np.ndarray | None:
    """Return how many elements of the training targets are of each class.

    Args:
        recipe: recipe of a split.
        data: the record file that holds the rows, or the description of rows in files.

    Returns:
        int64 (n,) for the classes 0, 1, ... n - 1; None where the target is no class, or where
        there are too many classes to count.

    Raises:
        UserError: where rows cannot be read, or are not those that were indexed.
    """
    training = recipe.training
    classes = training.task.classes
    if training.task.kind != "classification" or classes is None:
        return None
    known = training.statistics_of("target").values
    if known is not None:
        return known
    layout = read_layout(data)
    if classes > MOST_CLASSES:
        return None
    pieces = training.rows.pieces
    counts = np.zeros(classes, np.int64)
    with (
        ChunkReader(data, layout) as reader,
        Progress("counting classes", training.rows.count, "rows") as bar,
        ThreadPoolExecutor(_THREADS) as pool,
    ):

        def count(piece: Piece) -> np.ndarray | None:
            return _counts_of_piece(reader, layout, piece, classes)

        for piece, found in _in_order(pool, count, pieces):
            if found is None:
                raise corrupt_rows_error(data, [piece], recipe.grid)
            counts += found
            bar.advance(piece.rows.rows)
    return counts


def _in_order(
    pool: ThreadPoolExecutor,
    count: Callable[[Piece], np.ndarray | None],
    pieces: Sequence[Piece],
) -> Iterator[tuple[Piece, np.ndarray | None]]:
    """Yield pieces and their counts, a few of which wait at a time."""
    for start in range(0, len(pieces), _PIECES_AHEAD):
        some = pieces[start : start + _PIECES_AHEAD]
        yield from zip(some, pool.map(count, some), strict=True)


def _counts_of_piece(
    reader: ChunkReader, layout: RowLayout, piece: Piece, classes: int
) -> np.ndarray | None:
    """Return the counts of the rows of a piece; None where they are not those of its digest."""
    digest = RowsDigest(digest_algorithm(piece.digest))
    counts = np.zeros(classes, np.int64)
    for chunk in reader.chunks(piece.rows):
        digest.update(chunk)
        target = values_of_chunk(chunk, layout)["target"].reshape(-1)
        if target.size and not 0 <= int(target.min()) <= int(target.max()) < classes:
            return None
        part = np.bincount(target.astype(np.int64))
        counts[: len(part)] += part
    return counts if str(digest) == piece.digest else None
