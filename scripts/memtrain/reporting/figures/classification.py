"""What a classification predicts, drawn: the confusion of classes, and how far to trust it."""

import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from memtrain.evaluation.histograms import ClassCounts, Predictions, count_classification
from memtrain.reporting.figures.style import (
    BLUE,
    DENSITY,
    GREY,
    INK,
    REFERENCE,
    Head,
    add_colour_bar,
    figure,
    say_nothing_to_draw,
    shortened,
)

#: A matrix of more classes is drawn without numbers; of more still, without names.
_MOST_NUMBERS, _MOST_NAMES = 12, 30

_LONGEST_NAME = 16


def draw_classification(
    folder: str | os.PathLike, head: Head, classes: list[str], predictions: Predictions
) -> None:
    """Write ``predicted_against_true.png``, the confusion, and ``residuals.png``, the calibration.

    Args:
        folder: where to.
        head: what the figures are called.
        classes: the name of every class.
        predictions: of the model.
    """
    counts = count_classification(predictions, len(classes))
    folder = Path(folder)
    side = float(np.clip(2.6 + 0.3 * len(classes), 4.0, 7.0))
    with figure(folder / "predicted_against_true.png", side + 0.8, side, head) as drawn:
        axes = drawn.subplots()
        if counts is None:
            say_nothing_to_draw(axes, "No prediction is finite.")
        else:
            _draw_confusion(axes, classes, counts)
    with figure(folder / "residuals.png", 4.8, 4.4, head) as drawn:
        if counts is None:
            say_nothing_to_draw(drawn.subplots(), "No prediction is finite.")
        else:
            _draw_calibration(
                *drawn.subplots(2, 1, sharex=True, height_ratios=(3, 1)), counts, len(classes)
            )


def _draw_confusion(axes: Axes, classes: list[str], counts: ClassCounts) -> None:
    """Draw the share of every true class's rows that each class was predicted for."""
    rows = counts.confusion.sum(axis=1, keepdims=True)
    shares = counts.confusion / np.maximum(rows, 1)
    cells, per_cell = len(shares), counts.classes_per_cell
    # The middle of a cell of one class is the number of the class.
    first, last = -0.5, cells * per_cell - 0.5
    extent = (first, last, last, first)
    image = axes.imshow(shares, DENSITY, vmin=0, vmax=1, extent=extent, interpolation="none")
    bar = add_colour_bar(axes, image, "share of the true class's rows")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted class", ylabel="true class")
    if per_cell > 1:
        axes.set_title(f"{per_cell} classes in a row and in a column", color=GREY)
    if cells <= _MOST_NUMBERS:
        _write_shares(axes, shares)
    if cells <= _MOST_NAMES:
        names = [shortened(name, _LONGEST_NAME) for name in classes]
        slant = 0 if max(map(len, names)) <= 4 else 40
        axes.set_xticks(range(cells), names, rotation=slant, ha="right" if slant else "center")
        axes.set_yticks(range(cells), names)
    axes.tick_params(length=0)


def _write_shares(axes: Axes, shares: np.ndarray) -> None:
    for (true, said), share in np.ndenumerate(shares):
        if share:
            text = "<1" if share < 0.005 else f"{share * 100:.0f}"
            colour = "white" if share > 0.5 else INK
            axes.text(said, true, text, ha="center", va="center", color=colour, size=8)


def _draw_calibration(upper: Axes, lower: Axes, counts: ClassCounts, classes: int) -> None:
    """Draw how often a prediction is right, by how probable the model calls it."""
    seen = counts.rows > 0
    rows, correct = counts.rows[seen], counts.correct[seen]
    share, sure = correct / rows, counts.confidence[seen] / rows
    error = np.sqrt(share * (1 - share) / rows)
    upper.plot([0, 1], [0, 1], **REFERENCE)
    upper.errorbar(sure, share, error, color=BLUE, marker="o", markersize=4, linewidth=1.2)
    upper.set(ylabel="share that is right", ylim=(-0.02, 1.02))
    overall = correct.sum() / rows.sum()
    mean = counts.confidence.sum() / rows.sum()
    upper.set_title(f"right {overall:.1%}, mean probability {mean:.1%}")
    edges = np.linspace(0, 1, len(counts.rows) + 1)
    lower.stairs(counts.rows, edges, fill=True, color=BLUE, alpha=0.55)
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    lowest = max(0.0, 1 / classes - 0.05)
    lower.set(xlabel="probability of the class predicted", ylabel="rows", xlim=(lowest, 1.01))
