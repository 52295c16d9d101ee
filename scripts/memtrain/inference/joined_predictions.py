"""Makes the predictions of all rows of those of their batches."""

from collections.abc import Mapping, Sequence

import numpy as np

from memtrain.inference.batch_predictor import PredictedBatch
from memtrain.inference.element_predictions import ElementPredictions, OfElements
from memtrain.inference.row_predictions import RowPredictions
from memtrain.recipes.recipe import TrainingRecipe


def joined_predictions(
    batches: Sequence[PredictedBatch],
    recipe: TrainingRecipe,
    class_names: Sequence[str] | None,
    unknown_words: Mapping[str, int],
) -> RowPredictions | ElementPredictions:
    """Return the predictions of all rows.

    Args:
        batches: the predictions of all batches, of which there is at least one.
        recipe: training part of the recipe.
        class_names: words of the classes; None where there are none.
        unknown_words: number of rows with a word that no training row had, by column.
    """
    task = batches[0].task
    values = np.concatenate([batch.values for batch in batches])
    numbers = [batch.classes for batch in batches if batch.classes is not None]
    classes = np.concatenate(numbers) if numbers else None
    lengths = [batch.lengths for batch in batches if batch.lengths is not None]
    if not lengths:
        target = recipe.task.target
        return RowPredictions(values, task, target, class_names, classes, unknown_words)
    counts = np.concatenate(lengths)
    is_ragged = recipe.has_ragged_target
    return ElementPredictions(
        _of_rows(values, counts, is_ragged),
        None if classes is None else _of_rows(classes, counts, is_ragged),
        task,
        recipe.task.target,
        class_names,
    )


def _of_rows(values: np.ndarray, lengths: np.ndarray, is_ragged: bool) -> OfElements:
    """Cut the values of elements, (elements, ...), into those of rows."""
    if is_ragged:
        return np.split(values, np.cumsum(lengths)[:-1])
    return values.reshape(len(lengths), -1, *values.shape[1:])
