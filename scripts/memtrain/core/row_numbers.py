"""Numbers of rows in arrays; apart from ``ranges``, which programs import that need no NumPy."""

import numpy as np

from memtrain.core.ranges import Range


def ranges_of_rows(rows: np.ndarray) -> list[Range]:
    """Return the numbers of rows, sorted integers (rows,), as ranges."""
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) > 1)
    starts = rows[np.r_[0, breaks + 1]].tolist()
    ends = (rows[np.r_[breaks, len(rows) - 1]] + 1).tolist()
    return [Range(start, end) for start, end in zip(starts, ends, strict=True)]
