"""Standard errors of metrics, by a bootstrap of blocks of rows in flat memory.

The state of a metric is a sum over rows. The rows are cut into blocks of neighbours, and the states
of the blocks add up to the state of all rows. The state of a resample is the same sum, with every
block counted as often as the bootstrap drew it. So resamples are cheap: they need no row again,
while ``torchmetrics.wrappers.BootStrapper`` updates every metric with all rows for each resample.

Blocks are drawn, and not single rows, since rows may be ordered in time: the neighbours of a bad
prediction are then bad as well, and a bootstrap of single rows would understate the error (Künsch,
"The jackknife and the bootstrap for general stationary observations", 1989). Where rows are
independent, both give the same error.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics import Metric, MetricCollection

from memtrain.core.random_streams import random_stream

#: Number of blocks that the rows are cut into; with fewer rows, each row is a block. With so many
#: blocks, the standard error is itself uncertain by 1 / sqrt(2 * 1024), about two percent.
BLOCKS = 1024

#: Share of the numbers of a state up to which they are added one by one.
_FEW = 0.25


@dataclass(frozen=True)
class Estimate:
    """A metric with its standard error.

    Attributes:
        value: the metric; None where it is not defined or not finite.
        error: the standard error of the metric; None where it is not finite, or with fewer than two
            resamples.
    """

    value: float | None
    error: float | None


@dataclass(frozen=True)
class MetricSamples:
    """The values of one metric: over all rows, and over every resample of the rows.

    Attributes:
        values: float64 (1 + resamples, targets), with the values over all rows at index 0. A metric
            that has one value for all targets together has the shape (1 + resamples, 1).
    """

    values: torch.Tensor

    @classmethod
    def of_values(cls, values: Sequence[float]) -> "MetricSamples":
        """Return samples without resamples, with a value for each target."""
        return cls(torch.tensor([values], dtype=torch.float64))

    def mean_over_targets(self) -> Estimate:
        """Return the mean over the targets."""
        return _estimate(self.values.mean(dim=1))

    def target_estimate(self, number: int) -> Estimate:
        """Return the metric of one target, whose number counts from 0."""
        return _estimate(self.values[:, number])

    def undefined(self) -> "MetricSamples":
        """Return samples of the same shape that are all NaN."""
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
        # How often each block counts, (1 + resamples, blocks). All rows count every block once.
        self._draws = torch.from_numpy(np.stack(draws))
        # Sums of the states of all samples, each (1 + resamples, ...), by metric and state.
        self._sums: dict[str, torch.Tensor] = {}
        self._block = 0
        self._rows = 0

    def update(self, **columns: torch.Tensor) -> None:
        """Add the next rows: columns by their names, each (rows, ...)."""
        start, rows = 0, len(next(iter(columns.values())))
        while start < rows:
            if self._rows == self._borders[self._block]:
                self._metrics.reset()
            end = min(rows, start + self._borders[self._block + 1] - self._rows)
            self._metrics.update(**{name: part[start:end] for name, part in columns.items()})
            self._rows += end - start
            start = end
            if self._rows == self._borders[self._block + 1]:
                self._add_block()

    def compute(self) -> dict[str, MetricSamples]:
        """Return the samples of every metric, by its name."""
        samples = []
        for number in range(len(self._draws)):
            self._load(number)
            samples.append(self._metrics.compute())
        self._load(0)
        return {
            name: MetricSamples(torch.stack([sample[name].reshape(-1) for sample in samples]))
            for name in samples[0]
        }

    def metric(self, name: str) -> Metric:
        """Return a metric with the state of all rows, once ``compute`` was called."""
        return self._metrics[name]

    def _load(self, sample: int) -> None:
        self._metrics.load_state_dict({key: sums[sample] for key, sums in self._sums.items()})

    def _add_block(self) -> None:
        """Add the states of the block that just ended to each sample that has drawn it."""
        draws = self._draws[:, self._block]
        for key, state in self._states():
            if key not in self._sums:
                self._sums[key] = torch.zeros(len(draws), *state.shape, dtype=state.dtype)
            sums, flat = self._sums[key].view(len(draws), -1), state.reshape(-1)
            # A block has rows of few of very many classes, and the others add nothing.
            touched = flat.nonzero().reshape(-1)
            if len(touched) < len(flat) * _FEW:
                sums[:, touched] += draws[:, None] * flat[touched]
            else:
                sums += draws[:, None] * flat
        self._block += 1

    def _states(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the states of all metrics, by the keys that ``load_state_dict`` takes."""
        for name, metric in self._metrics.items():
            for state, value in metric.metric_state.items():
                if not isinstance(value, torch.Tensor):
                    raise TypeError(
                        f"the state {state} of the metric {name} is not a sum over rows"
                    )
                yield f"{name}.{state}", value


def finite(number: float) -> float | None:
    """Return a number, or None where it is NaN or infinite, which JSON does not have."""
    return number if math.isfinite(number) else None


def _estimate(samples: torch.Tensor) -> Estimate:
    """Return a metric with its standard error from its samples, float64 (1 + resamples,)."""
    error = finite(samples[1:].std().item()) if len(samples) > 2 else None
    return Estimate(finite(samples[0].item()), error)


def _draw_blocks(blocks: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each block is drawn, int64 (blocks,), resample by resample.

    A resample draws as many blocks as there are, with replacement.
    """
    generator = random_stream(seed, "bootstrap")
    for _ in range(resamples):
        yield np.bincount(generator.integers(blocks, size=blocks), minlength=blocks)
