"""The figures of labels: probabilities of yes by the true label, and their calibration."""

import os

import numpy as np
from matplotlib.axes import Axes

from memtrain.evaluation.predictions import Predictions
from memtrain.reporting.figures.style import (
    BLUE,
    ORANGE,
    REFERENCE,
    Heading,
)
from memtrain.reporting.figures.target_panels import draw_panels, drawn_targets

#: Bins of probability.
_BINS = 20


def draw_binary(
    *,
    predictions_path: str | os.PathLike,
    errors_path: str | os.PathLike,
    heading: Heading,
    targets: list[str],
    predictions: Predictions,
) -> None:
    """Draw how often each probability of yes was given, and how often it came true.

    Args:
        predictions_path: the PNG file of the probabilities.
        errors_path: the PNG file of their calibration.
        heading: the heading of both figures, to which each adds what it shows.
        targets: the names of the targets.
        predictions: the predictions of the model.
    """
    names, heading = drawn_targets(targets, heading)
    rows, confidence = _count(predictions, len(names))

    def draw_probabilities(axes: Axes, number: int) -> None:
        _draw_probabilities(axes, rows[number])
        _name_panel(axes, names, number)

    def draw_calibration(axes: Axes, number: int) -> None:
        _draw_calibration(axes, rows[number], confidence[number])
        _name_panel(axes, names, number)

    for path, title, draw in (
        (predictions_path, "probability of yes", draw_probabilities),
        (errors_path, "calibration of probabilities", draw_calibration),
    ):
        draw_panels(
            path,
            heading=heading.showing(title),
            size=(4.6, 3.8),
            names=names,
            draw=draw if rows.any() else None,
        )


def _name_panel(axes: Axes, names: list[str], number: int) -> None:
    if len(names) > 1:
        axes.set_title(names[number])


def _count(predictions: Predictions, targets: int) -> tuple[np.ndarray, np.ndarray]:
    """Return counts of rows, and sums of probabilities.

    Returns:
        Rows by label and by bin of probability, int64 (targets, 2, bins), no first; and the sums of
        the probabilities in the bins, float64 (targets, bins).
    """
    rows = np.zeros((targets, 2, _BINS), np.int64)
    confidence = np.zeros((targets, _BINS))
    for chunk in predictions.chunks():
        probability = chunk.prediction[:, :targets].astype(np.float64)
        bins = np.clip((probability * _BINS).astype(np.int64), 0, _BINS - 1)
        # The label of yes is 1 for every loss; that of no is 0 or -1.
        is_yes = chunk.target[:, :targets] == 1
        for number in range(targets):
            flat = is_yes[:, number] * _BINS + bins[:, number]
            rows[number] += np.bincount(flat, minlength=2 * _BINS).reshape(2, _BINS)
            weights = probability[:, number]
            confidence[number] += np.bincount(bins[:, number], weights, _BINS)
    return rows, confidence


def _draw_probabilities(axes: Axes, rows: np.ndarray) -> None:
    edges = np.linspace(0, 1, _BINS + 1)
    for label, counts, colour in zip(("no", "yes"), rows, (ORANGE, BLUE), strict=True):
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.55, label=label)
    axes.legend(title="truth")
    axes.set(xlabel="probability of yes", ylabel="rows")


def _draw_calibration(axes: Axes, rows: np.ndarray, confidence: np.ndarray) -> None:
    """Draw the share of rows that are yes by their probability, with standard errors."""
    total = rows.sum(0)
    seen = total > 0
    share, count = rows[1][seen] / total[seen], total[seen]
    error = np.sqrt(share * (1 - share) / count)
    axes.plot([0, 1], [0, 1], **REFERENCE)
    place = confidence[seen] / count
    axes.errorbar(place, share, error, color=BLUE, marker="o", markersize=4, linewidth=1.2)
    axes.set(xlabel="probability of yes", ylabel="share that is yes", ylim=(-0.02, 1.02))
