"""Counts the rows of a predictions file for the figures of a split, in flat memory.

The predictions may be larger than memory, so they are read once, a few MiB at a time, and only
counts of them are kept. (A sample of the rows, which is read first, gives the limits of the axes.)
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from memtrain.evaluation.predictions import PredictedRows, Predictions

#: Rows from which the limits of the axes are taken.
_ROWS_SAMPLED = 100_000

#: Share of the rows that may lie beyond the limits, at either end.
_TAIL = 0.0005

#: Classes up to which a confusion matrix is drawn.
MOST_CELLS = 100

#: Cells along one side of a density plot, at least and at most.
_FEWEST_GRID_CELLS = 24
_MOST_GRID_CELLS = 120


class Limits(NamedTuple):
    """The ends of an axis."""

    low: float
    high: float


class Grid:
    """Counts of rows in the cells of a plane.

    Args:
        x: limits of the horizontal axis.
        y: limits of the vertical axis.
        cells: number of cells along either axis.

    Attributes:
        counts: int64 (cells along x, cells along y).
        rows: number of rows that were counted, those beyond the limits included.
    """

    def __init__(self, x: Limits, y: Limits, cells: int):
        self.x = x
        self.y = y
        self.counts = np.zeros((cells, cells), np.int64)
        self.rows = 0

    @property
    def rows_outside(self) -> int:
        """Number of rows beyond the limits."""
        return self.rows - int(self.counts.sum())

    def edges(self, limits: Limits) -> np.ndarray:
        """Return the borders of the cells along an axis, float64 (cells + 1,)."""
        return np.linspace(limits.low, limits.high, len(self.counts) + 1)

    def centres(self, limits: Limits) -> np.ndarray:
        """Return the middles of the cells along an axis, float64 (cells,)."""
        edges = self.edges(limits)
        return (edges[:-1] + edges[1:]) / 2

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Count rows at the coordinates ``x`` and ``y``, each (rows,)."""
        cells = len(self.counts)
        column = _cell_numbers(x, self.x, cells)
        row = _cell_numbers(y, self.y, cells)
        inside = (column >= 0) & (column < cells) & (row >= 0) & (row < cells)
        flat = column[inside] * cells + row[inside]
        self.counts += np.bincount(flat, minlength=cells * cells).reshape(cells, cells)
        self.rows += len(x)


def _cell_numbers(values: np.ndarray, limits: Limits, cells: int) -> np.ndarray:
    """Return the cell of every value, int64; -1 below the limits, ``cells`` above them."""
    place = (values.astype(np.float64) - limits.low) / (limits.high - limits.low) * cells
    # The upper limit belongs to the last cell. Far outliers must not overflow an integer.
    place = np.where(values == limits.high, cells - 1, np.clip(place, -1, cells))
    return np.floor(place).astype(np.int64)


@dataclass(frozen=True)
class TargetCounts:
    """Counts of the rows of a regression, for one target.

    Attributes:
        predicted_against_true: predicted value (y) against true value (x), with equal limits.
        residuals: true minus predicted value (y) against predicted value (x).
    """

    predicted_against_true: Grid
    residuals: Grid


def count_regression(predictions: Predictions, targets: int) -> list[TargetCounts] | None:
    """Count the rows of a regression.

    Args:
        predictions: the rows.
        targets: the number of targets to count, from the first on.

    Returns:
        Counts for each target; None where no prediction is finite.
    """
    sample = _sample(predictions, targets)
    if not len(sample):
        return None
    cells = int(np.clip(len(predictions) ** 0.5 / 2, _FEWEST_GRID_CELLS, _MOST_GRID_CELLS))
    counts = [
        _empty_counts(sample.target[:, column], sample.prediction[:, column], cells)
        for column in range(targets)
    ]
    for chunk in predictions.chunks():
        for column, part in enumerate(counts):
            true = chunk.target[:, column]
            predicted = chunk.prediction[:, column]
            part.predicted_against_true.add(true, predicted)
            part.residuals.add(predicted, true.astype(np.float64) - predicted)
    return counts


