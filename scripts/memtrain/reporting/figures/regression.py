"""What a regression predicts, drawn: predicted against true, and what is left over."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from memtrain.evaluation.histograms import Grid, Predictions, TargetCounts, count_regression
from memtrain.reporting.figures.style import (
    BLUE,
    DENSITY,
    GREY,
    ORANGE,
    REFERENCE,
    Head,
    add_colour_bar,
    figure,
    say_nothing_to_draw,
    shortened,
)

#: Of more targets than these, the first are drawn.
_MOST_TARGETS = 6

_LONGEST_NAME = 24

#: Distances of ticks, as multiples of a power of ten.
_TICK_STEPS = [1, 2, 2.5, 5, 10]

#: A mean over fewer rows than these says little.
_ROWS_OF_A_MEAN = 10


def draw_regression(
    folder: str | os.PathLike, head: Head, targets: list[str], predictions: Predictions
) -> None:
    """Write ``predicted_against_true.png`` and ``residuals.png``.

    Args:
        folder: where to.
        head: what the figures are called.
        targets: the names of the targets.
        predictions: of the model.
    """
    drawn = [shortened(name, _LONGEST_NAME) for name in targets[:_MOST_TARGETS]]
    if len(drawn) < len(targets):
        head = head.adding(f"the first {len(drawn)} of {len(targets)} targets")
    counts = count_regression(predictions, len(drawn))
    folder = Path(folder)
    _draw_panels(folder / "predicted_against_true.png", (4.6, 4.1), head, drawn, counts, _against)
    _draw_panels(folder / "residuals.png", (5.4, 3.8), head, drawn, counts, _residuals)


def _draw_panels(
    path: Path,
    size: tuple[float, float],
    head: Head,
    names: list[str],
    counts: list[TargetCounts] | None,
    draw: Callable[[Axes, str, TargetCounts], None],
) -> None:
    """Draw one panel a target."""
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    scale = 1.0 if len(names) == 1 else 0.8
    with figure(path, size[0] * scale * columns, size[1] * scale * rows, head) as drawn:
        panels = drawn.subplots(rows, columns, squeeze=False).flat
        for position, axes in enumerate(panels):
            if position >= len(names):
                axes.set_axis_off()
            elif counts is None:
                say_nothing_to_draw(axes, "No prediction is finite.")
            else:
                draw(axes, names[position], counts[position])


def _against(axes: Axes, name: str, counts: TargetCounts) -> None:
    grid = counts.against_true
    _draw_density(axes, grid)
    axes.axline((grid.x[0], grid.x[0]), slope=1, **REFERENCE)
    axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", aspect="equal")


def _residuals(axes: Axes, name: str, counts: TargetCounts) -> None:
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
        np.linspace(*grid.y, len(grid.counts) + 1),
        orientation="horizontal",
        fill=True,
        color=BLUE,
        alpha=0.55,
    )
    beside.set_axis_off()


def _draw_density(axes: Axes, grid: Grid, bar_left: float = 1.03) -> None:
    """Draw how many rows lie where; white where there is none."""
    image = axes.imshow(
        np.ma.masked_equal(grid.counts.T, 0),
        extent=(*grid.x, *grid.y),
        origin="lower",
        aspect="auto",
        cmap=DENSITY,
        # From below 1, so that a single row is seen.
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
    if grid.outside:
        axes.set_title(f"rows outside: {grid.outside:,}", loc="right", color=GREY)


def _column_means(grid: Grid) -> np.ndarray:
    """Return the mean of y in every column, from the cells' middles; NaN where there are few."""
    rows = grid.counts.sum(axis=1)
    sums = (grid.counts * grid.centres(grid.y)).sum(axis=1)
    means = sums / np.maximum(rows, 1)
    return np.where(rows >= _ROWS_OF_A_MEAN, means, np.nan)
