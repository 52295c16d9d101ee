"""The figure that shows how a metric depends on the settings of a sweep."""

import math
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from memtrain.config.sweep_names import text_of_value
from memtrain.reporting.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    Heading,
    figure,
    say_nothing_to_draw,
    shortened,
)
from memtrain.system import canonical_json

#: Panels at most, and those in a row.
_MOST_PANELS = 9
_PANELS_IN_A_ROW = 3

_WIDTHS = {1: 6.4, 2: 7.6, 3: 10.2}
_PANEL_HEIGHT = 2.9

#: Values of a setting up to which each has a tick, and a median of its own.
_MOST_VALUES = 8

#: The looks of the values of a second setting; one with more values has no colours.
_LOOKS: list[dict[str, Any]] = [
    {"color": colour, "marker": marker}
    for colour, marker in zip((BLUE, ORANGE, GREEN, PURPLE, INK), "osD^v", strict=True)
]
_POINT: dict[str, Any] = {"markersize": 4.5, "markeredgewidth": 0, "alpha": 0.65}

#: Distance between the points of one category that differ in colour; categories have distance 1.
_ASIDE = 0.14

#: Categories up to which each has its name.
_MOST_NAMES = 12

#: Numbers above 0 whose largest is so many times the least have a logarithmic axis.
_FACTOR_OF_LOG = 8

#: A metric is off the scale where it is worse than the worse quartile by more than this many times
#: the distance between the quartiles.
_FAR_IN_QUARTILES = 5.0

_LONGEST_VALUE = 14


@dataclass(frozen=True)
class DrawnTraining:
    """One training.

    Attributes:
        value: its metric; NaN where it is not defined.
        settings: the settings that differ between trainings, by their keys; None for one that it
            does not have.
    """

    value: float
    settings: Mapping[str, Any]


