"""From a trained model and the evaluation rows to predictions and metrics."""

import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from memtrain.components.build import build_model_parts
from memtrain.components.device import choose_device, set_deterministic
from memtrain.components.losses import SummedLoss
from memtrain.components.models import count_parameters
from memtrain.components.rows import first_row, open_rows
from memtrain.config.training import LoadingSettings
from memtrain.core.ranges import at_positions
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.evaluation.metrics import ResampledMetrics, build_metrics, error_of, finite, value_of
from memtrain.evaluation.model_outputs import baseline_of, log_probabilities, predicted_numbers
from memtrain.evaluation.predictions import create_predictions, prediction_dtype
from memtrain.evaluation.result import Evaluation, Metrics, TargetEvaluation
from memtrain.loading.block_loader import BlockLoader
from memtrain.recipes.recipe import Recipe
from memtrain.system.progress import Progress
from memtrain.training.weights import load_weights

#: Rows that go through the model together. They follow from the rows alone and never from the
#: machine: the last bits of a matrix product depend on how many rows it has.
_ROWS_PER_BATCH = 4096
_BATCH_BYTES = 16 << 20

#: Rows that are looked at to see whether a transform changes the target.
_ROWS_COMPARED = 64


@dataclass(frozen=True)
class _Batch:
    """Some rows and what the model says about them.

    Attributes:
        rows: int64 (rows,), their numbers in the data file.
        target: float64 (rows, targets), or the true classes int64 (rows,).
        said: float64 (rows, targets), or the logarithms of the probabilities (rows, classes).
        summed_loss: the training losses of the rows, added up.
        kind: as in the evaluation.
    """

    rows: np.ndarray
    target: torch.Tensor
    said: torch.Tensor
    summed_loss: float
    kind: str

    @property
    def predictions(self) -> torch.Tensor:
        """What ``predictions.npy`` holds."""
        return self.said.exp() if self.kind == "classification" else self.said


