"""``borders.npy``: where the documents of streams begin, for rows that cross none of them.

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
from memtrain.data.streams.row_addresses import Ragged, Windows

_DTYPE = np.dtype("<i8")


@dataclass(frozen=True)
class BordersInFile:
    """Where the borders of one stream lie in ``borders.npy``.

    Attributes:
        start: place of the first border in the file. Of windows, the first rows of the segments
            follow the borders.
        count: number of borders, one more than there are segments.
    """

    start: int
    count: int


def places_of_borders(cuts: Sequence[Windows | Ragged]) -> list[BordersInFile]:
    """Return where the borders of streams lie in the file: one stream after the other."""
    places: list[BordersInFile] = []
    start = 0
    for one in cuts:
        tables = _tables(one)
        places.append(BordersInFile(start, len(tables[0])))
        start += sum(map(len, tables))
    return places


def write_borders(folder: str | os.PathLike, cuts: Sequence[Windows | Ragged]) -> None:
    """Write the borders of streams.

    Args:
        folder: the folder of the description.
        cuts: how each stream is cut into rows.
    """
    tables = [table for one in cuts for table in _tables(one)]
    with create(Path(folder, BORDERS_FILE), _DTYPE, sum(map(len, tables))) as writer:
        start = 0
        for table in tables:
            writer.write(start, table.astype(_DTYPE))
            start += len(table)


def map_windows(folder: str | os.PathLike, place: BordersInFile) -> tuple[np.ndarray, np.ndarray]:
    """Map the borders of windows.

    Args:
        folder: the folder of the description.
        place: where they lie in the file.

    Returns:
        The first element of every segment and the end of the last; and the first row of every
        segment and the number of all rows: int64 (segments + 1,) each.

    Raises:
        UserError: where the file is missing, or too short.
    """
    values = _mapped(folder, place.start, 2 * place.count)
    return values[: place.count], values[place.count :]


def map_offsets(folder: str | os.PathLike, place: BordersInFile) -> np.ndarray:
    """Map the offsets of rows that vary in length, int64 (rows + 1,).

    Args:
        folder: the folder of the description.
        place: where they lie in the file.

    Raises:
        UserError: where the file is missing, or too short.
    """
    return _mapped(folder, place.start, place.count)


def _tables(cut: Windows | Ragged) -> list[np.ndarray]:
    return [cut.borders, cut.first_rows] if isinstance(cut, Windows) else [cut.offsets]


def _mapped(folder: str | os.PathLike, start: int, count: int) -> np.ndarray:
    path = Path(folder, BORDERS_FILE)
    layout = read_record_layout(path)
    if layout.dtype != _DTYPE or layout.rows < start + count:
        raise UserError(f"{path}: it holds no {start + count:,} borders. Run describe_files again.")
    return map_rows(path, layout)[start : start + count]
