"""Figures with one panel for each target."""

import os
from collections.abc import Callable

from matplotlib.axes import Axes

from memtrain.reporting.figures.style import Heading, figure, say_nothing_to_draw, shortened

#: Targets that are drawn, at most.
_MOST_TARGETS = 6

_LONGEST_NAME = 24


def drawn_targets(targets: list[str], heading: Heading) -> tuple[list[str], Heading]:
    """Return the names of the targets that are drawn, and a heading that says if there are more."""
    names = [shortened(name, _LONGEST_NAME) for name in targets[:_MOST_TARGETS]]
    if len(names) < len(targets):
        heading = heading.with_remark(f"the first {len(names)} of {len(targets)} targets")
    return names, heading


def draw_panels(
    path: str | os.PathLike,
    *,
    heading: Heading,
    size: tuple[float, float],
    names: list[str],
    draw: Callable[[Axes, int], None] | None,
) -> None:
    """Draw a figure that has one panel for each target.

    Args:
        path: the PNG file to write.
        heading: what stands above the figure.
        size: width and height of a single panel, in inches.
        names: the names of the targets.
        draw: the function that draws the panel of the target with a number; None where no
            prediction is finite.
    """
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    scale = 1.0 if len(names) == 1 else 0.8
    width, height = size
    with figure(path, width * scale * columns, height * scale * rows, heading) as drawn:
        panels = drawn.subplots(rows, columns, squeeze=False).flat
        for position, axes in enumerate(panels):
            if position >= len(names):
                axes.set_axis_off()
            elif draw is None:
                say_nothing_to_draw(axes, "No prediction is finite.")
            else:
                draw(axes, position)
