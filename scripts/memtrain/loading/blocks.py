"""Blocks of consecutive rows: their size, and the runs of rows at given positions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from memtrain.core.ranges import Range
from memtrain.loading.pages import PAGE_BYTES


def rows_per_block(block_bytes: int, row_bytes: int) -> int:
    """Return how many rows make a block of about ``block_bytes``.

    If so many rows can fill whole pages, a block consists of whole pages, so that no page belongs
    to two blocks. Otherwise a block holds as many rows as fit, and at least one.
    """
    rows = max(1, block_bytes // max(1, row_bytes))
    return rows - rows % rows_per_whole_pages(row_bytes, rows)


def rows_per_whole_pages(row_bytes: int, limit: int) -> int:
    """Return the fewest rows that fill pages to the end; 1 if that takes more than ``limit``."""
    rows = PAGE_BYTES // int(np.gcd(PAGE_BYTES, max(1, row_bytes)))
    return rows if rows <= limit else 1


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of consecutive rows ``[start, end)``.

    Attributes:
        starts: int64 (runs,), the first row of each run.
        ends: int64 (runs,), the row after the last of each run.
    """

    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def joined(cls, parts: Iterable["Runs"]) -> "Runs":
        """Return the runs of all parts, one part after the other."""
        parts = list(parts)
        none = np.empty(0, np.int64)
        return cls(
            np.concatenate([none, *(part.starts for part in parts)]),
            np.concatenate([none, *(part.ends for part in parts)]),
        )

    @property
    def lengths(self) -> np.ndarray:
        """The rows of each run, int64 (runs,)."""
        return self.ends - self.starts

    def rows(self) -> np.ndarray:
        """Return all rows, run after run, int64 (rows,)."""
        return self.places(self.starts)

    def places(self, first_places: np.ndarray) -> np.ndarray:
        """Return where every row lies if the rows of a run lie one after the other.

        Args:
            first_places: int64 (runs,), where the first row of each run lies.

        Returns:
            int64 (rows,), run after run.
        """
        lengths = self.lengths
        # Row i of all rows, in run r, lies at first_places[r] + i - (rows of the runs before r).
        rows_before = np.concatenate([[0], np.cumsum(lengths[:-1])])
        places = np.repeat(first_places - rows_before, lengths)
        places += np.arange(len(places))
        return places

    def equals(self, other: "Runs") -> bool:
        """Return whether these are the same runs in the same order."""
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.ends, other.ends)


class Blocks:
    """The blocks of an epoch, laid one after the other.

    Block b holds the rows from ``first_rows[b]`` on, which take the positions
    ``[first_positions[b], first_positions[b + 1])``. Block borders are multiples of
    ``rows_per_block`` in the file, whatever the ranges, so a block never spans two ranges and may
    be short.

    Args:
        ranges: the rows of an epoch.
        rows_per_block: the rows of a whole block.
        permute: function that takes the number of blocks and returns a permutation of them, int64
            (blocks,); None leaves the blocks in the order of the ranges.

    Attributes:
        first_rows: int64 (blocks,), the first row of each block.
        first_positions: int64 (blocks + 1,), the position of the first row of each block; the last
            entry is the number of all rows.
    """

    def __init__(
        self,
        ranges: Sequence[Range],
        rows_per_block: int,
        permute: Callable[[int], np.ndarray] | None = None,
    ):
        self.first_rows, lengths = _cut_at_borders(ranges, rows_per_block)
        if permute is not None:
            permutation = permute(len(lengths))
            self.first_rows = self.first_rows[permutation]
            lengths = lengths[permutation]
        self.first_positions = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=self.first_positions[1:])

    def runs(self, start: int, end: int) -> Runs:
        """Return the runs of rows at the positions ``[start, end)``, each within one block.

        Two binary searches find the blocks, so the cost hardly depends on the place in the epoch.
        """
        if start >= end:
            return Runs.joined([])
        firsts = self.first_positions
        first = np.searchsorted(firsts, start, side="right") - 1
        last = np.searchsorted(firsts, end, side="left")
        starts = self.first_rows[first:last].copy()
        ends = starts + np.diff(firsts[first : last + 1])
        # The first and the last block may reach beyond the positions.
        ends[-1] -= firsts[last] - end
        starts[0] += start - firsts[first]
        return Runs(starts, ends)


def _cut_at_borders(ranges: Sequence[Range], rows_per_block: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut ranges at the borders of blocks; return first rows and lengths, (blocks,) each."""
    # Lengths take half the memory where 32 bits hold them: a large file has many blocks.
    length_dtype = np.dtype(np.int64 if rows_per_block >> 31 else np.int32)
    starts: list[np.ndarray] = [np.empty(0, np.int64)]
    lengths: list[np.ndarray] = [np.empty(0, np.int32)]
    for piece in ranges:
        first_border = piece.start // rows_per_block * rows_per_block
        blocks = -(-(piece.end - first_border) // rows_per_block)
        borders = first_border + rows_per_block * np.arange(blocks + 1)
        borders[0] = piece.start
        borders[-1] = piece.end
        starts.append(borders[:-1])
        lengths.append(np.diff(borders).astype(length_dtype))
    return np.concatenate(starts), np.concatenate(lengths)