class Evaluator:
    """Evaluates the model of one recipe on its evaluation rows, in flat memory.

    Args:
        recipe: of the split.
        data: the record file whose rows the recipe names.
        model: the weights, from train.
        loading: how the rows are moved.

    Raises:
        UserError: where the weights were not trained by this recipe, or the file does not hold the
            rows.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: str | os.PathLike,
        model: str | os.PathLike,
        loading: LoadingSettings | None = None,
    ):
        self._recipe, self._training = recipe, recipe.training
        settings = recipe.training.settings
        torch.set_num_threads(settings.threads)
        set_deterministic(settings.reduction == "reproducible")
        self._device = choose_device(settings.device)
        self._parts = build_model_parts(recipe.training, self._device)
        load_weights(model, self._parts.model, recipe.digest("training"))
        self._parts.model.eval()
        self._dataset = open_rows(
            data, self._training, recipe.evaluation.rows, self._parts.transform
        )
        self._loader = self._load(loading or LoadingSettings())
        self._kind, self._width = self._task()

    def run(self, predictions: str | os.PathLike, steps: int) -> Evaluation:
        """Write the predictions of all evaluation rows, and return how good they are.

        Args:
            predictions: the record file to write.
            steps: optimizer steps of the training, to stand in the result.
        """
        rows, kind = self._recipe.evaluation.rows.count, self._kind
        tally = _Tally(self._recipe, kind, baseline_of(self._training))
        dtype = prediction_dtype(kind, self._width, self._training.targets)
        with (
            create_predictions(predictions, dtype, rows) as writer,
            Progress("evaluating", rows, "rows") as bar,
        ):
            for batch in self._batches():
                written = writer.write(batch.rows, batch.target.numpy(), batch.predictions.numpy())
                tally.add(batch, written)
                bar.advance(len(batch.rows))
        tally.warn_of_nonfinite()
        return tally.result(steps, count_parameters(self._parts.model), self._keeps_target())

    @torch.no_grad()
    def _batches(self) -> Iterator[_Batch]:
        """Yield all evaluation rows, in order, and what the model says about them."""
        for rows, batch in zip(self._row_numbers(), self._loader, strict=True):
            target = batch["target"]
            moved = {name: value.to(self._device) for name, value in batch.items()}
            outputs = self._parts.model(moved["features"])
            summed_loss = self._summed_loss(outputs, moved).item()
            interpreted = self._interpret(outputs.cpu(), target)
            yield _Batch(rows, *interpreted, summed_loss, self._kind)

    def _summed_loss(self, outputs: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss = self._parts.loss
        if isinstance(loss, SummedLoss):
            return loss.sum_losses(outputs, batch["target"])
        return loss(self._parts.model, batch)

    @torch.no_grad()
    def _task(self) -> tuple[str, int]:
        """Return what the model does, and how many numbers are said of a row."""
        batch = first_row(self._dataset, self._recipe.evaluation.rows, self._device)
        outputs, loss = self._parts.model(batch["features"]), self._parts.loss
        if not isinstance(loss, SummedLoss) and outputs.numel() != loss.outputs:
            return "other", outputs.numel()
        kind = self._training.task.kind
        if kind == "classification":
            return kind, log_probabilities(self._training.settings.loss, outputs).shape[1]
        return kind, outputs.numel()

    def _load(self, loading: LoadingSettings) -> BlockLoader:
        bytes_per_row = 4 * self._training.in_features
        return BlockLoader(
            self._dataset,
            max(1, min(_ROWS_PER_BATCH, _BATCH_BYTES // bytes_per_row)),
            shuffle=None,
            ranges=self._recipe.evaluation.rows.ranges,
            reader=loading.reader,
            memory_budget=loading.budget_bytes,
        )

    def _row_numbers(self) -> Iterator[np.ndarray]:
        """Yield the rows of every batch, int64 (rows,)."""
        rows, size = self._recipe.evaluation.rows, self._loader.order.batch_size
        for start in range(0, rows.count, size):
            pieces = at_positions(rows.resolved, start, start + size)
            yield np.concatenate([np.arange(*piece) for piece in pieces])

    def _interpret(
        self, outputs: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return target and outputs as the metrics take them."""
        loss = self._training.settings.loss
        if self._kind == "classification":
            return target.reshape(-1).long(), log_probabilities(loss, outputs)
        return target.double().flatten(1), predicted_numbers(loss, outputs)

    def _keeps_target(self) -> bool:
        """Return whether the transform leaves the target as it is in the file."""
        first = self._recipe.evaluation.rows.resolved[0]
        rows = range(first.start, min(first.start + _ROWS_COMPARED, first.end))
        plain, transformed = (
            dataset.gather(rows)["target"]
            for dataset in (MemmapDataset(self._dataset.filename), self._dataset)
        )
        return torch.equal(plain, transformed)


