"""``borders.npy``: where the documents of streams begin, for windows that cross none of them.

The file lies beside the description of the rows, ``rows.json``. It is mapped, not read, so that
streams of a billion documents need no memory. Where windows may not cross files alone, the
description itself says where these begin, and there is no such file.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memtrain.config.results import BORDERS_FILE
from memtrain.core.errors import UserError
from memtrain.data.record_file import create, map_rows, read_record_layout
from memtrain.data.streams.row_addresses import Windows

_DTYPE = np.dtype("<i8")


@dataclass(frozen=True)
class BordersInFile:
    """Where the borders of one stream lie in ``borders.npy``.

    Attributes:
        start: place of the first border in the file. The first rows of the segments follow the
            borders.
        count: number of borders, one more than there are segments.
    """

    start: int
    count: int


def places_of_borders(windows: Sequence[Windows]) -> list[BordersInFile]:
    """Return where the borders of streams lie in the file: one stream after the other."""
    counts = [len(one.borders) for one in windows]
    starts = [2 * sum(counts[:number]) for number in range(len(counts))]
    return [BordersInFile(start, count) for start, count in zip(starts, counts, strict=True)]


def write_borders(folder: str | os.PathLike, windows: Sequence[Windows]) -> None:
    """Write the borders of streams.

    Args:
        folder: the folder of the description.
        windows: the windows of each stream.
    """
    places = places_of_borders(windows)
    values = sum(2 * place.count for place in places)
    with create(Path(folder, BORDERS_FILE), _DTYPE, values) as writer:
        for one, place in zip(windows, places, strict=True):
            writer.write(place.start, one.borders.astype(_DTYPE))
            writer.write(place.start + place.count, one.first_rows.astype(_DTYPE))


def map_borders(folder: str | os.PathLike, place: BordersInFile) -> tuple[np.ndarray, np.ndarray]:
    """Map the borders of a stream.

    Args:
        folder: the folder of the description.
        place: where they lie in the file.

    Returns:
        The first element of every segment and the end of the last; and the first row of every
        segment and the number of all rows: int64 (segments + 1,) each.

    Raises:
        UserError: where the file is missing, or too short.
    """
    path = Path(folder, BORDERS_FILE)
    layout = read_record_layout(path)
    end = place.start + 2 * place.count
    if layout.dtype != _DTYPE or layout.rows < end:
        raise UserError(f"{path}: it holds no {end:,} borders. Run describe_files again.")
    values = map_rows(path, layout)
    middle = place.start + place.count
    return values[place.start : middle], values[middle:end]
