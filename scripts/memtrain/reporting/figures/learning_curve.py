"""The learning curve of a training: its loss, step by step."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from memtrain.evaluation.result import Evaluation
from memtrain.recipes.recipe import TrainingRecipe
from memtrain.reporting.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PURPLE,
    Heading,
    figure,
)
from memtrain.training.history import History
from memtrain.training.validation_history import ValidationRecord

#: Most points along the axis of steps. With more steps, each point shows the range of several.
_MOST_POINTS = 1000

#: Steps up to which each has a marker of its own.
_MOST_MARKERS = 50

#: Share of all steps that each mean of the smoothed line covers.
_SMOOTHED_SHARE = 0.03

#: Losses whose lowest possible value is ``lowest_loss``: the squared error, or the cross entropy.
_LOSSES_WITH_LOWEST = (
    "MSELoss",
    "CrossEntropyLoss",
    "NLLLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
)

#: Losses that fall by more than this factor are drawn on a logarithmic scale.
_FACTOR_OF_FAR_FALL = 8


def draw_learning_curve(
    path: str | os.PathLike,
    *,
    heading: Heading,
    recipe: TrainingRecipe,
    evaluation: Evaluation,
    history: History,
    validations: Sequence[ValidationRecord] = (),
) -> None:
    """Draw the loss of every step and every validation, and the loss on the evaluation rows.

    Args:
        path: the PNG file to write.
        heading: what stands above the figure.
        recipe: the recipe of the training.
        evaluation: the evaluation of the trained model.
        history: the history of the training.
        validations: the validations of the training.
    """
    with figure(path, 6.4, 3.6, heading) as drawn:
        axes = drawn.subplots()
        _draw_losses(axes, history.loss)
        _mark_epochs(axes, history.epoch)
        _draw_validations(axes, validations)
        _draw_level(axes, evaluation.loss, ORANGE, "evaluation rows")
        loss = recipe.settings.loss
        if loss.name in _LOSSES_WITH_LOWEST and not loss.arguments:
            _draw_level(axes, evaluation.lowest_loss, GREEN, "lowest possible")
        elements = "elements" if evaluation.task == "sequence" else "rows"
        axes.set(xlabel="optimizer step", ylabel=f"{loss.name}, mean over {elements}")
        axes.set_xlim(0.5, history.steps + 0.5)
        if _falls_far(history.loss):
            _use_log_scale(axes)
        axes.legend(loc="upper right")


def _draw_losses(axes: Axes, losses: np.ndarray) -> None:
    steps = np.arange(1, len(losses) + 1)
    if len(losses) <= _MOST_POINTS:
        has_markers = len(losses) <= _MOST_MARKERS
        axes.plot(
            steps,
            losses,
            color=BLUE,
            linewidth=0.8,
            marker="." if has_markers else "",
            alpha=0.6 if has_markers else 0.3,
            label="accumulation windows",
        )
    else:
        borders = np.arange(_MOST_POINTS) * len(losses) // _MOST_POINTS
        low, high = np.minimum.reduceat(losses, borders), np.maximum.reduceat(losses, borders)
        label = "accumulation windows, least to greatest"
        axes.fill_between(steps[borders], low, high, color=BLUE, alpha=0.3, lw=0, label=label)
    window = max(1, round(len(losses) * _SMOOTHED_SHARE))
    if window > 1:
        shown = np.unique(np.linspace(0, len(losses) - 1, _MOST_POINTS).astype(np.int64))
        smoothed = _smooth(losses, window)[shown]
        label = f"mean of {window:,} steps"
        axes.plot(steps[shown], smoothed, color=BLUE, linewidth=1.6, label=label)


def _draw_validations(axes: Axes, validations: Sequence[ValidationRecord]) -> None:
    """Draw a point for each validation; of very many, one for each run of neighbours."""
    if not validations:
        return
    shown = np.unique(
        np.linspace(0, len(validations) - 1, min(len(validations), _MOST_POINTS)).astype(np.int64)
    )
    axes.plot(
        [validations[number].step for number in shown],
        [validations[number].loss for number in shown],
        color=PURPLE,
        linewidth=1.2,
        marker="o" if len(shown) <= _MOST_MARKERS else "",
        markersize=3.5,
        label="validation rows",
    )


def _smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Return moving averages: the mean of ``window`` values around each value, fewer at the ends.

    Args:
        values: float64 (values,).
        window: the number of values in a mean.
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(len(values))
    start = np.maximum(centre - window // 2, 0)
    end = np.minimum(centre + window // 2 + 1, len(values))
    return (sums[end] - sums[start]) / (end - start)


def _mark_epochs(axes: Axes, epochs: np.ndarray) -> None:
    """Mark the first step of every epoch; of more than ten epochs, only of every n-th.

    Args:
        axes: where to draw.
        epochs: int64 (steps,), the epoch of every step.
    """
    first_steps = np.flatnonzero(np.diff(epochs, prepend=epochs[0] - 1)) + 1
    every = -(-len(first_steps) // 10)
    marked = first_steps[::every]
    above = axes.secondary_xaxis("top")
    above.set_xticks(marked, [str(epoch) for epoch in epochs[marked - 1]])
    above.tick_params(length=0)
    above.spines[:].set_visible(False)
    above.set_xlabel("epoch", color=GREY, loc="left", size=8)
    axes.vlines(marked[1:], 0, 1, transform=axes.get_xaxis_transform(), color=PALE, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(False, axis="x")


def _draw_level(axes: Axes, loss: float | None, colour: str, label: str) -> None:
    if loss:
        axes.axhline(loss, color=colour, linewidth=1.2, linestyle=(0, (4, 2)), label=label)


def _falls_far(losses: np.ndarray) -> bool:
    return losses.min() > 0 and losses.max() / losses.min() > _FACTOR_OF_FAR_FALL


def _use_log_scale(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