class _Tally:
    """Adds up batches to an evaluation.

    Args:
        recipe: of the split.
        kind: what the model does; of "other" only the loss is known.
        baseline: of ``baseline_of``.
    """

    def __init__(self, recipe: Recipe, kind: str, baseline: torch.Tensor):
        self._recipe, self._kind, self._known = recipe, kind, baseline
        rows, settings = recipe.evaluation.rows.count, recipe.evaluation.settings
        self._metrics = ResampledMetrics(
            build_metrics(recipe.training), rows, settings.bootstrap, settings.seed
        )
        self._baseline = ResampledMetrics(build_metrics(recipe.training), rows)
        self._summed_loss = 0.0
        self._nonfinite_rows = 0
        self._first_nonfinite: int | None = None
        self.rows = 0

    def add(self, batch: _Batch, predictions: np.ndarray) -> None:
        """Take a batch into account; ``predictions`` are those that are written."""
        if self._kind != "other":
            self._metrics.update(batch.said, batch.target)
            self._baseline.update(self._known.expand(len(batch.rows), -1), batch.target)
        self._summed_loss += batch.summed_loss
        nonfinite = ~np.isfinite(predictions).all(axis=1)
        if nonfinite.any() and self._first_nonfinite is None:
            self._first_nonfinite = int(batch.rows[nonfinite.argmax()])
        self._nonfinite_rows += int(nonfinite.sum())
        self.rows += len(batch.rows)

    def warn_of_nonfinite(self) -> None:
        """Say on standard error where predictions are NaN or infinite."""
        if self._nonfinite_rows:
            print(
                f"warning: split {self._recipe.split}: the model's predictions are NaN or infinite "
                f"for {self._nonfinite_rows:,} of {self.rows:,} rows, first for row "
                f"{self._first_nonfinite}. Its metrics are left empty. Look at that row and at the "
                "learning curve; a lower learning rate (training.optimizer.lr) often mends it.",
                file=sys.stderr,
            )

    def result(self, steps: int, parameters: int, keeps_target: bool) -> Evaluation:
        """Return the evaluation of all batches.

        Args:
            steps: of the training.
            parameters: of the model.
            keeps_target: whether targets are those of the file. Only of these are the baseline and
                the lowest loss known.
        """
        recipe = self._recipe
        samples, baseline = self._samples()
        if self._nonfinite_rows:
            samples = {name: torch.full_like(part, math.nan) for name, part in samples.items()}
        if not keeps_target or self._known.isnan().any():
            baseline = {name: torch.full_like(part, math.nan) for name, part in baseline.items()}
        metrics = _over_targets(value_of, samples)
        lowest_loss = recipe.evaluation.lowest_loss if keeps_target else None
        return Evaluation(
            split=recipe.split,
            task=self._kind,
            rows=self.rows,
            ranges=recipe.evaluation.rows.ranges,
            nonfinite_rows=self._nonfinite_rows,
            metrics=metrics,
            errors=_over_targets(error_of, samples),
            baseline=_over_targets(value_of, baseline),
            loss=finite(self._summed_loss / self.rows),
            lowest_loss=lowest_loss,
            ratio_to_lowest_loss=_ratio(metrics, lowest_loss),
            recipe=recipe.digest("training"),
            evaluation_recipe=recipe.digest("evaluation"),
            parameters=parameters,
            steps=steps,
            per_target=None
            if self._kind == "other"
            else _per_target(recipe.training.task.target, samples, baseline),
        )

    def _samples(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return the samples of all metrics, of the model and of the baseline."""
        if self._kind != "other":
            return self._metrics.compute(), self._baseline.compute()
        loss = torch.tensor([[self._summed_loss / self.rows]], dtype=torch.float64)
        return {"loss": loss}, {"loss": torch.full_like(loss, math.nan)}


def _over_targets(summary: Callable, samples: dict[str, torch.Tensor]) -> Metrics:
    """Return a summary of every metric's samples, averaged over the targets first."""
    return {name: summary(part.mean(dim=1)) for name, part in samples.items()}


def _per_target(
    names: list[str], samples: dict[str, torch.Tensor], baseline: dict[str, torch.Tensor]
) -> dict[str, TargetEvaluation] | None:
    if len(names) == 1:
        return None
    return {
        name: TargetEvaluation(
            metrics=_of_target(value_of, samples, column),
            errors=_of_target(error_of, samples, column),
            baseline=_of_target(value_of, baseline, column),
        )
        for column, name in enumerate(names)
    }


def _of_target(summary: Callable, samples: dict[str, torch.Tensor], column: int) -> Metrics:
    return {name: summary(part[:, column]) for name, part in samples.items()}


def _ratio(metrics: Metrics, lowest_loss: float | None) -> float | None:
    loss = metrics.get("mse", metrics.get("cross_entropy"))
    return None if loss is None or not lowest_loss else finite(loss / lowest_loss)