def _sample(predictions: Predictions, targets: int) -> PredictedRows:
    """Return evenly spaced rows, as float64, with their first ``targets`` targets."""
    every = max(1, -(-len(predictions) // _ROWS_SAMPLED))
    targets_sampled, predictions_sampled = [], []
    for chunk in predictions.chunks(every):
        targets_sampled.append(chunk.target[:, :targets].astype(np.float64))
        predictions_sampled.append(chunk.prediction[:, :targets].astype(np.float64))
    return PredictedRows(np.concatenate(targets_sampled), np.concatenate(predictions_sampled))


def _empty_counts(true: np.ndarray, predicted: np.ndarray, cells: int) -> TargetCounts:
    """Return counts that are all zero, in grids whose limits suit a sample of rows.

    Args:
        true: true values of the sample, float64 (rows,).
        predicted: predicted values of the sample, float64 (rows,).
        cells: number of cells along either axis of a grid.
    """
    common_limits = _limits(true, predicted)
    furthest = max(map(abs, _limits(true - predicted)))
    return TargetCounts(
        predicted_against_true=Grid(common_limits, common_limits, cells),
        residuals=Grid(_limits(predicted), Limits(-furthest, furthest), cells),
    )


def _limits(*samples: np.ndarray) -> Limits:
    """Return limits that hold nearly all values of all samples, with some space around them."""
    low = min(float(np.quantile(values, _TAIL, method="lower")) for values in samples)
    high = max(float(np.quantile(values, 1 - _TAIL, method="higher")) for values in samples)
    space = (high - low) * 0.04 or abs(high) * 0.04 or 1.0
    return Limits(low - space, high + space)


@dataclass(frozen=True)
class ClassCounts:
    """Counts of the rows of a classification.

    The predicted class of a row is the one with the highest probability, which is the confidence
    of the prediction. Bins of confidence are equally wide, from 0 to 1.

    Attributes:
        confusion: int64 (classes, classes), rows by true class (axis 0) and predicted class
            (axis 1); empty where there are too many classes to draw.
        rows: int64 (bins,), rows by confidence.
        correct_rows: int64 (bins,), rows whose predicted class is the true one, by confidence.
        confidence: float64 (bins,), the sum of the confidences in each bin.
    """

    confusion: np.ndarray
    rows: np.ndarray
    correct_rows: np.ndarray
    confidence: np.ndarray


def count_classification(
    predictions: Predictions, classes: int, bins: int = 20
) -> ClassCounts | None:
    """Count the rows of a classification.

    Args:
        predictions: the rows.
        classes: the number of classes.
        bins: the number of bins of confidence.

    Returns:
        The counts; None where no prediction is finite.
    """
    cells = classes if classes <= MOST_CELLS else 0
    counts = ClassCounts(
        confusion=np.zeros((cells, cells), np.int64),
        rows=np.zeros(bins, np.int64),
        correct_rows=np.zeros(bins, np.int64),
        confidence=np.zeros(bins, np.float64),
    )
    for chunk in predictions.chunks():
        _add_classes(counts, chunk)
    return counts if counts.rows.any() else None


def _add_classes(counts: ClassCounts, chunk: PredictedRows) -> None:
    """Count the rows of a chunk."""
    cells, bins = len(counts.confusion), len(counts.rows)
    true = chunk.target[:, 0]
    predicted = chunk.predicted_class
    if cells:
        flat = true * cells + predicted
        counts.confusion[:] += np.bincount(flat, minlength=cells * cells).reshape(cells, cells)
    confidence = chunk.prediction.max(axis=1).astype(np.float64)
    bin_numbers = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    counts.rows[:] += np.bincount(bin_numbers, minlength=bins)
    counts.correct_rows[:] += np.bincount(bin_numbers[true == predicted], minlength=bins)
    counts.confidence[:] += np.bincount(bin_numbers, weights=confidence, minlength=bins)
