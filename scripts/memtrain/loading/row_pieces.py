"""Where the rows of runs lie among the elements of a stored field.

A run of rows is cut into **pieces**, each within one part of a file or one segment of windows, so
that its rows lie at even distances. Neighbouring pieces of a run are read together, as one **load**
of consecutive elements.
"""

from dataclasses import dataclass

import numpy as np

from memtrain.data.streams.row_addresses import Consecutive, Ragged
from memtrain.data.streams.stored_field import StoredField
from memtrain.loading.blocks import Runs

#: Most bytes between two pieces that are read together: reading a page costs less than a read.
MOST_GAP_BYTES = 4096


@dataclass(frozen=True, eq=False)
class RowPieces:
    """Pieces of runs of rows, in the order of the runs, and the loads that they are read by.

    Attributes:
        counts: int64 (pieces,), number of rows of each piece.
        firsts: int64 (pieces,), first element of the first row.
        ends: int64 (pieces,), the element after the last one of the last row.
        stride: number of elements from one row to the next.
        length: number of elements of a row.
        loads: int64 (pieces,), the number of the load that each piece is read by.
        load_starts: int64 (loads,), first element of each load.
        load_ends: int64 (loads,), the element after its last.
        parts: int64 (pieces,), the part of the stream that each piece begins in.
    """

    counts: np.ndarray
    firsts: np.ndarray
    ends: np.ndarray
    stride: int
    length: int
    loads: np.ndarray
    load_starts: np.ndarray
    load_ends: np.ndarray
    parts: np.ndarray

    def places(self, first_places: np.ndarray) -> np.ndarray:
        """Return where the first element of every row lies.

        Args:
            first_places: int64 (pieces,), where the first element of each piece lies.

        Returns:
            int64 (rows,), run after run.
        """
        before = np.cumsum(self.counts) - self.counts
        places = np.repeat(first_places - before * self.stride, self.counts)
        places += np.arange(0, len(places) * self.stride, self.stride)
        spans = self.ends - self.firsts - self.length
        if self.stride > 1 and (spans != (self.counts - 1) * self.stride).any():
            # The last window of a segment was shifted back until it fits.
            np.minimum(places, np.repeat(first_places + spans, self.counts), out=places)
        return places

    def mapped_places(self, part_places: np.ndarray) -> np.ndarray:
        """Return where every row lies in mapped files.

        Args:
            part_places: int64 (parts,), where element 0 of the stream would lie, were it in each
                part.

        Returns:
            int64 (rows,).
        """
        return self.places(self.firsts + part_places[self.parts])

    def places_in_loads(self, load_places: np.ndarray) -> np.ndarray:
        """Return where every row lies if loads begin at given places.

        Args:
            load_places: int64 (loads,), the place of the first element of each load.

        Returns:
            int64 (rows,).
        """
        shifts = load_places - self.load_starts
        return self.places(self.firsts + shifts[self.loads])


@dataclass(frozen=True, eq=False)
class RaggedRuns:
    """Runs of rows that vary in length and lie one after the other; each run is a load.

    Attributes:
        counts: int64 (runs,), number of rows of each run.
        starts: int64 (rows,), first element of each row.
        lengths: int64 (rows,), number of elements of each row.
        load_starts: int64 (runs,), first element of each run.
        load_ends: int64 (runs,), the element after its last.
        part_firsts: int64 (parts + 1,), first element of each part of the stream.
    """

    counts: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    load_starts: np.ndarray
    load_ends: np.ndarray
    part_firsts: np.ndarray

    def mapped_places(self, part_places: np.ndarray) -> np.ndarray:
        """Return where every row lies in mapped files; see ``RowPieces.mapped_places``."""
        if len(part_places) == 1:
            return self.starts + part_places[0]
        # Rows without elements may lie at the end of the last part.
        part = np.searchsorted(self.part_firsts[1:-1], self.starts, side="right")
        return self.starts + part_places[part]

    def places_in_loads(self, load_places: np.ndarray) -> np.ndarray:
        """Return where every row lies if loads begin at given places, int64 (rows,)."""
        return self.starts + np.repeat(load_places - self.load_starts, self.counts)


def cut_rows(field: StoredField, runs: Runs) -> RowPieces | RaggedRuns:
    """Return where the rows of runs lie among the elements of a stored field."""
    addresses, stream = field.addresses, field.stream
    if isinstance(addresses, Ragged):
        rows = runs.rows()
        starts = addresses.starts(rows)
        return RaggedRuns(
            counts=runs.lengths,
            starts=starts,
            lengths=addresses.ends(rows) - starts,
            load_starts=addresses.starts(runs.starts),
            load_ends=addresses.starts(runs.ends),
            part_firsts=stream.firsts,
        )
    if isinstance(addresses, Consecutive):
        cuts, stride = stream.firsts, 1
    else:
        cuts, stride = addresses.first_rows, addresses.stride
    run, starts, ends = _cut(runs, cuts)
    firsts = addresses.starts(starts)
    last_elements = addresses.starts(ends - 1) + addresses.length
    begins = np.ones(len(starts), bool)
    part = np.searchsorted(stream.firsts, firsts, side="right") - 1
    if len(starts) > len(runs.starts):
        gap = min(addresses.length, MOST_GAP_BYTES // max(1, stream.element_bytes))
        begins[1:] = (
            (run[1:] != run[:-1])
            | (part[1:] != part[:-1])
            | (firsts[1:] > last_elements[:-1] + gap)
        )
    is_last = np.ones(len(starts), bool)
    is_last[:-1] = begins[1:]
    return RowPieces(
        counts=ends - starts,
        firsts=firsts,
        ends=last_elements,
        stride=stride,
        length=addresses.length,
        loads=np.cumsum(begins) - 1,
        load_starts=firsts[begins],
        load_ends=last_elements[is_last],
        parts=part,
    )


def _cut(runs: Runs, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut runs of rows at given rows.

    Args:
        runs: the runs.
        cuts: int64 (cuts,), ascending; the first is 0, and the last the number of all rows.

    Returns:
        The number of the run of each piece, its first row, and the row after its last.
    """
    first = np.searchsorted(cuts, runs.starts, side="right") - 1
    last = np.searchsorted(cuts, runs.ends, side="left") - 1
    counts = last - first + 1
    run = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    segment = first[run] + within
    starts = np.maximum(runs.starts[run], cuts[segment])
    ends = np.minimum(runs.ends[run], cuts[segment + 1])
    is_there = ends > starts
    return run[is_there], starts[is_there], ends[is_there]
