"""Counts of the rows of ``predictions.npy``, for figures: read in pieces, kept in flat memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memtrain.data.record_file import map_rows, read_layout

_CHUNK_BYTES = 8 << 20

#: Rows that are looked at to find where most of the values lie.
_ROWS_SAMPLED = 100_000

#: The share of the rows that may lie outside of a figure, at either end.
_TAIL = 0.0005

#: Classes beyond so many share their cells with neighbours.
_MOST_CELLS = 100


class Predictions:
    """The finite rows of a predictions file.

    Args:
        path: of the file, from evaluate.
    """

    def __init__(self, path: str | os.PathLike):
        layout = read_layout(path)
        self._rows = map_rows(path, layout)
        self._chunk_rows = max(1, _CHUNK_BYTES // layout.row_bytes)

    def __len__(self) -> int:
        return len(self._rows)

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield target (rows, targets) and prediction (rows, width) of all rows, in order."""
        for start in range(0, len(self._rows), self._chunk_rows):
            yield _finite(self._rows[start : start + self._chunk_rows])

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the same of rows at equal distances, so many that quantiles are near the truth."""
        return _finite(self._rows[:: -(-len(self._rows) // _ROWS_SAMPLED)])


def _finite(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kept = np.isfinite(rows["prediction"]).all(axis=1)
    return rows["target"][kept], rows["prediction"][kept]


@dataclass
class Grid:
    """How many rows fall into every cell of a plane.

    Attributes:
        x: (low, high), the limits.
        y: likewise.
        counts: int64 (cells along x, cells along y).
        rows: how many rows were counted, outside of the limits too.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    counts: np.ndarray
    rows: int = 0

    @classmethod
    def of(cls, x: tuple[float, float], y: tuple[float, float], cells: int) -> "Grid":
        """Return an empty grid."""
        return cls(x, y, np.zeros((cells, cells), np.int64))

    @property
    def outside(self) -> int:
        """How many rows lie outside of the limits."""
        return self.rows - int(self.counts.sum())

    def centres(self, limits: tuple[float, float]) -> np.ndarray:
        """Return the middle of every cell between the limits of x, or of y."""
        edges = np.linspace(*limits, len(self.counts) + 1)
        return (edges[:-1] + edges[1:]) / 2

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Count rows, with their coordinates (rows,)."""
        cells = len(self.counts)
        column, row = _cell(x, self.x, cells), _cell(y, self.y, cells)
        inside = (column >= 0) & (column < cells) & (row >= 0) & (row < cells)
        flat = column[inside] * cells + row[inside]
        self.counts += np.bincount(flat, minlength=cells * cells).reshape(cells, cells)
        self.rows += len(x)


def _cell(values: np.ndarray, limits: tuple[float, float], cells: int) -> np.ndarray:
    low, high = limits
    place = (values.astype(np.float64) - low) / (high - low) * cells
    # The upper limit belongs to the last cell; far outliers must not overflow an integer.
    place = np.where(values == high, cells - 1, np.clip(place, -1, cells))
    return np.floor(place).astype(np.int64)


@dataclass(frozen=True)
class TargetCounts:
    """Rows of one target of a regression.

    Attributes:
        against_true: predicted (y) against true (x), with the same limits.
        residuals: true minus predicted (y), against predicted (x).
    """

    against_true: Grid
    residuals: Grid


def count_regression(predictions: Predictions, targets: int) -> list[TargetCounts] | None:
    """Return the counts of the first targets; None where no prediction is finite."""
    target, predicted = predictions.sample()
    if not len(target):
        return None
    cells = int(np.clip(len(predictions) ** 0.5 / 2, 24, 120))
    counts = []
    for column in range(targets):
        true, said = target[:, column].astype(np.float64), predicted[:, column].astype(np.float64)
        both, of_predicted = _limits(true, said), _limits(said)
        counts.append(
            TargetCounts(
                against_true=Grid.of(both, both, cells),
                residuals=Grid.of(of_predicted, _around_zero(true - said), cells),
            )
        )
    for target, predicted in predictions.chunks():
        for column, part in enumerate(counts):
            true, said = target[:, column], predicted[:, column]
            part.against_true.add(true, said)
            part.residuals.add(said, true.astype(np.float64) - said)
    return counts


def _limits(*values: np.ndarray) -> tuple[float, float]:
    """Return limits that hold nearly all of the values, and some space around them."""
    low = min(float(np.quantile(part, _TAIL, method="lower")) for part in values)
    high = max(float(np.quantile(part, 1 - _TAIL, method="higher")) for part in values)
    space = (high - low) * 0.04 or abs(high) * 0.04 or 1.0
    return low - space, high + space


def _around_zero(values: np.ndarray) -> tuple[float, float]:
    high = max(map(abs, _limits(values)))
    return -high, high


@dataclass(frozen=True)
class ClassCounts:
    """Rows of a classification.

    Attributes:
        confusion: int64 (cells, cells), rows of a true class (axis 0) by the class predicted
            (axis 1), the one with the highest probability.
        classes_per_cell: 1, but where there are very many classes.
        rows: int64 (bins,), rows by the probability of the class predicted, from 0 to 1.
        confidence: float64 (bins,), these probabilities, added up.
        correct: int64 (bins,), how many of the rows are of the class predicted.
    """

    confusion: np.ndarray
    classes_per_cell: int
    rows: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray


def count_classification(
    predictions: Predictions, classes: int, bins: int = 20
) -> ClassCounts | None:
    """Return the counts of a classification; None where no prediction is finite."""
    per_cell = -(-classes // _MOST_CELLS)
    cells = -(-classes // per_cell)
    confusion = np.zeros((cells, cells), np.int64)
    rows, correct = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
    confidence = np.zeros(bins)
    for target, probabilities in predictions.chunks():
        true, said = target[:, 0], probabilities.argmax(axis=1)
        flat = true // per_cell * cells + said // per_cell
        confusion += np.bincount(flat, minlength=cells * cells).reshape(cells, cells)
        sure = probabilities.max(axis=1).astype(np.float64)
        bin_number = np.clip((sure * bins).astype(np.int64), 0, bins - 1)
        rows += np.bincount(bin_number, minlength=bins)
        correct += np.bincount(bin_number[true == said], minlength=bins)
        confidence += np.bincount(bin_number, weights=sure, minlength=bins)
    return ClassCounts(confusion, per_cell, rows, confidence, correct) if rows.any() else None
