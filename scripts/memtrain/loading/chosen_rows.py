"""Checks which rows and which slots a loader is asked for."""

from collections.abc import Sequence

from memtrain.core.ranges import Range, self_overlaps
from memtrain.data.memmap_dataset import MemmapDataset


def ranges_in_file(
    dataset: MemmapDataset, ranges: Sequence[tuple[int, int]] | None
) -> tuple[Range, ...]:
    """Return ranges of a dataset's rows as ranges of the file's rows."""
    pieces = [Range(*pair) for pair in ([(0, len(dataset))] if ranges is None else ranges)]
    for piece in pieces:
        if not 0 <= piece.start <= piece.end <= len(dataset):
            raise ValueError(f"ranges: {piece} does not lie within the {len(dataset)} rows")
    for common in self_overlaps(pieces):
        raise ValueError(f"ranges: the rows {common} are in two of them")
    first = dataset.start_index
    return tuple(
        Range(first + piece.start, first + piece.end) for piece in pieces if piece.rows > 0
    )


def checked_slots(slots: range, all_slots: range) -> range:
    """Return slots of a window, if they are consecutive and exist."""
    if not (slots and slots.step == 1 and slots[0] >= 0 and slots[-1] < len(all_slots)):
        raise ValueError(
            f"slots: found {slots}, which do not lie within range(0, {len(all_slots)})"
        )
    return slots
