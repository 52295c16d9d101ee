"""The figure that compares the splits of a dataset by one metric."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from memtrain.core.number_format import format_with_error
from memtrain.core.wording import without_middle
from memtrain.reporting.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    Heading,
    figure,
    say_nothing_to_draw,
)

#: Splits up to which each has its name and its value beside it.
_MOST_NAMES = 40

_LONGEST_NAME = 44

#: The width in inches with names of usual length, and what each further character adds.
_WIDTH = 6.4
_USUAL_NAME = 28
_CHARACTER_WIDTH = 0.067

#: Baselines are left out if they are worse than all models by more than this many times the models'
#: spread.
_FAR_IN_SPREADS = 3.0

#: The line that leads from a name to its value.
_ROW_LINE: dict[str, Any] = {"color": "#E4E7EB", "linewidth": 0.6, "zorder": 0}


@dataclass(frozen=True)
class ComparedSplit:
    """One split; numbers that are not defined are None.

    Attributes:
        name: the name of the split.
        value: the metric of the model.
        error: the standard error of the metric.
        baseline: the metric of a model that knows nothing but the training targets.
    """

    name: str
    value: float | None
    error: float | None
    baseline: float | None


class _Splits:
    """The numbers of all splits as arrays, each float64 (splits,).

    Attributes:
        splits: the splits.
        values: their metrics; NaN where not defined.
        errors: the standard errors; 0 where not defined.
        baselines: the metrics of their baselines; NaN where not defined.
    """

    def __init__(self, splits: list[ComparedSplit], less_is_better: bool):
        self.less_is_better = less_is_better
        self.splits = splits
        # NumPy makes NaN of None.
        self.values = np.array([split.value for split in splits], np.float64)
        self.errors = np.nan_to_num(np.array([split.error for split in splits], np.float64))
        self.baselines = np.array([split.baseline for split in splits], np.float64)

    @property
    def limits(self) -> tuple[float, float]:
        """Limits that hold all values with their errors, with some space around them."""
        low = np.nanmin(self.values - self.errors)
        high = np.nanmax(self.values + self.errors)
        space = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
        return float(low - space), float(high + space)

    @property
    def best_baseline(self) -> float | None:
        """The best baseline; None where none is defined."""
        known = self.baselines[np.isfinite(self.baselines)]
        best = np.min if self.less_is_better else np.max
        return float(best(known)) if known.size else None

    @property
    def baselines_are_far(self) -> bool:
        """Whether an axis that reaches the baselines would hide the differences of the models."""
        low, high = self.limits
        best, space = self.best_baseline, _FAR_IN_SPREADS * (high - low)
        if best is None:
            return False
        is_far = best > high + space if self.less_is_better else best < low - space
        return is_far and np.isfinite(self.values).sum() > 1


def draw_comparison(
    path: str | os.PathLike,
    heading: Heading,
    label: str,
    splits: list[ComparedSplit],
    *,
    less_is_better: bool = False,
) -> None:
    """Draw a metric of every split, with its standard error and the metric of the baseline.

    Args:
        path: the PNG file to write.
        heading: what stands above the figure.
        label: what people call the metric.
        splits: the splits, from top to bottom.
        less_is_better: whether the best split is the one with the least metric.
    """
    count = len(splits)
    has_names = count <= _MOST_NAMES
    height = 1.1 + 0.3 * count if has_names else 5.5
    longest = max(len(split.name) for split in splits) if has_names else 0
    more = max(0, min(longest, _LONGEST_NAME) - _USUAL_NAME) * _CHARACTER_WIDTH
    with figure(path, _WIDTH + more, height, heading) as drawn:
        axes = drawn.subplots()
        if all(split.value is None for split in splits):
            say_nothing_to_draw(axes, f"{label} is defined for none of the splits.")
            return
        _draw_splits(axes, _Splits(splits, less_is_better), is_small=not has_names)
        if has_names:
            _write_names(axes, splits)
        else:
            axes.set(yticks=[], ylabel="splits, in the order of the configuration")
        axes.set(xlabel=label, ylim=(count - 0.4, -0.6))
        axes.grid(False, axis="y")
        drawn.legend(loc="outside lower right", ncols=2)


def _draw_splits(axes: Axes, splits: _Splits, is_small: bool) -> None:
    places = np.arange(len(splits.values))
    axes.errorbar(
        splits.values,
        places,
        xerr=splits.errors,
        fmt="o",
        color=BLUE,
        markersize=3 if is_small else 5,
        elinewidth=1.2,
        label="model",
    )
    if splits.baselines_are_far:
        limit = "at least" if splits.less_is_better else "at most"
        label = f"baseline: off the scale, {limit} {splits.best_baseline:.2g}"
        axes.set_xlim(splits.limits)
        axes.plot([], [], linestyle="none", marker="|", color=ORANGE, label=label)
    else:
        size = 12 if is_small else 60
        axes.scatter(splits.baselines, places, size, ORANGE, marker="|", label="baseline")


def _write_names(axes: Axes, splits: list[ComparedSplit]) -> None:
    """Write the name of every split on the left and its value on the right."""
    places = range(len(splits))
    axes.set_yticks(places, [without_middle(split.name, _LONGEST_NAME) for split in splits])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.hlines(places, 0, 1, transform=axes.get_yaxis_transform(), **_ROW_LINE)
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(places, [format_with_error(split.value, split.error) for split in splits])
    beside.tick_params(length=0, labelcolor=GREY)
    beside.spines[:].set_visible(False)
