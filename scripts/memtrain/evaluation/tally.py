"""Sums up evaluated rows, batch by batch, into an evaluation."""

import logging
from dataclasses import dataclass

import numpy as np
import torch

from memtrain.evaluation.bootstrap import Estimate, MetricSamples, ResampledMetrics, finite
from memtrain.evaluation.metrics import build_metrics
from memtrain.evaluation.model_outputs import baseline_prediction
from memtrain.evaluation.result import Evaluation, Metrics, TargetEvaluation, TaskKind
from memtrain.recipes.recipe import Recipe

_log = logging.getLogger(__name__)

Samples = dict[str, MetricSamples]
Estimates = dict[str, Estimate]


@dataclass(frozen=True)
class EvaluatedBatch:
    """A batch of evaluation rows with the predictions of the model.

    Attributes:
        row_numbers: the numbers of the rows in the data file, int64 (rows,).
        true_values: the true numbers, float64 (rows, targets); or the true classes, int64 (rows,).
        predictions: the predicted numbers, float64 (rows, targets); or the log-probabilities of the
            classes, float64 (rows, classes).
        summed_loss: the sum of the training losses of the rows.
    """

    row_numbers: np.ndarray
    true_values: torch.Tensor
    predictions: torch.Tensor
    summed_loss: float


@dataclass(frozen=True)
class ModelFacts:
    """Facts about the model that its evaluation needs or repeats.

    Attributes:
        parameters: the number of trained parameters.
        steps: the number of optimizer steps of the training.
        keeps_target: whether the transform leaves the target as it is in the file. If not, neither
            the baseline nor the lowest loss is known, since both refer to the target in the file.
    """

    parameters: int
    steps: int
    keeps_target: bool


class Tally:
    """Sums up batches into an evaluation, in memory that does not grow with the rows.

    Args:
        recipe: the recipe of the split.
        task: kind of task that the model does. For the task "other", only the loss is computed.
    """

    def __init__(self, recipe: Recipe, task: TaskKind):
        self._recipe = recipe
        self._task: TaskKind = task
        self._baseline_prediction = baseline_prediction(recipe.training)
        rows, settings = recipe.evaluation.rows.count, recipe.evaluation.settings
        self._metrics = ResampledMetrics(
            build_metrics(recipe.training), rows, settings.bootstrap, settings.seed
        )
        self._baseline_metrics = ResampledMetrics(build_metrics(recipe.training), rows)
        self._rows = 0
        self._summed_loss = 0.0
        self._nonfinite_rows = 0
        self._first_nonfinite_row: int | None = None

    def add(self, batch: EvaluatedBatch, stored_predictions: np.ndarray) -> None:
        """Add a batch.

        Args:
            batch: the rows with their predictions.
            stored_predictions: the predictions as ``predictions.npy`` holds them, float32
                (rows, outputs). A prediction beyond the range of float32 is infinite there.
        """
        if self._task != "other":
            baseline = self._baseline_prediction.expand(len(batch.row_numbers), -1)
            self._metrics.update(batch.predictions, batch.true_values)
            self._baseline_metrics.update(baseline, batch.true_values)
        self._summed_loss += batch.summed_loss
        nonfinite = ~np.isfinite(stored_predictions).all(axis=1)
        if nonfinite.any() and self._first_nonfinite_row is None:
            self._first_nonfinite_row = int(batch.row_numbers[nonfinite.argmax()])
        self._nonfinite_rows += int(nonfinite.sum())
        self._rows += len(batch.row_numbers)

    def result(self, model: ModelFacts) -> Evaluation:
        """Return the evaluation of all batches, and warn if predictions are not finite.

        Args:
            model: facts about the model.
        """
        self._warn_of_nonfinite()
        recipe = self._recipe
        samples = self._samples()
        baseline = self._baseline_samples(model.keeps_target)
        quality = _means_over_targets(samples)
        metrics = _values(quality)
        lowest_loss = recipe.evaluation.lowest_loss if model.keeps_target else None
        return Evaluation(
            split=recipe.split,
            task=self._task,
            rows=self._rows,
            ranges=recipe.evaluation.rows.ranges,
            nonfinite_rows=self._nonfinite_rows,
            metrics=metrics,
            errors=_standard_errors(quality),
            baseline=_values(_means_over_targets(baseline)),
            loss=finite(self._summed_loss / self._rows),
            lowest_loss=lowest_loss,
            ratio_to_lowest_loss=_ratio_to_lowest_loss(metrics, lowest_loss),
            recipe=recipe.digest("training"),
            evaluation_recipe=recipe.digest("evaluation"),
            parameters=model.parameters,
            steps=model.steps,
            per_target=self._per_target(samples, baseline),
        )

    def _warn_of_nonfinite(self) -> None:
        if self._nonfinite_rows:
            _log.warning(
                f"split {self._recipe.split}: the model's predictions are NaN or infinite for "
                f"{self._nonfinite_rows:,} of {self._rows:,} rows, first for row "
                f"{self._first_nonfinite_row}. Its metrics are left empty. Look at that row and at "
                "the learning curve; a lower learning rate (training.optimizer.lr) often helps."
            )

    def _samples(self) -> Samples:
        """Return samples of the model's metrics, all NaN if a prediction is not finite."""
        samples = self._metrics.compute() if self._task != "other" else self._loss_samples()
        return _undefined(samples) if self._nonfinite_rows else samples

    def _baseline_samples(self, keeps_target: bool) -> Samples:
        """Return samples of the baseline's metrics, all NaN if the baseline is not known."""
        if self._task == "other":
            return _undefined(self._loss_samples())
        samples = self._baseline_metrics.compute()
        is_known = keeps_target and not self._baseline_prediction.isnan().any()
        return samples if is_known else _undefined(samples)

    def _loss_samples(self) -> Samples:
        """Return the mean loss of a row as a metric, without resamples."""
        loss = torch.tensor([[self._summed_loss / self._rows]], dtype=torch.float64)
        return {"loss": MetricSamples(loss)}

    def _per_target(
        self, samples: Samples, baseline: Samples
    ) -> dict[str, TargetEvaluation] | None:
        """Return the metrics of every target; None for a single target or the task "other"."""
        names = self._recipe.training.task.target
        if self._task == "other" or len(names) == 1:
            return None
        evaluations = {}
        for number, name in enumerate(names):
            estimates = _target_estimates(samples, number)
            evaluations[name] = TargetEvaluation(
                metrics=_values(estimates),
                errors=_standard_errors(estimates),
                baseline=_values(_target_estimates(baseline, number)),
            )
        return evaluations


def _undefined(samples: Samples) -> Samples:
    return {name: part.undefined() for name, part in samples.items()}


def _means_over_targets(samples: Samples) -> Estimates:
    return {metric: part.mean_over_targets() for metric, part in samples.items()}


def _target_estimates(samples: Samples, target: int) -> Estimates:
    return {metric: part.target_estimate(target) for metric, part in samples.items()}


def _values(estimates: Estimates) -> Metrics:
    return {name: estimate.value for name, estimate in estimates.items()}


def _standard_errors(estimates: Estimates) -> Metrics:
    return {name: estimate.error for name, estimate in estimates.items()}


def _ratio_to_lowest_loss(metrics: Metrics, lowest_loss: float | None) -> float | None:
    """Return the model's loss divided by the lowest loss; None if unknown, or if that is 0."""
    loss = metrics.get("mse", metrics.get("cross_entropy"))
    return None if loss is None or not lowest_loss else finite(loss / lowest_loss)
