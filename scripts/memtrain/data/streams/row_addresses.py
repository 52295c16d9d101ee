"""Which elements of a stream make a row: one element, a window of several, or any number."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from memtrain.data.streams.row_offsets import OffsetsFile, check_offsets

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

    def ends(self, rows: np.ndarray) -> np.ndarray:
        """Return the element after the last of rows, int64 (rows,) each."""
        return rows + 1

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

    def ends(self, rows: np.ndarray) -> np.ndarray:
        """Return the element after the last of rows, int64 (rows,) each."""
        return self.starts(rows) + self.length

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
        return self.starts(starts), self.ends(ends - 1)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Row r is the elements ``[offsets[r], offsets[r + 1])``; rows vary in length.

    Attributes:
        source: the file of the offsets, or offsets in memory: int64 (rows + 1,).
        rows: number of rows.
        longest: number of elements of the longest row.
        elements: number of elements of all rows.
        are_documents: whether rows are documents; else they are pieces of documents.
    """

    source: OffsetsFile | np.ndarray
    rows: int
    longest: int
    elements: int
    are_documents: bool = True

    @classmethod
    def described(cls, source: OffsetsFile | np.ndarray, stream_elements: int) -> "Ragged":
        """Look at all offsets, and return the rows that they stand for.

        Args:
            source: the file of the offsets, or offsets in memory.
            stream_elements: number of elements of the stream.

        Raises:
            UserError: naming file and row, where offsets descend or do not lie in the stream.
        """
        if isinstance(source, OffsetsFile):
            offsets, name = source.load(), source.path
        else:
            offsets, name = source, "offsets"
        longest = check_offsets(offsets, stream_elements, name)
        elements = int(offsets[-1]) - int(offsets[0])
        return cls(source, len(offsets) - 1, longest, elements)

    def __getstate__(self) -> dict:
        # A copy in another process maps the file itself.
        return {name: value for name, value in self.__dict__.items() if name != "offsets"}

    @cached_property
    def offsets(self) -> np.ndarray:
        """The first element of every row, and the end of the last: (rows + 1,) integers."""
        return self.source.load() if isinstance(self.source, OffsetsFile) else self.source

    def starts(self, rows: np.ndarray) -> np.ndarray:
        """Return the first element of rows, int64 (rows,) each."""
        return self.offsets[rows].astype(np.int64)

    def ends(self, rows: np.ndarray) -> np.ndarray:
        """Return the element after the last of rows, int64 (rows,) each."""
        return self.offsets[rows + 1].astype(np.int64)

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of elements of rows, int64 (rows,) each."""
        return self.ends(rows) - self.starts(rows)

    def spans(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first elements and the ends of runs of rows, int64 (runs,) each."""
        return self.starts(starts), self.ends(ends - 1)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the elements ``[first, last)`` that the rows ``[start, end)`` lie in."""
        return int(self.offsets[start]), int(self.offsets[end])


RowAddresses = Consecutive | Windows | Ragged
