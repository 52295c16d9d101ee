"""Adds up evaluated rows, batch by batch, to an evaluation."""

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
    """Some rows and what the model predicts for them.

    Attributes:
        rows: int64 (rows,), their numbers in the data file.
        true: float64 (rows, targets), or the true classes, int64 (rows,).
        predicted: float64 (rows, targets), or log-probabilities (rows, classes).
        summed_loss: the sum of the training losses of the rows.
    """

    rows: np.ndarray
    true: torch.Tensor
    predicted: torch.Tensor
    summed_loss: float


@dataclass(frozen=True)
class TrainedModel:
    """What an evaluation says of the model itself.

    Attributes:
        parameters: the number of its trained parameters.
        steps: the optimizer steps of its training.
        keeps_target: whether its transform leaves the target as it is in the file. If not, neither
            the baseline nor the lowest loss is known, since both speak of the target in the file.
    """

    parameters: int
    steps: int
    keeps_target: bool


class Tally:
    """Adds up batches to an evaluation, in flat memory.

    Args:
        recipe: the recipe of the split.
        task: what the model does. For the task "other", only the loss is computed.
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

    def add(self, batch: EvaluatedBatch, written: np.ndarray) -> None:
        """Take a batch into account.

        Args:
            batch: the rows.
            written: their predictions as ``predictions.npy`` holds them, float32 (rows, outputs).
        """
        if self._task != "other":
            baseline = self._baseline_prediction.expand(len(batch.rows), -1)
            self._metrics.update(batch.predicted, batch.true)
            self._baseline_metrics.update(baseline, batch.true)
        self._summed_loss += batch.summed_loss
        nonfinite = ~np.isfinite(written).all(axis=1)
        if nonfinite.any() and self._first_nonfinite_row is None:
            self._first_nonfinite_row = int(batch.rows[nonfinite.argmax()])
        self._nonfinite_rows += int(nonfinite.sum())
        self._rows += len(batch.rows)

    def result(self, model: TrainedModel) -> Evaluation:
        """Return the evaluation of all batches, and warn if predictions are not finite.

        Args:
            model: the facts about the model that the evaluation repeats.
        """
        self._warn_of_nonfinite()
        recipe = self._recipe
        samples = self._samples()
        baseline = self._baseline_samples(model.keeps_target)
        quality = _over_targets(samples)
        metrics = _values(quality)
        lowest_loss = recipe.evaluation.lowest_loss if model.keeps_target else None
        return Evaluation(
            split=recipe.split,
            task=self._task,
            rows=self._rows,
            ranges=recipe.evaluation.rows.ranges,
            nonfinite_rows=self._nonfinite_rows,
            metrics=metrics,
            errors=_errors(quality),
            baseline=_values(_over_targets(baseline)),
            loss=finite(self._summed_loss / self._rows),
            lowest_loss=lowest_loss,
            ratio_to_lowest_loss=_ratio(metrics, lowest_loss),
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
        """Return the samples of the model's metrics; undefined where a prediction is not finite."""
        samples = self._metrics.compute() if self._task != "other" else self._loss_samples()
        return _undefined(samples) if self._nonfinite_rows else samples

    def _baseline_samples(self, keeps_target: bool) -> Samples:
        """Return the samples of the baseline's metrics; undefined where it is not known."""
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
        """Return the metrics of every target; None where there is one target, or none known."""
        names = self._recipe.training.task.target
        if self._task == "other" or len(names) == 1:
            return None
        evaluations = {}
        for number, name in enumerate(names):
            model = {metric: part.of_target(number) for metric, part in samples.items()}
            known = {metric: part.of_target(number) for metric, part in baseline.items()}
            evaluations[name] = TargetEvaluation(
                metrics=_values(model), errors=_errors(model), baseline=_values(known)
            )
        return evaluations


def _undefined(samples: Samples) -> Samples:
    return {name: part.undefined() for name, part in samples.items()}


def _over_targets(samples: Samples) -> Estimates:
    return {name: part.mean_over_targets() for name, part in samples.items()}


def _values(estimates: Estimates) -> Metrics:
    return {name: estimate.value for name, estimate in estimates.items()}


def _errors(estimates: Estimates) -> Metrics:
    return {name: estimate.error for name, estimate in estimates.items()}


def _ratio(metrics: Metrics, lowest_loss: float | None) -> float | None:
    """Return how many times the lowest loss the model's loss is; None where that is not known."""
    loss = metrics.get("mse", metrics.get("cross_entropy"))
    return None if loss is None or not lowest_loss else finite(loss / lowest_loss)
