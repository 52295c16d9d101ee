"""Which elements of a stream make a row: one element, or a window of several."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

#: What becomes of the elements at the end of a segment that do not fill a window: they are left
#: out, or a last window is shifted back until it fits.
Rest = Literal["drop", "shift"]


@dataclass(frozen=True, eq=False)
class Consecutive:
    """Row r is element r.

    Attributes:
        rows: number of rows.
    """

    rows: int

    @property
    def length(self) -> int:
        """The number of elements of a row."""
        return 1

    def starts(self, rows: np.ndarray) -> np.ndarray:
        """Return the first element of rows, int64 (rows,) each."""
        return rows

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the elements ``[first, last)`` that the rows ``[start, end)`` lie in."""
        return start, end

    def spans(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first elements and the ends of runs of rows, int64 (runs,) each."""
        return starts, ends


@dataclass(frozen=True, eq=False)
class Windows:
    """A row is ``length`` elements of a stream, and the next row begins ``stride`` elements later.

    Rows never cross the borders of segments (files, documents, episodes).

    Attributes:
        length: number of elements of a row.
        stride: number of elements from one row to the next in a segment.
        borders: int64 (segments + 1,), the first element of every segment, and the end of the last.
        rest: what becomes of the elements at the end of a segment that do not fill a window.
        known_first_rows: the first row of every segment, where it need not be computed; see
            ``first_rows``.
    """

    length: int
    stride: int
    borders: np.ndarray
    rest: Rest = "drop"
    known_first_rows: np.ndarray | None = None

    @cached_property
    def first_rows(self) -> np.ndarray:
        """The first row of every segment, and the number of all rows: int64 (segments + 1,)."""
        if self.known_first_rows is not None:
            return self.known_first_rows
        spare = np.diff(self.borders) - self.length
        counts = spare // self.stride + 1
        if self.rest == "shift":
            counts += spare % self.stride > 0
        counts[spare < 0] = 0
        first_rows = np.zeros(len(self.borders), np.int64)
        np.cumsum(counts, out=first_rows[1:])
        return first_rows

    @property
    def rows(self) -> int:
        """The number of all rows."""
        return int(self.first_rows[-1])

    def starts(self, rows: np.ndarray) -> np.ndarray:
        """Return the first element of rows.

        Args:
            rows: int64 (rows,), numbers of rows.

        Returns:
            int64 (rows,).
        """
        if len(self.borders) == 2:
            starts = rows * self.stride + self.borders[0]
            return np.minimum(starts, self.borders[1] - self.length)
        segment = np.searchsorted(self.first_rows, rows, side="right") - 1
        starts = self.borders[segment] + (rows - self.first_rows[segment]) * self.stride
        return np.minimum(starts, self.borders[segment + 1] - self.length)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the elements ``[first, last)`` that the rows ``[start, end)`` lie in."""
        if start >= end:
            return 0, 0
        first, last = self.starts(np.array([start, end - 1])).tolist()
        return first, last + self.length

    def spans(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the elements ``[first, last)`` that runs of rows lie in.

        Args:
            starts: int64 (runs,), the first row of each run.
            ends: int64 (runs,), the row after the last of each run; no run is empty.
        """
        return self.starts(starts), self.starts(ends - 1) + self.length


RowAddresses = Consecutive | Windows
