"""The figures of a regression: predicted against true values, and residuals."""

import os
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from memtrain.evaluation.predictions import Predictions
from memtrain.reporting.figures.histograms import Grid, TargetCounts, count_regression
from memtrain.reporting.figures.style import (
    BLUE,
    DENSITY,
    GREY,
    ORANGE,
    REFERENCE,
    Heading,
    add_colour_bar,
)
from memtrain.reporting.figures.target_panels import draw_panels, drawn_targets

#: Distances of ticks, as multiples of a power of ten.
_TICK_STEPS = [1, 2, 2.5, 5, 10]

#: Fewest rows of a column whose mean is drawn; a mean of fewer rows says little.
_FEWEST_ROWS_OF_MEAN = 10


def draw_regression(
    *,
    predictions_path: str | os.PathLike,
    errors_path: str | os.PathLike,
    heading: Heading,
    targets: list[str],
    predictions: Predictions,
) -> None:
    """Draw predicted against true values, and residuals.

    Args:
        predictions_path: the PNG file of the predicted values.
        errors_path: the PNG file of the residuals.
        heading: the heading of both figures, to which each adds what it shows.
        targets: the names of the targets.
        predictions: the predictions of the model.
    """
    names, heading = drawn_targets(targets, heading)
    counts = count_regression(predictions, len(names))

    draw_panels(
        predictions_path,
        heading=heading.showing("predicted against true"),
        size=(4.6, 4.1),
        names=names,
        draw=_panels(_draw_predicted_against_true, names, counts),
    )
    draw_panels(
        errors_path,
        heading=heading.showing("residuals"),
        size=(5.4, 3.8),
        names=names,
        draw=_panels(_draw_residuals, names, counts),
    )


def _panels(
    draw: Callable[[Axes, str, TargetCounts], None],
    names: list[str],
    counts: list[TargetCounts] | None,
) -> Callable[[Axes, int], None] | None:
    """Return the function that draws a panel; None where no prediction is finite."""
    if counts is None:
        return None
    drawn = list(zip(names, counts, strict=True))
    return lambda axes, number: draw(axes, *drawn[number])


def _draw_predicted_against_true(axes: Axes, name: str, counts: TargetCounts) -> None:
    grid = counts.predicted_against_true
    _draw_density(axes, grid)
    axes.axline((grid.x.low, grid.x.low), slope=1, **REFERENCE)
    axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", aspect="equal")


def _draw_residuals(axes: Axes, name: str, counts: TargetCounts) -> None:
    grid = counts.residuals
    _draw_density(axes, grid, bar_left=1.22)
    axes.axhline(0, **REFERENCE)
    means = _column_means(grid)
    if np.isfinite(means).any():
        axes.plot(grid.centres(grid.x), means, color=ORANGE, label="mean")
        axes.legend(loc="upper left")
    axes.set(xlabel=f"predicted {name}", ylabel=f"true - predicted {name}")
    beside = axes.inset_axes((1.03, 0, 0.16, 1), sharey=axes)
    beside.stairs(
        grid.counts.sum(axis=0),
        grid.edges(grid.y),
        orientation="horizontal",
        fill=True,
        color=BLUE,
        alpha=0.55,
    )
    beside.set_axis_off()


def _draw_density(axes: Axes, grid: Grid, bar_left: float = 1.03) -> None:
    """Draw the number of rows in every cell, on a logarithmic scale; empty cells are white.

    Args:
        axes: where to draw.
        grid: the counts.
        bar_left: where the bar that explains the colours begins, in widths of the axes.
    """
    image = axes.imshow(
        np.ma.masked_equal(grid.counts.T, 0),
        extent=(grid.x.low, grid.x.high, grid.y.low, grid.y.high),
        origin="lower",
        aspect="auto",
        cmap=DENSITY,
        # The scale begins below 1, so that a cell with a single row is not white.
        norm=LogNorm(0.4, max(2, grid.counts.max())),
        interpolation="none",
        zorder=1,
    )
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=_TICK_STEPS))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=_TICK_STEPS))
    bar = add_colour_bar(axes, image, "rows in a cell", bar_left)
    bar.ax.set_ylim(bottom=1)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    bar.ax.yaxis.set_major_formatter("{x:,.0f}")
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    if grid.rows_outside:
        axes.set_title(f"rows outside: {grid.rows_outside:,}", loc="right", color=GREY)


def _column_means(grid: Grid) -> np.ndarray:
    """Return the mean of y in every column of cells, float64 (cells,); NaN where rows are few.

    Each row counts as if it lay in the middle of its cell.
    """
    rows = grid.counts.sum(axis=1)
    sums = (grid.counts * grid.centres(grid.y)).sum(axis=1)
    means = sums / np.maximum(rows, 1)
    return np.where(rows >= _FEWEST_ROWS_OF_MEAN, means, np.nan)
