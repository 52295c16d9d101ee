"""The metrics of every task, in double precision, from torchmetrics.

A regression gives its metrics predictions and true values, both float64 (rows, targets); they have
one value for each target. A classification gives them log-probabilities, float64 (rows, classes),
and true classes, int64 (rows,).
"""

import math

import numpy as np
import torch
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

from memtrain.data.field_statistics import FieldStatistics
from memtrain.recipes.recipe import TrainingRecipe

#: Largest sum of squares that torchmetrics treats as zero, whatever the unit of the target.
_NEGLIGIBLE_SQUARES = 1e-4

#: Units of the scaled target in one standard deviation. R² is the same in every unit; in this one,
#: a sum of squares is negligible only if rounding alone keeps it from being zero.
_UNITS_PER_DEVIATION = 1e6


class R2OrNaN(R2Score):
    """R² of every target; NaN where it is undefined: for a constant target, or for a single row.

    Args:
        statistics: statistics of the target over the training rows. They centre and scale the
            values, so that no digits cancel in the sums of squares.
    """

    total: torch.Tensor
    residual: torch.Tensor
    sum_error: torch.Tensor
    sum_squared_error: torch.Tensor

    def __init__(self, statistics: FieldStatistics):
        super().__init__(multioutput="raw_values", compute_with_cache=False)
        deviation = statistics.standard_deviation
        unit = np.where(deviation > 0, deviation, 1.0) / _UNITS_PER_DEVIATION
        self._mean = torch.from_numpy(statistics.mean)
        self._unit = torch.from_numpy(unit)

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Add rows.

        Args:
            preds: the predictions, float64 (rows, targets).
            target: the true values, float64 (rows, targets).
        """
        super().update((preds - self._mean) / self._unit, (target - self._mean) / self._unit)

    def compute(self) -> torch.Tensor:
        """Return R², float64 (targets,)."""
        undefined = torch.full_like(self.residual, math.nan)
        if self.total < 2:
            return undefined
        spread = self.sum_squared_error - self.sum_error**2 / self.total
        return torch.where(spread > _NEGLIGIBLE_SQUARES, super().compute(), undefined)


class CrossEntropy(Metric):
    """The mean negative logarithm of the probability of the true class."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    summed_losses: torch.Tensor
    rows: torch.Tensor

    def __init__(self) -> None:
        super().__init__(compute_with_cache=False)
        self.add_state("summed_losses", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("rows", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, log_probabilities: torch.Tensor, target: torch.Tensor) -> None:
        """Add rows.

        Args:
            log_probabilities: the predictions, float64 (rows, classes).
            target: the true classes, int64 (rows,).
        """
        self.summed_losses += (-log_probabilities.gather(1, target[:, None])).sum()
        self.rows += len(target)

    def compute(self) -> torch.Tensor:
        """Return the cross entropy in nats, a scalar."""
        return self.summed_losses / self.rows


def build_metrics(recipe: TrainingRecipe) -> MetricCollection:
    """Return the metrics of a recipe's task, by their names."""
    if recipe.task.kind == "classification":
        metrics = _classification_metrics(recipe.task.class_count)
    else:
        metrics = _regression_metrics(recipe)
    return MetricCollection(metrics, compute_groups=False).set_dtype(torch.float64)


def _classification_metrics(classes: int) -> dict[str, Metric | MetricCollection]:
    return {
        "accuracy": MulticlassAccuracy(
            classes, average="micro", validate_args=False, compute_with_cache=False
        ),
        "f1": MulticlassF1Score(
            classes, average="macro", validate_args=False, compute_with_cache=False
        ),
        "cross_entropy": CrossEntropy(),
    }


def _regression_metrics(recipe: TrainingRecipe) -> dict[str, Metric | MetricCollection]:
    targets = recipe.targets
    return {
        "r2": R2OrNaN(recipe.statistics_of("target")),
        "rmse": MeanSquaredError(squared=False, num_outputs=targets, compute_with_cache=False),
        "mae": MeanAbsoluteError(num_outputs=targets, compute_with_cache=False),
        "mse": MeanSquaredError(num_outputs=targets, compute_with_cache=False),
    }
