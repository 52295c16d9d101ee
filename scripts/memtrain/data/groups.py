"""``groups.npy``: where the groups of a data file start, such as the rows of each patient.

The file lies beside the data file, so that rows hold nothing that no model sees. ``source.json``
has its digest, and says by which column rows are grouped.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from memtrain.config.results import GROUPS_FILE
from memtrain.core.errors import UserError
from memtrain.core.group_borders import GroupBorders
from memtrain.data.record_file import create, map_rows, read_record_layout
from memtrain.data.source import Source

_DTYPE = np.dtype("<i8")


def write_group_starts(path: str | os.PathLike, starts: np.ndarray) -> None:
    """Write the first row of every group, int64 (groups,), ascending."""
    with create(path, _DTYPE, len(starts)) as writer:
        writer.write(0, starts.astype(_DTYPE))


def groups_beside(data: str | os.PathLike) -> Path:
    """Return where the groups of a data file lie, if it has any."""
    return Path(data).with_name(GROUPS_FILE)


def read_group_borders(data: str | os.PathLike, source: Source, rows: int) -> GroupBorders | None:
    """Return the borders between the groups of a data file; None where it has none.

    Args:
        data: the data file.
        source: where its rows came from.
        rows: number of its rows.

    Raises:
        UserError: if the rows have groups and their file is missing, or belongs to other rows.
    """
    column = source.group_column
    if column is None:
        return None
    path = groups_beside(data)
    layout = read_record_layout(path)
    starts = map_rows(path, layout) if layout.dtype == _DTYPE else np.zeros(0, _DTYPE)
    if not len(starts) or starts[0] != 0 or starts[-1] >= rows or (np.diff(starts) <= 0).any():
        raise UserError(
            f"{path}: these are not the groups of the data file. Remove the file, and run "
            "import_data again."
        )
    return GroupBorders(cast(Sequence[int], starts), rows, column)
