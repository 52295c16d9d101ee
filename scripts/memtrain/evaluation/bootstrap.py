"""Standard errors of metrics, by a bootstrap of blocks of rows in flat memory.

The states of the metrics are sums over rows. So the states of parts of the rows, added up, are the
state of all rows; and added up as often as a bootstrap draws each part, they are the state of a
resample. This makes the errors cheap: their cost does not grow with the rows, while
``torchmetrics.wrappers.BootStrapper`` computes every metric of every row once for each resample.

Rows are resampled in blocks of neighbours. In rows that are ordered in time, the neighbours of a
bad prediction are bad as well, and a bootstrap of single rows would understate the error (Künsch,
"The jackknife and the bootstrap for general stationary observations", 1989). Where rows are
independent, both give the same error.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics import MetricCollection

from memtrain.core.random_streams import random_stream

#: Blocks that the rows are cut into, unless there are fewer rows. With so many, the standard error
#: is itself uncertain by 1 / sqrt(2 * 1024), about two percent.
BLOCKS = 1024


@dataclass(frozen=True)
class Estimate:
    """A metric with its standard error.

    Attributes:
        value: the metric; None where it is not defined or not finite.
        error: its standard error, likewise; None also with fewer than two resamples.
    """

    value: float | None
    error: float | None


@dataclass(frozen=True)
class MetricSamples:
    """One metric of all rows, and of every resample of them.

    Attributes:
        values: float64 (1 + resamples, targets), those of all rows first. A metric that has one
            value however many targets there are has the shape (1 + resamples, 1).
    """

    values: torch.Tensor

    def mean_over_targets(self) -> Estimate:
        """Return the mean over the targets."""
        return _estimate(self.values.mean(dim=1))

    def of_target(self, number: int) -> Estimate:
        """Return the metric of one target."""
        return _estimate(self.values[:, number])

    def undefined(self) -> "MetricSamples":
        """Return as many samples that are all NaN."""
        return MetricSamples(torch.full_like(self.values, math.nan))


class ResampledMetrics:
    """Computes metrics of a stream of rows, and of bootstrap resamples of these rows.

    Args:
        metrics: the metrics, whose states must be sums over rows.
        rows: the number of rows that will come.
        resamples: the number of resamples to draw; 0 for none.
        seed: the seed of the resamples.
    """

    def __init__(self, metrics: MetricCollection, rows: int, resamples: int = 0, seed: int = 0):
        metrics.persistent(True)
        self._metrics = metrics
        resamples = resamples if rows > 1 else 0
        blocks = min(rows, BLOCKS) if resamples else 1
        self._borders = [rows * block // blocks for block in range(blocks + 1)]
        draws = [np.ones(blocks, np.int64), *_draw_blocks(blocks, resamples, seed)]
        # (1 + resamples, blocks): how often each block counts. In the sample itself, once.
        self._draws = torch.from_numpy(np.stack(draws))
        # Sums of the states of all samples, each (1 + resamples, ...), by metric and state.
        self._sums: dict[str, torch.Tensor] = {}
        self._block = 0
        self._rows = 0

    def update(self, predictions: torch.Tensor, target: torch.Tensor) -> None:
        """Take the next rows into account, in the form that ``build_metrics`` describes."""
        start = 0
        while start < len(target):
            if self._rows == self._borders[self._block]:
                self._metrics.reset()
            end = min(len(target), start + self._borders[self._block + 1] - self._rows)
            self._metrics.update(predictions[start:end], target[start:end])
            self._rows += end - start
            start = end
            if self._rows == self._borders[self._block + 1]:
                self._add_block()

    def compute(self) -> dict[str, MetricSamples]:
        """Return the samples of every metric, by its name."""
        samples = []
        for number in range(len(self._draws)):
            self._metrics.load_state_dict({name: sums[number] for name, sums in self._sums.items()})
            samples.append(self._metrics.compute())
        return {
            name: MetricSamples(torch.stack([sample[name].reshape(-1) for sample in samples]))
            for name in samples[0]
        }

    def _add_block(self) -> None:
        """Add the states of the block that just ended, as often as each resample has drawn it."""
        draws = self._draws[:, self._block]
        for key, state in self._states():
            drawn = draws.reshape(-1, *[1] * state.ndim) * state
            self._sums[key] = self._sums[key] + drawn if key in self._sums else drawn
        self._block += 1

    def _states(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the states of all metrics, by the keys that ``load_state_dict`` takes."""
        for name, metric in self._metrics.items():
            for state, value in metric.metric_state.items():
                if not isinstance(value, torch.Tensor):
                    raise TypeError(f"the state {state} of the metric {name} is no sum over rows")
                yield f"{name}.{state}", value


def finite(number: float) -> float | None:
    """Return a number, or None where it is NaN or infinite, which JSON does not have."""
    return number if math.isfinite(number) else None


def _estimate(samples: torch.Tensor) -> Estimate:
    """Return a metric with its standard error from its samples, float64 (1 + resamples,)."""
    error = finite(samples[1:].std().item()) if len(samples) > 2 else None
    return Estimate(finite(samples[0].item()), error)


def _draw_blocks(blocks: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield for every resample how often it draws each block, int64 (blocks,).

    A resample draws as many blocks as there are, with replacement.
    """
    generator = random_stream(seed, "bootstrap")
    for _ in range(resamples):
        yield np.bincount(generator.integers(blocks, size=blocks), minlength=blocks)
