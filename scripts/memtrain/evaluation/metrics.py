"""How good predictions are: the metrics of torchmetrics, and their standard errors.

The states of these metrics are sums over rows. So the states of parts of the rows, added up, are
the state of all of them; and added up with the numbers of times that a bootstrap draws each part,
they are the state of a resample. Rows are resampled in blocks of neighbours: in rows that are
ordered in time the neighbours of a bad prediction are bad as well, and a bootstrap of single rows
would understate the error (Künsch, "The jackknife and the bootstrap for general stationary
observations", 1989). Where rows are independent both give the same. It is also what makes the
errors cheap: their cost does not grow with the rows, where ``torchmetrics.wrappers.BootStrapper``
computes every metric of every row once a resample.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

from memtrain.core.random_streams import stream
from memtrain.data.field_statistics import FieldStatistics
from memtrain.recipes.recipe import TrainingRecipe

#: Blocks that the rows are resampled in, unless there are fewer rows. So many leave the standard
#: error itself uncertain by 1 / sqrt(2 * 1024), about two percent.
BLOCKS = 1024

#: torchmetrics takes sums of squares below 1e-4 for zero, whatever the unit of the target. R² is
#: the same in every unit; in this many to a standard deviation, such sums are zero.
_UNITS_PER_DEVIATION = 1e6
_NEGLIGIBLE = 1e-4


class DefinedR2(R2Score):
    """R² of every target; NaN where the target is constant and R² is not defined.

    Args:
        statistics: of the target over the training rows, for sums that do not cancel.
    """

    def __init__(self, statistics: FieldStatistics):
        super().__init__(multioutput="raw_values", compute_with_cache=False)
        deviation = statistics.standard_deviation
        unit = np.where(deviation > 0, deviation, 1.0) / _UNITS_PER_DEVIATION
        self._mean, self._unit = torch.from_numpy(statistics.mean), torch.from_numpy(unit)

    def update(self, predictions: torch.Tensor, target: torch.Tensor) -> None:
        """Take rows into account: both float64 (rows, targets)."""
        super().update((predictions - self._mean) / self._unit, (target - self._mean) / self._unit)

    def compute(self) -> torch.Tensor:
        """Return R², float64 (targets,)."""
        nothing = torch.full_like(self.residual, math.nan)
        if self.total < 2:
            return nothing
        spread = self.sum_squared_error - self.sum_error**2 / self.total
        return torch.where(spread > _NEGLIGIBLE, super().compute(), nothing)


class CrossEntropy(MeanMetric):
    """The mean of minus the logarithm of the probability that the true class was given."""

    def __init__(self):
        super().__init__(nan_strategy="disable", compute_with_cache=False)

    def update(self, log_probabilities: torch.Tensor, target: torch.Tensor) -> None:
        """Take rows into account: float64 (rows, classes) and int64 (rows,)."""
        super().update(-log_probabilities.gather(1, target[:, np.newaxis]))


def build_metrics(recipe: TrainingRecipe) -> MetricCollection:
    """Return the metrics of a task, in double precision.

    Of a regression they take predictions and target, float64 (rows, targets), and give a value
    for every target; of a classification, log-probabilities float64 (rows, classes) and the true
    classes int64 (rows,).
    """
    if recipe.task.kind == "classification":
        options = {"validate_args": False, "compute_with_cache": False}
        metrics = {
            "accuracy": MulticlassAccuracy(recipe.task.classes, average="micro", **options),
            "f1": MulticlassF1Score(recipe.task.classes, average="macro", **options),
            "cross_entropy": CrossEntropy(),
        }
    else:
        options = {"num_outputs": recipe.targets, "compute_with_cache": False}
        metrics = {
            "r2": DefinedR2(recipe.statistics_of("target")),
            "rmse": MeanSquaredError(squared=False, **options),
            "mae": MeanAbsoluteError(**options),
            "mse": MeanSquaredError(**options),
        }
    return MetricCollection(metrics, compute_groups=False).set_dtype(torch.float64)


class ResampledMetrics:
    """Metrics of a stream of rows and of bootstrap resamples of them, in flat memory.

    Args:
        metrics: whose states are sums over rows.
        rows: how many rows will come.
        resamples: how many resamples are drawn; 0 for none.
        seed: of the resamples.
    """

    def __init__(self, metrics: MetricCollection, rows: int, resamples: int = 0, seed: int = 0):
        metrics.persistent(True)
        self._metrics = metrics
        resamples = resamples if rows > 1 else 0
        blocks = min(rows, BLOCKS) if resamples else 1
        self._borders = [rows * block // blocks for block in range(blocks + 1)]
        # (1 + resamples, blocks): how often each block is counted; once, in the sample itself.
        self._counts = torch.from_numpy(
            np.stack([np.ones(blocks, np.int64), *_draw_blocks(blocks, resamples, seed)])
        )
        self._sums: dict[str, torch.Tensor] = {}
        self._block = self._rows = 0

    def update(self, predictions: torch.Tensor, target: torch.Tensor) -> None:
        """Take the next rows into account, as ``build_metrics`` says."""
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

    def compute(self) -> dict[str, torch.Tensor]:
        """Return the metrics, float64 (1 + resamples, targets): of the rows, of every resample.

        A metric that has one value whatever the targets has the shape (1 + resamples, 1).
        """
        samples = []
        for number in range(len(self._counts)):
            self._metrics.load_state_dict({name: sums[number] for name, sums in self._sums.items()})
            samples.append(self._metrics.compute())
        return {
            name: torch.stack([sample[name].reshape(-1) for sample in samples])
            for name in samples[0]
        }

    def _add_block(self) -> None:
        """Add the states of a whole block, as often as every resample has drawn it."""
        counts = self._counts[:, self._block]
        for name, metric in self._metrics.items():
            for state, value in metric.metric_state.items():
                key, counted = f"{name}.{state}", counts.reshape(-1, *[1] * value.ndim) * value
                self._sums[key] = self._sums[key] + counted if key in self._sums else counted
        self._block += 1


def value_of(samples: torch.Tensor) -> float | None:
    """Return the value of a metric from its samples (1 + resamples,); None where undefined."""
    return finite(samples[0].item())


def error_of(samples: torch.Tensor) -> float | None:
    """Return the standard error of a metric, likewise; None with less than two resamples."""
    return finite(samples[1:].std().item()) if len(samples) > 2 else None


def finite(number: float) -> float | None:
    """Return a number, or None where it is NaN or infinite, which JSON does not have."""
    return number if math.isfinite(number) else None


def _draw_blocks(blocks: int, resamples: int, seed: int) -> Sequence[np.ndarray]:
    """Return int64 (resamples, blocks): how often each block is drawn, with replacement."""
    generator = stream(seed, "bootstrap")
    return [
        np.bincount(generator.integers(blocks, size=blocks), minlength=blocks)
        for _ in range(resamples)
    ]
