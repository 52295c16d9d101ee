"""Runs a model over rows that it is judged by: what it predicts, and what its loss is."""

from dataclasses import dataclass

import numpy as np
import torch

from memtrain.components.build import ModelParts
from memtrain.components.loss_kinds import task_of
from memtrain.components.losses import SummedLoss
from memtrain.components.padded_batch import (
    call_model,
    count_elements,
    target_mask,
    without_padding,
)
from memtrain.components.rows import first_row, longest_row
from memtrain.core.ranges import at_positions
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.metrics.model_outputs import OutputMeaning
from memtrain.recipes.recipe import Rows, TrainingRecipe

#: Most rows that go through the model together, and most bytes of their features or predictions.
#: The size of a batch follows from the shape of the rows and never from the machine, since the last
#: bits of a matrix product depend on its number of rows.
_ROWS_PER_BATCH = 4096
_BYTES_PER_BATCH = 16 << 20

#: Rows that are compared to find out whether a transform changes the target.
_ROWS_COMPARED = 64


@dataclass(frozen=True)
class ScoredBatch:
    """A batch of rows with what the model makes of them.

    Attributes:
        true_values: the true values and
        predictions: the predictions, both in the form that ``OutputMeaning`` gives.
        summed_loss: the sum of the training losses of the rows.
        loss_count: what a mean loss divides that sum by: the rows, or their elements.
        mask: where targets vary in length, the elements that are there, bool (rows, longest).
    """

    true_values: torch.Tensor
    predictions: torch.Tensor
    summed_loss: float
    loss_count: int
    mask: torch.Tensor | None = None


class Scorer:
    """Runs a model over rows that it is judged by, in float32 and without gradients.

    The caller puts the model into evaluation mode.

    Args:
        recipe: training part of the recipe.
        parts: the model and its loss, with what is done to a row of ``dataset``.
        dataset: the rows, with the transform of ``parts``; float64 in the file stays float64.
        rows: the rows that the model is judged by.
        device: device of the model.

    Attributes:
        meaning: what the outputs of the model mean.
        keeps_target: whether the transform leaves the targets of the first rows as they are.
        rows_per_batch: rows that go through the model together.
        example: the first row, without its loss.
        values_per_prediction: values in a prediction, in the form that metrics take.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        parts: ModelParts,
        dataset: MemmapDataset,
        rows: Rows,
        device: torch.device,
    ):
        self._parts = parts
        self._counts_elements = recipe.settings.normalize == "elements"
        self._device = device
        self.keeps_target = _keeps_target(dataset, rows)
        loss = parts.loss
        self.meaning = OutputMeaning(
            task_of(loss.kind, recipe, self.keeps_target), loss.kind, loss.name
        )
        outputs, self.example = self._predict(first_row(dataset, rows, torch.device("cpu")))
        # A loss of two classes may take one output; the prediction is two probabilities even then.
        self.values_per_prediction = self.example.predictions.shape[1]
        # Metrics take predictions in float64; of sequences, they take less than the outputs.
        values = max(self.values_per_prediction, outputs[0].numel())
        self.rows_per_batch = rows_per_batch(
            recipe.in_features * longest_row(dataset, rows, "features"),
            values * _growth(dataset, rows),
        )

    @torch.no_grad()
    def score(self, batch: dict[str, torch.Tensor]) -> ScoredBatch:
        """Return what the model makes of a batch: "features" and "target", each (rows, ...)."""
        moved = self._as_trained(batch)
        outputs = self._outputs(moved)
        true_values = self.meaning.true_values(batch["target"])
        return ScoredBatch(
            true_values=true_values,
            predictions=self._predictions(outputs.cpu(), true_values),
            summed_loss=self._summed_loss(outputs, moved).item(),
            loss_count=self._loss_count(batch),
            mask=target_mask(batch),
        )

    @torch.no_grad()
    def _predict(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ScoredBatch]:
        """Return the outputs of the model for a batch, and the batch without its loss."""
        outputs = self._outputs(self._as_trained(batch)).cpu()
        true_values = self.meaning.true_values(batch["target"])
        predictions = self._predictions(outputs, true_values)
        count, mask = self._loss_count(batch), target_mask(batch)
        return outputs, ScoredBatch(true_values, predictions, 0.0, count, mask)

    def _outputs(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return without_padding(call_model(self._parts.model, batch), target_mask(batch))

    def _as_trained(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return a batch as the training has it: targets standardized, and float64 as float32."""
        scale = self._parts.target
        if scale is not None:
            target = scale({"target": batch["target"].numpy()})["target"]
            batch = batch | {"target": torch.from_numpy(target)}
        return {
            name: (value.float() if value.dtype == torch.float64 else value).to(self._device)
            for name, value in batch.items()
        }

    def _predictions(self, outputs: torch.Tensor, true_values: torch.Tensor) -> torch.Tensor:
        """Return predictions in the form that metrics take, numbers in the unit of the target."""
        predictions = self.meaning.predictions(outputs, true_values)
        return in_unit_of_target(self._parts, self.meaning, predictions)

    def _loss_count(self, batch: dict[str, torch.Tensor]) -> int:
        """Return what the summed loss of some rows is divided by, as in the training."""
        return count_elements(batch, "target") if self._counts_elements else len(batch["features"])

    def _summed_loss(self, outputs: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the training losses of some rows, a scalar."""
        loss = self._parts.loss
        if isinstance(loss, SummedLoss):
            return loss.sum_losses(outputs, batch["target"], mask=target_mask(batch))
        return loss(self._parts.model, batch)


def rows_per_batch(features: int, outputs: int) -> int:
    """Return how many rows go through a model together.

    Args:
        features: number of features of the longest row.
        outputs: number of values that the model makes of it.
    """
    bytes_per_row = max(4 * features, 8 * outputs)
    return max(1, min(_ROWS_PER_BATCH, _BYTES_PER_BATCH // bytes_per_row))


def in_unit_of_target(
    parts: ModelParts, meaning: OutputMeaning, predictions: torch.Tensor
) -> torch.Tensor:
    """Return predictions in the unit of the target in the file.

    Args:
        parts: the model, with what its training does to the target.
        meaning: what the outputs of the model mean.
        predictions: predictions as ``OutputMeaning`` gives them.
    """
    scale = parts.target
    is_scaled = scale is not None and meaning.task == "regression"
    return scale.undone(predictions) if scale and is_scaled else predictions


def _growth(dataset: MemmapDataset, rows: Rows) -> int:
    """Return how many times as long as the first row the longest row's target is, rounded up."""
    (first,) = at_positions(rows.resolved[:1], 0, 1)
    length = int(dataset.element_counts("target", np.array([first.start]))[0])
    return -(-longest_row(dataset, rows, "target") // max(1, length))


def _keeps_target(dataset: MemmapDataset, rows: Rows) -> bool:
    """Return whether the transform leaves the targets of the first rows as they are."""
    (first,) = at_positions(rows.resolved[:1], 0, _ROWS_COMPARED)
    numbers = range(first.start, first.end)
    plain = MemmapDataset(dataset.source, float64=True).gather(numbers)["target"]
    return torch.equal(plain, dataset.gather(numbers)["target"])