class _Setting:
    """A setting that differs between the trainings.

    Attributes:
        key: its key.
        label: what people call it.
        values: its values, each once: numbers in their order, then others as they come.
        is_number: whether all values are numbers.
    """

    def __init__(self, key: str, label: str, trainings: Sequence[DrawnTraining]):
        self.key, self.label = key, label
        found = {_name(one.settings.get(key)): one.settings.get(key) for one in trainings}
        numbers: list[Any] = sorted(value for value in found.values() if _is_number(value))
        others = [value for value in found.values() if not _is_number(value)]
        self.values: list[Any] = [*numbers, *others]
        self.is_number = not others
        self._places = {_name(value): float(place) for place, value in enumerate(self.values)}

    @property
    def has_few_values(self) -> bool:
        """Whether each value has a tick of its own."""
        return len(self.values) <= _MOST_VALUES

    def place(self, training: DrawnTraining) -> float:
        """Return where a training lies along the axis of the setting."""
        value: Any = training.settings.get(self.key)
        return float(value) if self.is_number else self._places[_name(value)]

    def is_logarithmic(self, log_keys: frozenset[str]) -> bool:
        """Return whether the axis is logarithmic."""
        if not self.is_number or self.values[0] <= 0:
            return False
        # Many values are random draws, whose distribution says how the axis should be.
        is_wide = self.has_few_values and self.values[-1] / self.values[0] >= _FACTOR_OF_LOG
        return is_wide or self.key in log_keys


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name(value: Any) -> str:
    return canonical_json.dumps(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    # Of an import path, the module is the same for most.
    return shortened(text_of_value(value).rpartition(":")[2], _LONGEST_VALUE)


def draw_dependence(
    path: str | os.PathLike,
    heading: Heading,
    *,
    metric: str,
    less_is_better: bool,
    labels: Mapping[str, str],
    trainings: Sequence[DrawnTraining],
    log_keys: frozenset[str] = frozenset(),
) -> None:
    """Draw a metric against each setting that differs.

    A point is a training; lines show the medians of the trainings with the same value. A second
    setting has colours: of those with few values, the one that the metric depends on most.

    Args:
        path: the PNG file to write.
        heading: what stands above the figure.
        metric: what people call the metric.
        less_is_better: whether less of it is better.
        labels: what people call the settings, by their keys; those that are drawn.
        trainings: the trainings.
        log_keys: settings whose axis is logarithmic.
    """
    known = [one for one in trainings if not math.isnan(one.value)]
    settings = [_Setting(key, label, known) for key, label in labels.items()]
    settings = [one for one in settings if len(one.values) > 1]
    if len(known) < len(trainings):
        heading = heading.with_remark(f"not defined for {len(trainings) - len(known)}")
    if not settings:
        with figure(path, 6.4, 1.4, heading) as drawn:
            say_nothing_to_draw(drawn.subplots(), f"No two settings have a {metric} to compare.")
        return
    if len(settings) > _MOST_PANELS:
        heading = heading.with_remark(f"{len(settings) - _MOST_PANELS} more settings not drawn")
    shown = settings[:_MOST_PANELS]
    limits, outside = _limits(np.array([one.value for one in known]), less_is_better)
    if outside:
        heading = heading.with_remark(f"{outside} off the scale, at the edge")
    columns = min(len(shown), _PANELS_IN_A_ROW)
    rows = -(-len(shown) // columns)
    with figure(path, _WIDTHS[columns], _PANEL_HEIGHT * rows, heading) as drawn:
        panels = drawn.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes, setting in zip(panels, shown, strict=False):
            colours = _most_telling([one for one in settings if one is not setting], known)
            _draw_panel(axes, setting, colours, known, limits)
            _set_axis(axes, setting, log_keys)
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        for axes in panels[::columns]:
            axes.set_ylabel(metric)


def _limits(values: np.ndarray, less_is_better: bool) -> tuple[tuple[float, float], int]:
    """Return limits that hold all values but those that are far worse, and the number of those.

    Args:
        values: float64 (trainings,).
        less_is_better: whether less of the metric is better.
    """
    merits = -values if less_is_better else values
    low, high = np.quantile(merits, [0.25, 0.75])
    fence = low - _FAR_IN_QUARTILES * (high - low)
    shown = values[merits >= fence]
    space = 0.08 * (shown.max() - shown.min()) or 0.08 * abs(shown.max()) or 1.0
    limits = float(shown.min() - space), float(shown.max() + space)
    return limits, len(values) - len(shown)


def _most_telling(settings: list[_Setting], known: Sequence[DrawnTraining]) -> _Setting | None:
    """Return the setting with few values whose medians are farthest apart; None for none."""

    def spread(setting: _Setting) -> float:
        medians = [median for _, median in _medians(setting, known)]
        return max(medians) - min(medians)

    few = [one for one in settings if len(one.values) <= len(_LOOKS)]
    return max(few, key=spread, default=None)


def _medians(
    setting: _Setting, trainings: Sequence[DrawnTraining]
) -> Iterator[tuple[float, float]]:
    """Yield the place of each value of a setting, and the median of its trainings."""
    values: dict[float, list[float]] = {}
    for one in trainings:
        values.setdefault(setting.place(one), []).append(one.value)
    for place in sorted(values):
        yield place, statistics.median(values[place])


def _draw_panel(
    axes: Axes,
    setting: _Setting,
    colours: _Setting | None,
    known: Sequence[DrawnTraining],
    limits: tuple[float, float],
) -> None:
    axes.set_ylim(limits)
    if colours is None:
        _draw_points(axes, setting, known, limits, look=_LOOKS[0])
        return
    for number, value in enumerate(colours.values):
        same = [one for one in known if _name(one.settings.get(colours.key)) == _name(value)]
        look = {**_LOOKS[number], "label": _text(value)}
        aside = 0.0 if setting.is_number else _ASIDE * (number - (len(colours.values) - 1) / 2)
        _draw_points(axes, setting, same, limits, look=look, aside=aside)
    axes.legend(
        title=f"{shortened(colours.label, 24)}:",
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(colours.values),
        handletextpad=0.2,
        columnspacing=0.8,
        borderpad=0,
        fontsize=7.5,
        title_fontsize=7.5,
        alignment="right",
        labelcolor=GREY,
    )


def _draw_points(
    axes: Axes,
    setting: _Setting,
    trainings: Sequence[DrawnTraining],
    limits: tuple[float, float],
    *,
    look: Mapping[str, Any],
    aside: float = 0.0,
) -> None:
    """Draw trainings, and their medians where values have several.

    Args:
        axes: where to draw.
        setting: the setting along the axis.
        trainings: the trainings.
        limits: the limits of the metric; what is beyond is drawn at the edge.
        look: colour and marker.
        aside: how far the points are moved along the axis.
    """
    places = [setting.place(one) + aside for one in trainings]
    values = np.clip([one.value for one in trainings], *limits)
    axes.plot(places, values, linestyle="none", clip_on=False, zorder=3, **_POINT, **look)
    medians = list(_medians(setting, trainings)) if setting.has_few_values else []
    if setting.is_number and medians:
        axes.plot(*zip(*medians, strict=True), color=look["color"], linewidth=1.2, alpha=0.8)
    for place, median in [] if setting.is_number else medians:
        ends = place + aside - 0.4 * _ASIDE, place + aside + 0.4 * _ASIDE
        axes.plot(ends, [median, median], color=look["color"], linewidth=1.6)


def _set_axis(axes: Axes, setting: _Setting, log_keys: frozenset[str]) -> None:
    axes.set_xlabel(shortened(setting.label, 32))
    if setting.is_logarithmic(log_keys):
        axes.set_xscale("log")
    if not setting.is_number:
        _name_categories(axes, setting)
    elif setting.has_few_values:
        axes.set_xticks(setting.values, [_text(value) for value in setting.values])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())


def _name_categories(axes: Axes, setting: _Setting) -> None:
    """Write the values of a setting that are no numbers; very many are counted."""
    texts = [_text(value) for value in setting.values]
    if len(texts) > _MOST_NAMES:
        axes.set_xticks([])
        axes.set_xlabel(f"{shortened(setting.label, 32)}: {len(texts)} values")
    else:
        is_wide = sum(map(len, texts)) > 2 * _LONGEST_VALUE
        slant: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(texts)), texts, **(slant if is_wide else {}))
    axes.set_xlim(-0.5, len(texts) - 0.5)
    axes.grid(False, axis="x")
