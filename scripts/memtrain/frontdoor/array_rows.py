"""What stands in the target and in the features of rows in files, by a sample of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.files_layout import FilesLayout
from memtrain.data.streams.stored_rows import StoredRows

#: Most rows that are looked at, the runs that they lie in, and the most bytes of them.
_MOST_ROWS = 1 << 16
_RUNS = 64
_MOST_BYTES = 1 << 26

#: Parts of the file whose targets are compared.
_PARTS = 10

#: How far a part may lie from all rows: the distance of its mean in standard deviations, or the
#: share of its rows that would have to change class.
_MOST_DRIFT = 0.5
_MOST_MOVED = 0.25


@dataclass(frozen=True)
class ArrayFacts:
    """What a sample of the rows says.

    Attributes:
        rows: rows of the files.
        looked_at: rows that were looked at.
        target_values: number of different targets among them.
        least_target: the smallest number among them.
        has_missing: whether a feature is missing (NaN) in one of them.
        drifts: whether the target differs along the file, as where rows are sorted by it.
    """

    rows: int
    looked_at: int
    target_values: int
    least_target: float
    has_missing: bool
    drifts: bool


def facts_of_rows(layout: FilesLayout, is_class: bool) -> ArrayFacts:
    """Return what a sample of the rows says, which lies evenly in the files.

    Args:
        layout: where the rows lie; their fields are called features... and target.
        is_class: whether the target seems to be a class: whole numbers or booleans.

    Raises:
        UserError: where the target has missing or infinite values, or a single one.
    """
    rows = sampled_rows(layout.rows, sum(dtype.itemsize for dtype in layout.fields.values()))
    target = values_of_rows(layout, "target", rows).reshape(len(rows), -1)
    _check_target(target)
    return ArrayFacts(
        rows=layout.rows,
        looked_at=len(rows),
        target_values=len(np.unique(target, axis=0)),
        least_target=float(target.min()),
        has_missing=any(
            bool(np.isnan(values_of_rows(layout, name, rows)).any())
            for name, dtype in layout.fields.items()
            if name != "target" and dtype.base.kind not in "iub"
        ),
        drifts=_classes_drift(target) if is_class else _numbers_drift(target),
    )


def sampled_rows(rows: int, row_bytes: int) -> np.ndarray:
    """Return rows to look at: int64 (n,), rising, in runs that lie evenly in all rows."""
    most = min(_MOST_ROWS, max(_RUNS, _MOST_BYTES // max(1, row_bytes)))
    if rows <= most:
        return np.arange(rows)
    length = most // _RUNS
    starts = np.linspace(0, rows - length, _RUNS).astype(np.int64)
    return (starts[:, None] + np.arange(length)).reshape(-1)


def values_of_rows(layout: FilesLayout, name: str, rows: np.ndarray) -> np.ndarray:
    """Return values of a field: (rows, ...), in float64 where they are numbers with fractions."""
    view = layout.views[name]
    (field,) = (one for one in layout.stored if one.name == view.stored)
    stored = StoredRows(field)
    try:
        values = view.of(stored.gather(rows))
    finally:
        stored.close()
    return values if values.dtype.kind in "iub" else values.astype(np.float64)


def _check_target(target: np.ndarray) -> None:
    if target.dtype.kind == "f" and not np.isfinite(target).all():
        raise UserError(
            "--target: it has missing or infinite values, and rows in files are read as they are. "
            "Leave these rows out of the files, or add --no-in-place: an import drops rows without "
            "a target."
        )
    if (target == target[0]).all():
        raise UserError(
            "--target: it has the same value in every row that was looked at, so that there is "
            "nothing to learn. Choose another one."
        )


def _parts(target: np.ndarray) -> Sequence[np.ndarray]:
    return [part for part in np.array_split(target, _PARTS) if len(part)]


def _numbers_drift(target: np.ndarray) -> bool:
    means = np.array([part.mean(0) for part in _parts(target.astype(np.float64))])
    spread = target.std(0)
    far = np.abs(means - target.mean(0)) > _MOST_DRIFT * spread
    return bool(far[:, spread > 0].any())


def _classes_drift(target: np.ndarray) -> bool:
    classes, codes = np.unique(target, axis=0, return_inverse=True)
    shares = np.bincount(codes.reshape(-1), minlength=len(classes)) / len(target)
    for part in _parts(codes.reshape(-1)):
        here = np.bincount(part, minlength=len(classes)) / len(part)
        # Few rows of many classes differ by chance.
        by_chance = np.sqrt(shares * (1 - shares) / len(part)).sum() / 2
        if np.abs(here - shares).sum() / 2 > _MOST_MOVED + by_chance:
            return True
    return False
