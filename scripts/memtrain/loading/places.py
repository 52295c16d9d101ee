"""Where the rows of a buffer lie in memory, in elements of their field."""

import numpy as np

from memtrain.data.streams.row_addresses import Consecutive
from memtrain.data.streams.stored_field import StoredField
from memtrain.loading.row_order import BufferOrder


def read_places(field: StoredField, shifts: np.ndarray, order: BufferOrder) -> np.ndarray:
    """Return the places of rows whose runs of elements were read into memory.

    Args:
        field: the field.
        shifts: int64 (runs,), where the first element of each run lies in memory, less its number
            in the stream.
        order: the runs of rows, and the order in which the rows are used.

    Returns:
        int64 (rows,), the first element of every row, in the order in which they are used.
    """
    runs = order.runs
    if isinstance(field.addresses, Consecutive):
        return order.places(runs.starts + shifts)
    starts = field.addresses.starts(runs.rows()) + np.repeat(shifts, runs.lengths)
    return starts if order.permutation is None else starts[order.permutation]


def mapped_places(field: StoredField, part_places: np.ndarray, order: BufferOrder) -> np.ndarray:
    """Return the places of rows in the mapped files.

    Args:
        field: the field.
        part_places: int64 (parts,), where element 0 of the stream would lie, were it in each part.
        order: the runs of rows, and the order in which the rows are used.

    Returns:
        int64 (rows,), the first element of every row, in the order in which they are used.
    """
    runs = order.runs
    if len(part_places) == 1:
        if part_places[0] == 0 and isinstance(field.addresses, Consecutive):
            return order.own_places
        return read_places(field, np.full(len(runs.starts), part_places[0]), order)
    starts = runs.rows()
    if not isinstance(field.addresses, Consecutive):
        starts = field.addresses.starts(starts)
    firsts = field.stream.firsts
    first, last = (
        np.searchsorted(firsts, at, side="right") - 1 for at in _ends_of_runs(starts, runs.lengths)
    )
    starts += np.repeat(part_places[first], runs.lengths)
    # Few runs of rows lie in more than one file.
    ends = np.cumsum(runs.lengths)
    for run in np.flatnonzero(first != last):
        rows = slice(int(ends[run] - runs.lengths[run]), int(ends[run]))
        elements = starts[rows] - part_places[first[run]]
        parts = np.searchsorted(firsts, elements, side="right") - 1
        starts[rows] = elements + part_places[parts]
    return starts if order.permutation is None else starts[order.permutation]


def _ends_of_runs(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last of the elements of each run of rows, int64 (runs,) each."""
    ends = np.cumsum(lengths)
    return starts[ends - lengths], starts[ends - 1]
