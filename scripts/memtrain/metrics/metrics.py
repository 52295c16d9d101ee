"""The metrics of every task, in double precision.

Those of a regression are torchmetrics'. torchmetrics counts classes in a table of all pairs of
classes, under deterministic algorithms in memory of rows times that table; the metrics of classes
are therefore sums of our own, in memory of a few numbers for each class. Metrics take the columns
of ``metric_inputs`` by their names, and have one value for each target.
"""

import math

import numpy as np
import torch
from torchmetrics import Metric, MetricCollection
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

from memtrain.data.field_statistics import FieldStatistics
from memtrain.recipes.recipe import TaskKind, TrainingRecipe

#: Largest sum of squares that torchmetrics treats as zero, whatever the unit of the target.
_NEGLIGIBLE_SQUARES = 1e-4

#: Units of the scaled target in one standard deviation. R² is the same in every unit; in this one,
#: a sum of squares is negligible only if rounding alone keeps it from being zero.
_UNITS_PER_DEVIATION = 1e6

#: Equally wide bins of confidence of the calibration error.
CALIBRATION_BINS = 15


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


class RowMean(Metric):
    """The mean of a column over the rows, for each target.

    Rows that vary in length count as often as they have elements.

    Args:
        column: name of the column.
        sign: factor of the mean.
        targets: number of targets.
    """

    full_state_update = False

    total: torch.Tensor
    rows: torch.Tensor

    def __init__(self, column: str, targets: int, sign: float = 1.0):
        super().__init__(compute_with_cache=False)
        self._column = column
        self._sign = sign
        self.add_state("total", _zeros(targets), dist_reduce_fx="sum")
        self.add_state("rows", _zeros(), dist_reduce_fx="sum")

    def update(self, **columns: torch.Tensor) -> None:
        """Add rows."""
        values, elements = columns[self._column].double(), columns.get("elements")
        if elements is not None:
            self.total += (values * elements).sum(0)
            self.rows += elements.sum()
            return
        self.total += values.sum(0)
        self.rows += len(values)

    def compute(self) -> torch.Tensor:
        """Return the means, float64 (targets,)."""
        return self._sign * self.total / self.rows


class Perplexity(RowMean):
    """The perplexity of sequences: e to the power of their cross entropy in nats."""

    def __init__(self) -> None:
        super().__init__("log_probability", targets=1, sign=-1.0)

    def compute(self) -> torch.Tensor:
        """Return the perplexity, float64 (1,)."""
        return super().compute().exp()


class ClassCounts(Metric):
    """Counts of each class: rows of it, rows predicted as it, and those that are both.

    Its value is the mean F1 of the classes that occur, as truth or as prediction.

    Args:
        classes: number of classes.
    """

    full_state_update = False

    hits: torch.Tensor
    true_rows: torch.Tensor
    predicted_rows: torch.Tensor

    def __init__(self, classes: int):
        super().__init__(compute_with_cache=False)
        for name in ("hits", "true_rows", "predicted_rows"):
            self.add_state(name, _zeros(classes), dist_reduce_fx="sum")

    def update(self, true_class: torch.Tensor, predicted_class: torch.Tensor) -> None:
        """Add rows.

        Args:
            true_class: true classes, int64 (rows,).
            predicted_class: predicted classes, int64 (rows,).
        """
        classes = len(self.hits)
        self.true_rows += torch.bincount(true_class, minlength=classes)
        self.predicted_rows += torch.bincount(predicted_class, minlength=classes)
        right = true_class[true_class == predicted_class]
        self.hits += torch.bincount(right, minlength=classes)

    def compute(self) -> torch.Tensor:
        """Return the mean F1, a scalar."""
        f1 = self.f1()
        return f1[~f1.isnan()].mean()

    def f1(self) -> torch.Tensor:
        """Return the F1 of every class, float64 (classes,); NaN where a class does not occur."""
        return 2 * self.hits / (self.true_rows + self.predicted_rows)


