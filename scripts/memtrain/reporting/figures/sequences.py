"""The figures of sequences: bits for an element, from row to row and how often."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from memtrain.evaluation.predictions import Predictions
from memtrain.evaluation.result import Evaluation
from memtrain.reporting.figures.style import (
    BLUE,
    ORANGE,
    REFERENCE,
    Heading,
    figure,
    say_nothing_to_draw,
)

#: Runs of neighbouring rows, each of which is one point.
_MOST_POINTS = 200

_BINS = 60


@dataclass(frozen=True)
class _Bits:
    """Bits for an element, of the rows whose predictions are finite.

    Attributes:
        place: the middle of each run of neighbouring rows, counted from 0, float64 (runs,).
        mean: mean of the rows of each run, float64 (runs,).
        edges: borders of the bins, float64 (bins + 1,).
        rows: rows in each bin, int64 (bins,).
    """

    place: np.ndarray
    mean: np.ndarray
    edges: np.ndarray
    rows: np.ndarray


def draw_sequences(
    *,
    predictions_path: str | os.PathLike,
    errors_path: str | os.PathLike,
    heading: Heading,
    evaluation: Evaluation,
    predictions: Predictions,
) -> None:
    """Draw the bits for an element along the evaluation rows, and how often they occur.

    Args:
        predictions_path: the PNG file of the bits along the rows.
        errors_path: the PNG file of how often they occur.
        heading: the heading of both figures, to which each adds what it shows.
        evaluation: the evaluation of the model.
        predictions: the predictions of the model.
    """
    label = evaluation.labels["bits_per_element"]
    bits = _count(predictions)
    figures: list[tuple[str | os.PathLike, str, Callable[[Axes, _Bits], None]]] = [
        (predictions_path, f"{label}, row by row", _draw_along_rows),
        (errors_path, f"{label}, rows", _draw_histogram),
    ]
    for path, title, draw in figures:
        with figure(path, 6.4, 3.4, heading.showing(title)) as drawn:
            axes = drawn.subplots()
            if bits is None:
                say_nothing_to_draw(axes, "No prediction is finite.")
                continue
            draw(axes, bits)
            _draw_levels(axes, evaluation, is_upright=draw is _draw_histogram)
            axes.set(**{"xlabel" if draw is _draw_histogram else "ylabel": label})
            axes.legend()


def _draw_along_rows(axes: Axes, bits: _Bits) -> None:
    axes.plot(bits.place, bits.mean, color=BLUE, linewidth=1, label="model")
    axes.set(xlabel="evaluation rows, in their order")
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _draw_histogram(axes: Axes, bits: _Bits) -> None:
    axes.stairs(bits.rows, bits.edges, fill=True, color=BLUE, alpha=0.55, label="rows")
    axes.set(ylabel="rows")


def _draw_levels(axes: Axes, evaluation: Evaluation, *, is_upright: bool) -> None:
    """Draw lines at the means of the model and of the baseline."""
    draw = axes.axvline if is_upright else axes.axhline
    mean = evaluation.metrics["bits_per_element"]
    if mean is not None:
        draw(mean, **REFERENCE, label="mean")
    baseline = evaluation.baseline["bits_per_element"]
    if baseline is not None:
        draw(baseline, color=ORANGE, linewidth=1.2, label="baseline: unigram model")


def _count(predictions: Predictions) -> _Bits | None:
    """Return what is drawn; None where no prediction is finite. Memory does not grow with rows."""
    runs = max(1, min(len(predictions), _MOST_POINTS))
    total, count, place = np.zeros(runs), np.zeros(runs, np.int64), np.zeros(runs)
    low, high = math.inf, -math.inf
    for numbers, bits in _finite(predictions):
        run = numbers * runs // len(predictions)
        total += np.bincount(run, bits, runs)
        place += np.bincount(run, numbers, runs)
        count += np.bincount(run, minlength=runs)
        low, high = min(low, float(bits.min())), max(high, float(bits.max()))
    if not count.any():
        return None
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    rows = sum(np.histogram(bits, edges)[0] for _, bits in _finite(predictions))
    seen = count > 0
    return _Bits(place[seen] / count[seen], total[seen] / count[seen], edges, np.asarray(rows))


def _finite(predictions: Predictions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the places of some rows, int64 (rows,), and their bits, float64 (rows,)."""
    start = 0
    for nats in predictions.cross_entropies():
        found = np.flatnonzero(np.isfinite(nats))
        if len(found):
            yield start + found, nats[found] / math.log(2)
        start += len(nats)
