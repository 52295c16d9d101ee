"""The common look of all figures.

The same numbers give the same bytes: figures are drawn without pyplot, a user's ``matplotlibrc`` is
ignored, and the files hold neither a date nor a version.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from memtrain.system.atomic_files import write_bytes

# Colours that people with colour-blindness can tell apart (Okabe and Ito, "Color universal
# design", 2008).
BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"

# Greys, for what is not data.
INK = "#22262B"
GREY = "#6B717B"
PALE = "#C9CED6"

#: The look of a line that data are compared with.
REFERENCE: dict[str, Any] = {"color": INK, "linewidth": 0.8, "linestyle": (0, (4, 3))}

#: The colour map of densities and shares, from white to blue.
DENSITY = "Blues"

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.formatter.limits": (-3, 5),
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.dpi": 150,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": "#E4E7EB",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.9,
    "text.color": INK,
    # Users name targets and classes: a dollar sign in a name begins no formula.
    "text.parse_math": False,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}

#: Height of the heading, and its distance from the left, in inches.
_HEADING_HEIGHT = 0.6
_MARGIN = 0.1

#: The least size of the letters of a heading, in points.
_SMALLEST_SIZE = 5.0


@dataclass(frozen=True)
class Heading:
    """What stands above a figure.

    Attributes:
        title: the name of the split or the dataset, and what the figure shows.
        subtitle: metrics and numbers of rows.
    """

    title: str
    subtitle: str

    def showing(self, what: str) -> "Heading":
        """Return a heading whose title also says what the figure shows."""
        return replace(self, title=f"{self.title}: {what}")

    def with_remark(self, remark: str) -> "Heading":
        """Return a heading whose subtitle ends with a remark."""
        return replace(self, subtitle=f"{self.subtitle}; {remark}")


@contextmanager
def figure(
    path: str | os.PathLike, width: float, height: float, heading: Heading
) -> Iterator[Figure]:
    """Yield an empty figure, and write it when the block ends.

    Args:
        path: the PNG file to write.
        width: the width in inches.
        height: the height in inches, without the heading.
        heading: what stands above the axes.
    """
    with matplotlib.style.context(_STYLE, after_reset=True):
        whole = height + _HEADING_HEIGHT
        below_heading = (0, 0, 1, height / whole)
        layout = ConstrainedLayoutEngine(rect=below_heading, h_pad=0.08, w_pad=0.08)
        drawn = Figure(figsize=(width, whole), layout=layout)
        left, room = _MARGIN / width, width - 2 * _MARGIN
        title = drawn.text(left, 1 - 0.12 / whole, heading.title, size=11, weight="bold", va="top")
        subtitle = drawn.text(
            left, 1 - 0.37 / whole, heading.subtitle, size=8.5, color=GREY, va="top"
        )
        with _no_warnings_of_glyphs():
            _shrink(title, room)
            _shrink(subtitle, room)
        yield drawn
        image = io.BytesIO()
        with _no_warnings_of_glyphs():
            # Unlike savefig, which draws a figure twice where it has a layout.
            FigureCanvasAgg(drawn).print_png(image, metadata={"Software": None})
    write_bytes(path, image.getvalue())


@contextmanager
def _no_warnings_of_glyphs() -> Iterator[None]:
    """Draw letters that the font lacks as boxes, which is no reason to warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def _shrink(text: Text, room: float) -> None:
    """Make the letters of a text smaller, until it is no wider than the room.

    Args:
        text: the text, in a figure.
        room: the room in inches.
    """
    drawn = text.get_figure(root=True)
    assert drawn is not None, "a text of a figure"
    renderer = FigureCanvasAgg(drawn).get_renderer()
    size = float(text.get_fontsize())
    while size > _SMALLEST_SIZE and text.get_window_extent(renderer).width > room * drawn.dpi:
        size -= 0.25
        text.set_fontsize(size)


def add_colour_bar(axes: Axes, image: AxesImage, label: str, left: float = 1.03) -> Colorbar:
    """Add a bar that explains the colours of an image, beside the image and as high as it.

    Args:
        axes: the axes of the image.
        image: the image.
        label: what the colours mean.
        left: where the bar begins, in widths of the axes.
    """
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((left, 0, 0.035, 1)))
    bar.set_label(label)
    bar.outline.set_visible(False)
    return bar


def say_nothing_to_draw(axes: Axes, reason: str) -> None:
    """Write into empty axes why nothing is drawn."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=GREY)


def shortened(name: str, length: int) -> str:
    """Return a user's name for something, cut to ``length`` characters where it is longer."""
    return name if len(name) <= length else name[: length - 1] + "…"
