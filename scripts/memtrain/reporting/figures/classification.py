"""The figures of a classification: the confusion matrix, and the calibration of probabilities."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from memtrain.evaluation.predictions import Predictions
from memtrain.evaluation.result import Confusion
from memtrain.reporting.figures.confused_pairs import draw_confused_pairs
from memtrain.reporting.figures.histograms import MOST_CELLS, ClassCounts, count_classification
from memtrain.reporting.figures.style import (
    BLUE,
    DENSITY,
    INK,
    REFERENCE,
    Heading,
    add_colour_bar,
    figure,
    say_nothing_to_draw,
    shortened,
)

#: Classes up to which a confusion matrix has numbers in its cells.
_MOST_NUMBERS = 12

#: Classes up to which a confusion matrix has names at its sides.
_MOST_NAMES = 30

_LONGEST_NAME = 16

#: Names up to this length are written horizontally below the matrix, and longer ones at a slant.
_LONGEST_HORIZONTAL_NAME = 4


def draw_classification(
    *,
    predictions_path: str | os.PathLike,
    errors_path: str | os.PathLike,
    heading: Heading,
    classes: list[str],
    confusions: Sequence[Confusion],
    are_probabilities: bool,
    predictions: Predictions,
) -> None:
    """Draw the confusion matrix, or the most confused pairs; and the calibration of probabilities.

    Args:
        predictions_path: the PNG file of the confusion matrix.
        errors_path: the PNG file of the calibration.
        heading: the heading of both figures, to which each adds what it shows.
        classes: the names of the classes.
        confusions: the pairs of classes that are confused most.
        are_probabilities: whether the predictions are probabilities.
        predictions: the predictions of the model.
    """
    counts = count_classification(predictions, len(classes))
    side = float(np.clip(2.6 + 0.3 * len(classes), 4.0, 7.0))
    if len(classes) > MOST_CELLS:
        draw_confused_pairs(predictions_path, heading, confusions if counts else None)
    else:
        matrix = heading.showing("confusion matrix")
        with figure(predictions_path, side + 0.8, side, matrix) as drawn:
            axes = drawn.subplots()
            if counts is None:
                say_nothing_to_draw(axes, "No prediction is finite.")
            else:
                _draw_confusion(axes, classes, counts)
    calibration = heading.showing("calibration of probabilities")
    with figure(errors_path, 4.8, 4.4, calibration) as drawn:
        if counts is None:
            say_nothing_to_draw(drawn.subplots(), "No prediction is finite.")
        elif not are_probabilities:
            say_nothing_to_draw(drawn.subplots(), "The scores of this loss are no probabilities.")
        else:
            upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 1))
            _draw_calibration(upper, counts)
            _draw_confidence(lower, counts, len(classes))


def _draw_confusion(axes: Axes, classes: list[str], counts: ClassCounts) -> None:
    """Draw the share of the rows of each true class that were predicted as each class."""
    rows = counts.confusion.sum(axis=1, keepdims=True)
    shares = counts.confusion / np.maximum(rows, 1)
    image = axes.imshow(shares, DENSITY, vmin=0, vmax=1, interpolation="none")
    bar = add_colour_bar(axes, image, "share of the true class's rows")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(classes) <= _MOST_NUMBERS:
        _write_shares(axes, shares)
    if len(classes) <= _MOST_NAMES:
        _write_class_names(axes, classes)
    axes.tick_params(length=0)


def _write_shares(axes: Axes, shares: np.ndarray) -> None:
    """Write the shares into the cells, in percent."""
    for (true, predicted), share in np.ndenumerate(shares):
        if share:
            text = "<1" if share < 0.005 else f"{share * 100:.0f}"
            colour = "white" if share > 0.5 else INK
            axes.text(predicted, true, text, ha="center", va="center", color=colour, size=8)


def _write_class_names(axes: Axes, classes: list[str]) -> None:
    names = [shortened(name, _LONGEST_NAME) for name in classes]
    is_horizontal = max(map(len, names)) <= _LONGEST_HORIZONTAL_NAME
    slant = 0 if is_horizontal else 40
    axes.set_xticks(range(len(names)), names, rotation=slant, ha="right" if slant else "center")
    axes.set_yticks(range(len(names)), names)


def _draw_calibration(axes: Axes, counts: ClassCounts) -> None:
    """Draw the share of predictions that are right, by their confidence, with standard errors."""
    seen = counts.rows > 0
    rows, correct_rows = counts.rows[seen], counts.correct_rows[seen]
    share, confidence = correct_rows / rows, counts.confidence[seen] / rows
    error = np.sqrt(share * (1 - share) / rows)
    axes.plot([0, 1], [0, 1], **REFERENCE)
    axes.errorbar(confidence, share, error, color=BLUE, marker="o", markersize=4, linewidth=1.2)
    axes.set(ylabel="share that is right", ylim=(-0.02, 1.02))
    overall = correct_rows.sum() / rows.sum()
    mean = counts.confidence.sum() / rows.sum()
    axes.set_title(f"{overall:.1%} are right; mean probability {mean:.1%}")


def _draw_confidence(axes: Axes, counts: ClassCounts, classes: int) -> None:
    """Draw the number of rows by the confidence of their prediction."""
    edges = np.linspace(0, 1, len(counts.rows) + 1)
    axes.stairs(counts.rows, edges, fill=True, color=BLUE, alpha=0.55)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    # The predicted class has the highest probability of all, which is at least 1 / classes.
    lowest = max(0.0, 1 / classes - 0.05)
    axes.set(xlabel="probability of the predicted class", ylabel="rows", xlim=(lowest, 1.01))
