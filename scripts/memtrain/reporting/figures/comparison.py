"""The splits of a dataset, compared in one figure."""

import os

import numpy as np
from matplotlib.axes import Axes

from memtrain.core.number_format import rounded
from memtrain.reporting.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    Head,
    figure,
    say_nothing_to_draw,
    shortened,
)
from memtrain.reporting.summary import Summary

#: More splits than these are drawn without their names.
_MOST_NAMES = 40

_LONGEST_NAME = 28

#: Baselines that lie further below the models than so many times their spread are not drawn.
_FAR = 3.0

#: The line that leads from a name to its value.
_ROW = {"color": "#E4E7EB", "linewidth": 0.6, "zorder": 0}


def draw_comparison(path: str | os.PathLike, summary: Summary) -> None:
    """Draw the main metric of every split with its standard error, and its baseline.

    Args:
        path: of the PNG file.
        summary: with the splits, which are drawn in its order, from the top.
    """
    others = len(summary.splits)
    summary = summary.by_task[0]  # metrics of other tasks have other scales
    others -= len(summary.splits)
    count, label = len(summary.splits), summary.labels[summary.main_metric]
    name = shortened(summary.dataset, _LONGEST_NAME)
    head = Head(
        f"{name}: {label} of {count} split{'s' if count > 1 else ''}",
        "on their evaluation rows, with standard errors"
        + (f" ({others} of another task)" if others else ""),
    )
    height = 1.1 + 0.3 * count if count <= _MOST_NAMES else 5.5
    with figure(path, 6.4, height, head) as drawn:
        axes = drawn.subplots()
        if summary.best is None:
            say_nothing_to_draw(axes, f"{label} is defined for none of the splits.")
            return
        _draw_splits(axes, summary, small=count > _MOST_NAMES)
        if count <= _MOST_NAMES:
            _write_names(axes, summary)
        else:
            axes.set(yticks=[], ylabel="splits, as configured")
        axes.set(xlabel=label, ylim=(count - 0.4, -0.6))
        axes.grid(False, axis="y")
        drawn.legend(loc="outside lower right", ncols=2)


def _draw_splits(axes: Axes, summary: Summary, small: bool) -> None:
    values, errors, baselines = _numbers(summary)
    places = np.arange(len(values))
    axes.errorbar(
        values,
        places,
        xerr=errors,
        fmt="o",
        color=BLUE,
        markersize=3 if small else 5,
        elinewidth=1.2,
        label="model",
    )
    limits = _limits(values, errors)
    if np.isfinite(values).sum() > 1 and _is_far(baselines, limits):
        known = baselines[np.isfinite(baselines)]
        label = f"baseline: off the scale, at most {known.max():.2g}"
        axes.set_xlim(limits)
        axes.plot([], [], linestyle="none", marker="|", color=ORANGE, label=label)
    else:
        size = 12 if small else 60
        axes.scatter(baselines, places, size, ORANGE, marker="|", label="baseline")


def _numbers(summary: Summary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return main metrics, errors (0 for null) and baselines, each (splits,); NaN for null."""
    metric = summary.main_metric
    evaluations = [split.evaluation for split in summary.splits]
    values, errors, baselines = (
        np.array([part[metric] for part in parts], dtype=np.float64)
        for parts in zip(*((e.metrics, e.errors, e.baseline) for e in evaluations), strict=True)
    )
    return values, np.nan_to_num(errors), baselines


def _limits(values: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Return limits that hold all values with their errors, and some space around them."""
    low, high = np.nanmin(values - errors), np.nanmax(values + errors)
    space = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
    return float(low - space), float(high + space)


def _is_far(baselines: np.ndarray, limits: tuple[float, float]) -> bool:
    """Return whether the baselines would press the differences between the models together."""
    low, high = limits
    known = baselines[np.isfinite(baselines)]
    return known.size > 0 and known.max() < low - _FAR * (high - low)


def _write_names(axes: Axes, summary: Summary) -> None:
    """Write names on the left and values on the right."""
    evaluations = [split.evaluation for split in summary.splits]
    axes.set_yticks(
        range(len(evaluations)), [shortened(part.split, _LONGEST_NAME) for part in evaluations]
    )
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.hlines(range(len(evaluations)), 0, 1, transform=axes.get_yaxis_transform(), **_ROW)
    beside = axes.secondary_yaxis("right")
    metric = summary.main_metric
    written = [rounded(part.metrics[metric], part.errors[metric]) for part in evaluations]
    beside.set_yticks(range(len(evaluations)), written)
    beside.tick_params(length=0, labelcolor=GREY)
    beside.spines[:].set_visible(False)
