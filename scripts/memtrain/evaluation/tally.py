"""Sums up evaluated rows, batch by batch, into an evaluation."""

import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics import MetricCollection

from memtrain.evaluation.bootstrap import Estimate, MetricSamples, ResampledMetrics, finite
from memtrain.evaluation.classes import MOST_CLASSES, class_evaluation
from memtrain.evaluation.ranking import Ranking
from memtrain.evaluation.result import (
    ClassEvaluation,
    Confusion,
    Evaluation,
    Metrics,
    TargetEvaluation,
)
from memtrain.evaluation.written_rows import WrittenRows
from memtrain.metrics.metric_inputs import Baseline, model_columns
from memtrain.metrics.metrics import ClassCounts, build_metrics
from memtrain.metrics.model_outputs import OutputMeaning
from memtrain.recipes.recipe import Recipe

_log = logging.getLogger(__name__)

Samples = dict[str, MetricSamples]
Estimates = dict[str, Estimate]


@dataclass(frozen=True)
class EvaluatedBatch:
    """A batch of evaluation rows with the predictions of the model.

    Attributes:
        row_numbers: the numbers of the rows in the data file, int64 (rows,).
        true_values: the true values and
        predictions: the predictions, both in the form that ``OutputMeaning`` gives.
        summed_loss: the sum of the training losses of the rows.
        loss_count: what a mean loss divides that sum by: the rows, or their elements.
        mask: where targets vary in length, the elements that are there, bool (rows, longest).
    """

    row_numbers: np.ndarray
    true_values: torch.Tensor
    predictions: torch.Tensor
    summed_loss: float
    loss_count: int
    mask: torch.Tensor | None = None


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
        recipe: the recipe of the split, which has an evaluation.
        meaning: what the outputs of the model mean. For the task "other", only the loss is
            computed.
        class_counts: the elements of the training targets by class, as ``Baseline`` takes them.
    """

    def __init__(
        self, recipe: Recipe, meaning: OutputMeaning, class_counts: np.ndarray | None = None
    ):
        self._recipe = recipe
        self._meaning = meaning
        self._baseline = Baseline(recipe.training, meaning, class_counts)
        self._plan = recipe.needed_evaluation()
        rows, settings = self._plan.rows.count, self._plan.settings
        self._metrics = ResampledMetrics(self._build(), rows, settings.bootstrap, settings.seed)
        self._baseline_metrics = ResampledMetrics(self._build(), rows)
        self._rows = 0
        self._summed_loss = 0.0
        self._loss_count = 0
        self._nonfinite_rows = 0
        self._first_nonfinite_row: int | None = None

    def add(self, batch: EvaluatedBatch, stored_predictions: np.ndarray) -> None:
        """Add a batch.

        Args:
            batch: the rows with their predictions.
            stored_predictions: the predictions as ``predictions.npy`` holds them, float32
                (rows, outputs). A prediction beyond the range of float32 is infinite there. Of
                sequences, which it does not hold, the predictions in double precision.
        """
        if self._meaning.task != "other":
            true, mask = batch.true_values, batch.mask
            self._metrics.update(**model_columns(self._meaning, batch.predictions, true, mask))
            if self._baseline.is_known:
                self._baseline_metrics.update(**self._baseline.columns(true, mask))
        self._summed_loss += batch.summed_loss
        self._loss_count += batch.loss_count
        nonfinite = ~np.isfinite(stored_predictions).all(axis=1)
        if nonfinite.any() and self._first_nonfinite_row is None:
            self._first_nonfinite_row = int(batch.row_numbers[nonfinite.argmax()])
        self._nonfinite_rows += int(nonfinite.sum())
        self._rows += len(batch.row_numbers)

    def result(self, model: ModelFacts, predictions: str | os.PathLike) -> Evaluation:
        """Return the evaluation of all batches, and warn if predictions are not finite.

        Args:
            model: facts about the model.
            predictions: the file of the predictions, with all rows.
        """
        self._warn_of_nonfinite()
        recipe, written = self._recipe, WrittenRows(predictions)
        rankings = self._rankings(written)
        samples = self._samples() | ranking_samples(rankings) | self._own_samples(written)
        baseline = self._baseline_samples(samples, rankings, model.keeps_target)
        if self._nonfinite_rows:
            samples = _undefined(samples)
        quality = _means_over_targets(samples)
        metrics = _values(quality)
        lowest_loss = self._plan.lowest_loss if model.keeps_target else None
        return Evaluation(
            split=recipe.split,
            task=self._meaning.task,
            rows=self._rows,
            ranges=self._plan.rows.ranges,
            nonfinite_rows=self._nonfinite_rows,
            metrics=metrics,
            errors=_standard_errors(quality),
            baseline=_values(_means_over_targets(baseline)),
            loss=finite(self._summed_loss / self._loss_count),
            lowest_loss=lowest_loss,
            ratio_to_lowest_loss=_ratio_to_lowest_loss(metrics, lowest_loss),
            recipe=recipe.digest("training"),
            evaluation_recipe=recipe.digest("evaluation"),
            parameters=model.parameters,
            steps=model.steps,
            per_target=self._per_target(samples, baseline),
            per_class=self._per_class(),
            confusions=self._confusions(written),
            elements_are_bytes=self._has_bytes(),
        )

    def _has_bytes(self) -> bool:
        """Return whether rows are sequences of bytes."""
        is_byte = self._recipe.training.dtype_of("target") == np.uint8
        return is_byte and self._meaning.task == "sequence"

    def _build(self) -> MetricCollection:
        return build_metrics(
            self._recipe.training,
            self._meaning.task,
            has_probabilities=self._meaning.has_probabilities,
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
        """Return samples of the metrics that are sums over rows."""
        if self._meaning.task == "other":
            return {"loss": MetricSamples.of_values([self._summed_loss / self._loss_count])}
        return self._metrics.compute()

    def _rankings(self, written: WrittenRows) -> list[Ranking | None]:
        """Return how well probabilities rank the rows; an empty list where there are none."""
        training = self._recipe.training
        if not self._meaning.has_probabilities:
            return []
        if self._nonfinite_rows:
            return [None]
        if self._meaning.task == "classification":
            return written.rank_classes(training.task.class_count)
        return written.rank_targets(training.targets, yes=self._meaning.labels[1])

    def _own_samples(self, written: WrittenRows) -> Samples:
        """Return the user's own metrics, which have no resamples."""
        samples = {}
        for name, path in self._plan.settings.metrics.items():
            where = f"evaluation.metrics.{name}"
            value = None if self._nonfinite_rows else written.own_metric(where, path)
            samples[name] = MetricSamples.of_values([math.nan if value is None else value])
        return samples

    def _baseline_samples(
        self, samples: Samples, rankings: list[Ranking | None], keeps_target: bool
    ) -> Samples:
        """Return samples of the baseline's metrics, all NaN if the baseline is not known."""
        unknown = _undefined(samples)
        if self._meaning.task == "other" or not (keeps_target and self._baseline.is_known):
            return unknown
        constant = ranking_samples([one and one.of_constant() for one in rankings])
        return unknown | self._baseline_metrics.compute() | constant

    def _per_target(
        self, samples: Samples, baseline: Samples
    ) -> dict[str, TargetEvaluation] | None:
        """Return the metrics of every target; None for a single target or the task "other"."""
        names = self._recipe.training.task.target
        if self._meaning.task in ("other", "sequence") or len(names) == 1:
            return None
        own = self._plan.settings.metrics
        samples = {name: part for name, part in samples.items() if name not in own}
        evaluations = {}
        for number, name in enumerate(names):
            estimates = _target_estimates(samples, number)
            evaluations[name] = TargetEvaluation(
                metrics=_values(estimates),
                errors=_standard_errors(estimates),
                baseline=_values(
                    {metric: baseline[metric].target_estimate(number) for metric in samples}
                ),
            )
        return evaluations

    def _per_class(self) -> list[ClassEvaluation] | None:
        """Return the evaluation of each class; None for other tasks."""
        counts = self._class_counts()
        if counts is None:
            return None
        shown = np.argsort(-counts.true_rows.numpy(), kind="stable")[:MOST_CLASSES]
        names = self._class_names()
        return [class_evaluation(names(number), counts, number) for number in sorted(shown)]

    def _confusions(self, written: WrittenRows) -> list[Confusion] | None:
        """Return the most confused pairs of classes; None for other tasks."""
        counts = self._class_counts()
        if counts is None:
            return None
        names = self._class_names()
        wrong = (counts.true_rows - counts.hits).long().numpy()
        return [
            Confusion(true=names(pair.true), predicted=names(pair.predicted), rows=pair.rows)
            for pair in written.confusions(wrong)
        ]

    def _class_counts(self) -> ClassCounts | None:
        """Return the counts of all rows by class; None where there are no classes to count."""
        if self._meaning.task != "classification" or self._nonfinite_rows:
            return None
        counts = self._metrics.metric("f1")
        assert isinstance(counts, ClassCounts)
        return counts

    def _class_names(self) -> Callable[[int], str]:
        names = self._plan.class_names
        return (lambda number: str(number)) if names is None else (lambda number: names[number])


def ranking_samples(rankings: list[Ranking | None]) -> Samples:
    """Return AUROC and average precision, with one value for each ranking; {} for no ranking."""
    if not rankings:
        return {}
    return {
        name: MetricSamples.of_values(
            [math.nan if one is None else getattr(one, name) for one in rankings]
        )
        for name in ("auroc", "average_precision")
    }


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
