"""Computes predictions for batches of rows, as an evaluation does."""

from dataclasses import dataclass

import numpy as np
import torch

from memtrain.components.build import ModelParts
from memtrain.components.loss_kinds import task_of
from memtrain.components.padded_batch import call_model, target_mask
from memtrain.components.sequences import outputs_of_elements
from memtrain.core.errors import UserError
from memtrain.data.batch_transform import transform_padded_batch
from memtrain.data.padding import lengths_name, mask_name
from memtrain.data.source import FEATURES
from memtrain.evaluation.predictions import prediction_dtype
from memtrain.inference.decoded_rows import decoded_with_targets
from memtrain.inference.rebatching import Rows
from memtrain.metrics.model_outputs import (
    OutputMeaning,
    most_probable_classes,
    predicted_numbers,
)
from memtrain.metrics.scorer import in_unit_of_target, rows_per_batch
from memtrain.recipes.recipe import TaskKind, TrainingRecipe

#: Rows that show whether a transform changes the target, as many as an evaluation looks at.
ROWS_COMPARED = 64

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class PredictedBatch:
    """Predictions of some rows.

    Attributes:
        task: kind of task that the model does.
        values: the predictions, as an evaluation writes them, (rows, values). Where every element
            of a row has a prediction, those of all elements, row after row: the probabilities of
            their classes, (elements,), or numbers, (elements, values).
        classes: the classes that they belong to, int64, shaped as the values; None for all of them.
        lengths: where every element has a prediction, the elements of each row, int64 (rows,);
            None elsewhere.
    """

    task: TaskKind
    values: np.ndarray
    classes: np.ndarray | None
    lengths: np.ndarray | None = None


class BatchPredictor:
    """Predicts rows in batches of the size that an evaluation of these rows has.

    Args:
        recipe: training part of the recipe.
        parts: the model, in evaluation mode, with what is done to a row on its way to it.
        device: device of the model.
        first: the first rows, ``ROWS_COMPARED`` of them if there are as many.
        longest: elements of the longest of all rows; 1 where rows do not vary in length.

    Attributes:
        rows_per_batch: rows that go through the model together.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        parts: ModelParts,
        device: torch.device,
        first: Rows,
        longest: int,
    ):
        self._recipe = recipe
        self._parts = parts
        self._device = device
        self._has_elements = recipe.has_sequences or recipe.has_ragged_target
        self._meaning = self._find_meaning(first)
        batch = self._tensors(first[:1])
        outputs = self._outputs(batch)
        width = 1 if self._has_elements else self._predictions(outputs, batch).shape[1]
        self._dtype = prediction_dtype(
            self._meaning.task,
            width,
            recipe.targets,
            doubles=recipe.dtype_of("target") == np.float64,
        )["prediction"].base
        growth = -(-longest // _first_length(batch)) if recipe.has_ragged_target else 1
        self.rows_per_batch = rows_per_batch(
            recipe.in_features * longest, max(width, outputs[0].numel()) * growth
        )

    def predict(self, rows: Rows) -> PredictedBatch:
        """Return the predictions of a batch of rows."""
        batch = self._tensors(rows)
        outputs = self._outputs(batch)
        if self._has_elements:
            return self._predict_elements(outputs, batch)
        readable = self._meaning.readable(self._predictions(outputs, batch))
        classes = None if readable.classes is None else readable.classes.numpy()
        return PredictedBatch(self._meaning.task, self._as_written(readable.values), classes)

    def _find_meaning(self, rows: Rows) -> OutputMeaning:
        """Return what the outputs of the model mean, as an evaluation finds it out of some rows."""
        arrays = decoded_with_targets(rows, self._recipe)
        plain = arrays["target"].copy()
        target = self._transformed(arrays).get("target")
        keeps_target = target is not None and np.array_equal(plain, target.numpy())
        loss = self._parts.loss
        return OutputMeaning(task_of(loss.kind, self._recipe, keeps_target), loss.kind, loss.name)

    def _tensors(self, rows: Rows) -> Tensors:
        return self._transformed(decoded_with_targets(rows, self._recipe))

    def _transformed(self, arrays: dict[str, np.ndarray]) -> Tensors:
        ragged = self._recipe.task.ragged
        batch = transform_padded_batch(self._parts.transform, arrays, ragged, doubles=True)
        assert isinstance(batch, dict), "a record has named fields"
        return batch

    def _outputs(self, batch: Tensors) -> torch.Tensor:
        """Return the outputs of the model for a batch, on the CPU."""
        moved = {name: value.to(self._device) for name, value in inputs_of_model(batch).items()}
        return call_model(self._parts.model, moved).cpu()

    def _predictions(self, outputs: torch.Tensor, batch: Tensors) -> torch.Tensor:
        """Return the predictions of rows in the form that metrics take."""
        predictions = self._meaning.predictions(outputs, batch["target"])
        return in_unit_of_target(self._parts, self._meaning, predictions)

    def _predict_elements(self, outputs: torch.Tensor, batch: Tensors) -> PredictedBatch:
        """Return the predictions of the elements that are there."""
        mask = target_mask(batch)
        kind = self._meaning.kind
        if self._meaning.task != "sequence" or kind is None:
            assert mask is not None, "numbers for all elements are predicted where rows vary"
            values, numbers = self._numbers_of_elements(outputs, mask), None
        else:
            elements = self._recipe.targets if mask is None else mask.shape[1]
            flat = _outputs_of_elements(outputs, elements)
            flat = flat if mask is None else flat[mask.reshape(-1)]
            classes, values = most_probable_classes(kind, flat)
            numbers = classes.numpy()
        lengths = (
            np.full(len(outputs), self._recipe.targets) if mask is None else mask.sum(1).numpy()
        )
        return PredictedBatch(self._meaning.task, self._as_written(values), numbers, lengths)

    def _numbers_of_elements(self, outputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return predicted numbers in the unit of the target, float64 (elements, values)."""
        if outputs.shape[:2] != mask.shape:
            raise _misshaped(outputs, mask.shape[1])
        numbers = predicted_numbers(self._meaning.kind, outputs[mask].reshape(int(mask.sum()), -1))
        scale = self._parts.target
        return numbers if scale is None else scale.undone(numbers)

    def _as_written(self, values: torch.Tensor) -> np.ndarray:
        """Return predictions in the type in which an evaluation writes them."""
        with np.errstate(over="ignore"):
            return values.numpy().astype(self._dtype)


def inputs_of_model(batch: Tensors) -> Tensors:
    """Return what a model is given of a batch: its features in float32, their lengths and mask."""
    taken = {FEATURES, lengths_name(FEATURES), mask_name(FEATURES)}
    return {
        name: value.float() if value.dtype == torch.float64 else value
        for name, value in batch.items()
        if name in taken
    }


def _first_length(batch: Tensors) -> int:
    """Return how many elements the first row of a padded batch has, at least 1."""
    return max(1, int(batch[lengths_name(FEATURES)][0]))


def _outputs_of_elements(outputs: torch.Tensor, elements: int) -> torch.Tensor:
    """Return what a model gives for every element, (rows * elements, classes).

    Raises:
        UserError: if the outputs have another shape.
    """
    try:
        return outputs_of_elements(outputs, elements)
    except ValueError:
        raise _misshaped(outputs, elements) from None


def _misshaped(outputs: torch.Tensor, elements: int) -> UserError:
    return UserError(
        f"training.model: the model gives the shape {tuple(outputs.shape)} for {len(outputs):,} "
        f"rows of up to {elements:,} elements. `predict` is for models that give something for "
        "every element of the features; call its `model` with features of your own."
    )
