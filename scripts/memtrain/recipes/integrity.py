"""Compares rows on the disk with the digests that were taken when the rows were indexed."""

import os
import random
from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.shard_grid import ShardGrid
from memtrain.core.wording import listed
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout, describe_places, read_layout
from memtrain.data.row_chunks import ChunkReader
from memtrain.data.row_digests import chunks_have_digest
from memtrain.recipes.recipe import Piece
from memtrain.system.threaded_selection import select_in_threads

#: Most bytes that a sample reads, and most pieces that it consists of.
_SAMPLE_BYTES = 64 << 20
_SAMPLE_PIECES = 16

_THREADS = 2


class DigestedRows(Protocol):
    """Rows whose digest is known: a piece of a recipe, a shard of a manifest or of a record."""

    @property
    def rows(self) -> Range:
        """The rows."""
        ...

    @property
    def digest(self) -> str:
        """Digest of their bytes, with the name of its algorithm: "sha256:..."."""
        ...


DigestedRowsT = TypeVar("DigestedRowsT", bound=DigestedRows)


def corrupt_pieces(
    data: str | os.PathLike, pieces: Sequence[DigestedRowsT], *, refuse_unreadable: bool = True
) -> list[DigestedRowsT]:
    """Return the pieces whose bytes no longer have the recorded digest.

    Args:
        data: the record file.
        pieces: the pieces to compare. A piece that reaches past the end of the file is corrupt.
        refuse_unreadable: whether a file that is gone, or of another size than it was described, is
            an error; else its pieces are corrupt.

    Raises:
        UserError: where the file cannot be read.
    """
    layout = read_layout(data)
    with ChunkReader(data, layout) as reader:

        def is_corrupt(piece: DigestedRowsT) -> bool:
            if piece.rows.end > layout.rows:
                return True
            try:
                return not chunks_have_digest(reader.chunks(piece.rows), piece.digest)
            except UserError:
                if refuse_unreadable:
                    raise
                return True

        return select_in_threads(pieces, is_corrupt, _THREADS)


def check_pieces(
    data: str | os.PathLike,
    pieces: Sequence[Piece],
    how: Literal["none", "sample", "all"],
    grid: ShardGrid,
) -> int:
    """Refuse rows whose bytes differ from those that were indexed.

    A new sample is drawn every time, so one run may find damage that another run missed.

    Args:
        data: the record file.
        pieces: pieces of the recipe that is about to be used.
        how: whether none of the pieces, a sample or all of them are compared.
        grid: where rows are cut into shards, which gives shards their numbers.

    Returns:
        The number of pieces that were compared.

    Raises:
        UserError: naming every shard that differs, with its rows.
    """
    chosen = {"none": list, "sample": lambda: _sample(data, pieces), "all": lambda: pieces}
    compared = chosen[how]()
    corrupt = corrupt_pieces(data, compared)
    if corrupt:
        raise corrupt_rows_error(data, corrupt, grid)
    return len(compared)


def corrupt_rows_error(
    data: str | os.PathLike, corrupt: Sequence[Piece], grid: ShardGrid
) -> UserError:
    """Return the error that names corrupt pieces.

    Args:
        data: the record file.
        corrupt: the pieces, at least one.
        grid: where rows are cut into shards, which gives shards their numbers.
    """
    layout = read_layout(data)
    shards = [
        f"{grid.shard_at(piece.start)} (rows {piece.rows}{_places(layout, piece.rows)})"
        for piece in corrupt
    ]
    return UserError(
        f"{data}: the bytes of shard{'s' if len(shards) > 1 else ''} {listed(shards)} are not "
        "those that were indexed, although the file may look untouched. Restore the file; or, "
        "if the rows were meant to change, run index_shards again (touch the file)."
    )


def _places(layout: RowLayout, rows: Range) -> str:
    """Return where rows lie in many files, as the end of a text; nothing for a record file."""
    is_there = isinstance(layout, FilesLayout) and rows.end <= layout.rows
    return f": {describe_places(layout, rows)}" if is_there else ""


def _sample(data: str | os.PathLike, pieces: Sequence[Piece]) -> list[Piece]:
    """Return random pieces: at least one, and otherwise no more bytes than a sample may read."""
    row_bytes = max(1, read_layout(data).row_bytes)
    left_bytes = _SAMPLE_BYTES
    chosen: list[Piece] = []
    for piece in random.sample(list(pieces), min(_SAMPLE_PIECES, len(pieces))):
        left_bytes -= piece.rows.rows * row_bytes
        if chosen and left_bytes < 0:
            break
        chosen.append(piece)
    return chosen
