"""One look for all figures, and the same bytes for the same numbers.

Figures are drawn without pyplot and without what a user's ``matplotlibrc`` says, and their files
hold neither a date nor a version.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from memtrain.system.atomic_files import write_bytes

# Colours that also those can tell apart who see red and green alike (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#6B717B", "#22262B"

PALE = "#C9CED6"

#: A line that others are measured by.
REFERENCE = {"color": INK, "linewidth": 0.8, "linestyle": (0, (4, 3))}

#: From few to many.
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
    # Names of targets and classes are the user's: a dollar in them is a dollar.
    "text.parse_math": False,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}

#: Inches above the axes, for title and subtitle.
_HEAD = 0.6
_MARGIN = 0.1


@dataclass(frozen=True)
class Head:
    """What stands above a figure: ``title``, what is seen, and ``subtitle``, of how much."""

    title: str
    subtitle: str

    def adding(self, remark: str) -> "Head":
        """Return the same with a remark behind the subtitle."""
        return replace(self, subtitle=f"{self.subtitle}; {remark}")


@contextmanager
def figure(path: str | os.PathLike, width: float, height: float, head: Head) -> Iterator[Figure]:
    """Yield an empty figure; it stands at ``path``, a PNG file, when the block ends.

    Args:
        path: of the file.
        width: in inches.
        height: in inches, without the title.
        head: what stands above the axes.
    """
    with matplotlib.style.context(_STYLE, after_reset=True):
        whole = height + _HEAD
        drawn = Figure(figsize=(width, whole), layout="constrained")
        drawn.get_layout_engine().set(rect=(0, 0, 1, height / whole), h_pad=0.08, w_pad=0.08)
        place = {"x": _MARGIN / width, "ha": "left", "va": "top"}
        drawn.text(y=1 - 0.12 / whole, s=head.title, size=11, weight="bold", **place)
        drawn.text(y=1 - 0.37 / whole, s=head.subtitle, size=8.5, color=GREY, **place)
        yield drawn
        image = io.BytesIO()
        with warnings.catch_warnings():
            # A name in letters that the font lacks is drawn as boxes.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            drawn.savefig(image, format="png", metadata={"Software": None})
    write_bytes(path, image.getvalue())


def add_colour_bar(axes: Axes, image: AxesImage, label: str, left: float = 1.03) -> Colorbar:
    """Explain the colours of an image beside it, as high as the image is.

    Args:
        axes: of the image.
        image: whose colours they are.
        label: what they mean.
        left: where the bar begins, in widths of the axes.
    """
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((left, 0, 0.035, 1)))
    bar.set_label(label)
    bar.outline.set_visible(False)
    return bar


def say_nothing_to_draw(axes: Axes, reason: str) -> None:
    """Leave axes empty but for a sentence that says why."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=GREY)


def shortened(name: str, length: int) -> str:
    """Return a name of the user's, cut where it is longer than a figure has room for."""
    return name if len(name) <= length else name[: length - 1] + "…"
