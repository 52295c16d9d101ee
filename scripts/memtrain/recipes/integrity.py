"""Compares rows on the disk with the digests that a recipe has of them."""

import os
import random
from collections.abc import Sequence
from typing import Literal

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.wording import listed
from memtrain.data.record_file import read_layout
from memtrain.data.shard_summaries import chunks_of, digest_chunks
from memtrain.recipes.recipe import Piece
from memtrain.system.digests import algorithm_of
from memtrain.system.threaded_selection import selected

#: What a sample reads at most, and how many pieces it is at most.
_SAMPLE_BYTES = 64 << 20
_SAMPLE_PIECES = 16

_THREADS = 2


def corrupt_pieces(data: str | os.PathLike, pieces: Sequence[Piece]) -> list[Piece]:
    """Return those pieces whose bytes are not what their digests say.

    Args:
        data: the record file.
        pieces: of a recipe.

    Raises:
        UserError: where the file cannot be read, or ends before the last row.
    """
    layout = read_layout(data)
    with open(data, "rb", buffering=0) as file:

        def is_corrupt(piece: Piece) -> bool:
            if piece.end > layout.rows:
                return True
            chunks = chunks_of(file, layout, Range(piece.start, piece.end))
            return digest_chunks(chunks, algorithm_of(piece.digest)) != piece.digest

        return selected(pieces, is_corrupt, _THREADS)


def check_pieces(
    data: str | os.PathLike,
    pieces: Sequence[Piece],
    how: Literal["none", "sample", "all"],
    rows_per_shard: int,
) -> int:
    """Refuse rows that are not those that were indexed.

    A sample is drawn anew every time: what one run does not find, another may.

    Args:
        data: the record file.
        pieces: of the recipe that is about to be used.
        how: none, a sample, or all of them.
        rows_per_shard: of the manifest, to name shards by their numbers.

    Returns:
        How many pieces were compared.

    Raises:
        UserError: naming every shard that differs, with its rows.
    """
    chosen = {"none": list, "sample": lambda: _sample(data, pieces), "all": lambda: pieces}
    compared = chosen[how]()
    corrupt = corrupt_pieces(data, compared)
    if corrupt:
        raise corrupt_rows(data, corrupt, rows_per_shard)
    return len(compared)


def corrupt_rows(
    data: str | os.PathLike, corrupt: Sequence[Piece], rows_per_shard: int
) -> UserError:
    """Return the error of pieces whose bytes are not what their digests say.

    Args:
        data: the record file.
        corrupt: the pieces.
        rows_per_shard: of the manifest, to name shards by their numbers.
    """
    shards = [
        f"{piece.start // rows_per_shard} (rows {Range(piece.start, piece.end)})"
        for piece in corrupt
    ]
    return UserError(
        f"{data}: the bytes of shard{'s' if len(shards) > 1 else ''} {listed(shards)} are not "
        "those that were indexed, although the file may look untouched. Restore the file; or, "
        "if the rows were meant to change, run index_shards again (touch the file)."
    )


def _sample(data: str | os.PathLike, pieces: Sequence[Piece]) -> list[Piece]:
    row_bytes, budget = max(1, read_layout(data).row_bytes), _SAMPLE_BYTES
    chosen: list[Piece] = []
    for piece in random.sample(list(pieces), min(_SAMPLE_PIECES, len(pieces))):
        budget -= (piece.end - piece.start) * row_bytes
        if chosen and budget < 0:
            break
        chosen.append(piece)
    return chosen