class LabelF1(Metric):
    """F1 of the label yes, for each target; NaN where no row is yes, in truth or by prediction.

    Args:
        targets: number of targets.
    """

    full_state_update = False

    hits: torch.Tensor
    claims: torch.Tensor

    def __init__(self, targets: int):
        super().__init__(compute_with_cache=False)
        self.add_state("hits", _zeros(targets), dist_reduce_fx="sum")
        self.add_state("claims", _zeros(targets), dist_reduce_fx="sum")

    def update(self, is_yes: torch.Tensor, said_yes: torch.Tensor) -> None:
        """Add rows.

        Args:
            is_yes: whether the target is yes, bool (rows, targets).
            said_yes: whether yes was predicted, bool (rows, targets).
        """
        self.hits += (is_yes & said_yes).sum(0)
        self.claims += is_yes.sum(0) + said_yes.sum(0)

    def compute(self) -> torch.Tensor:
        """Return F1, float64 (targets,)."""
        return 2 * self.hits / self.claims


class CalibrationError(Metric):
    """The expected calibration error: how far confidence is from the share that comes true.

    The rows are cut into bins of equal width by their confidence. The error is the distance between
    the mean confidence of a bin and the share of its rows that came true, averaged over the rows
    (Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", 2015).

    Args:
        targets: number of targets.
    """

    full_state_update = False

    rows: torch.Tensor
    gap: torch.Tensor

    def __init__(self, targets: int):
        super().__init__(compute_with_cache=False)
        self.add_state("rows", _zeros(), dist_reduce_fx="sum")
        self.add_state("gap", _zeros(targets, CALIBRATION_BINS), dist_reduce_fx="sum")

    def update(self, confidence: torch.Tensor, came_true: torch.Tensor) -> None:
        """Add rows.

        Args:
            confidence: probabilities, float64 (rows, targets).
            came_true: whether what they speak of is so, bool (rows, targets).
        """
        # A prediction that is NaN is counted by the tally, which leaves all metrics empty.
        bins = (confidence.nan_to_num() * CALIBRATION_BINS).long().clamp(0, CALIBRATION_BINS - 1)
        for target, column in enumerate(bins.T):
            difference = confidence[:, target] - came_true[:, target].double()
            self.gap[target] += torch.bincount(column, difference, CALIBRATION_BINS)
        self.rows += len(confidence)

    def compute(self) -> torch.Tensor:
        """Return the errors, float64 (targets,)."""
        return self.gap.abs().sum(1) / self.rows


def build_metrics(
    recipe: TrainingRecipe, task: TaskKind, *, has_probabilities: bool
) -> MetricCollection:
    """Return the metrics of a task, by their names.

    Args:
        recipe: training part of the recipe.
        task: kind of task that the model does; "other" has none of these metrics.
        has_probabilities: whether the predictions of labels or classes are probabilities.
    """
    targets = recipe.targets
    metrics: dict[str, Metric | MetricCollection]
    if task == "other":
        metrics = {}
    elif task == "regression":
        metrics = _regression_metrics(recipe)
    elif task == "sequence":
        metrics = _sequence_metrics()
    else:
        is_binary = task == "binary"
        f1 = LabelF1(targets) if is_binary else ClassCounts(recipe.task.class_count)
        metrics = {"accuracy": RowMean("is_right", targets), "f1": f1}
        if has_probabilities:
            metrics["cross_entropy"] = RowMean("log_probability", targets, sign=-1.0)
            metrics["calibration_error"] = CalibrationError(targets)
    return MetricCollection(metrics, compute_groups=False).set_dtype(torch.float64)


def _zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def _regression_metrics(recipe: TrainingRecipe) -> dict[str, Metric | MetricCollection]:
    targets = recipe.targets
    return {
        "r2": R2OrNaN(recipe.statistics_of("target")),
        "rmse": MeanSquaredError(squared=False, num_outputs=targets, compute_with_cache=False),
        "mae": MeanAbsoluteError(num_outputs=targets, compute_with_cache=False),
        "mse": MeanSquaredError(num_outputs=targets, compute_with_cache=False),
    }


def _sequence_metrics() -> dict[str, Metric | MetricCollection]:
    return {
        "bits_per_element": RowMean("log_probability", 1, sign=-1 / math.log(2)),
        "perplexity": Perplexity(),
        "cross_entropy": RowMean("log_probability", 1, sign=-1.0),
        "accuracy": RowMean("is_right", 1),
    }
