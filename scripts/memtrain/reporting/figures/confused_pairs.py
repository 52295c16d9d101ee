"""The figure of a classification with too many classes for a matrix: the most confused pairs."""

import os
from collections.abc import Sequence

from memtrain.evaluation.result import Confusion
from memtrain.reporting.figures.style import (
    BLUE,
    Heading,
    figure,
    say_nothing_to_draw,
    shortened,
)

_LONGEST_NAME = 20


def draw_confused_pairs(
    path: str | os.PathLike, heading: Heading, pairs: Sequence[Confusion] | None
) -> None:
    """Draw the pairs of classes that are confused most, with the number of their rows.

    Args:
        path: the PNG file to write.
        heading: the heading, to which the figure adds what it shows.
        pairs: the pairs, the largest first; None where no prediction is finite.
    """
    height = 1.4 + 0.28 * len(pairs) if pairs else 2.4
    with figure(path, 6.4, height, heading.showing("most confused classes")) as drawn:
        axes = drawn.subplots()
        if pairs is None:
            say_nothing_to_draw(axes, "No prediction is finite.")
            return
        if not pairs:
            say_nothing_to_draw(axes, "No row is predicted wrongly.")
            return
        names = [
            f"{shortened(pair.true, _LONGEST_NAME)} as {shortened(pair.predicted, _LONGEST_NAME)}"
            for pair in pairs
        ]
        bars = axes.barh(range(len(pairs)), [pair.rows for pair in pairs], color=BLUE, alpha=0.55)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        axes.set_yticks(range(len(pairs)), names)
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel="rows of the first class predicted as the second")
        axes.margins(x=0.12)
        axes.invert_yaxis()
        axes.grid(False, axis="y")
