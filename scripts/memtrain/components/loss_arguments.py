"""Arguments of a loss of ``torch.nn``: lists become tensors, balanced weights are counted."""

from typing import Any

import numpy as np
import torch

from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.field_statistics import COUNTED_VALUES
from memtrain.recipes.recipe import TrainingRecipe

#: Word that asks for weights that follow from the training rows.
_BALANCED = "balanced"

#: The argument of each loss that may be balanced.
_BALANCED_ARGUMENTS = {
    "CrossEntropyLoss": "weight",
    "NLLLoss": "weight",
    "MultiMarginLoss": "weight",
    "BCEWithLogitsLoss": "pos_weight",
}


def loss_arguments(where: str, choice: Choice, recipe: TrainingRecipe) -> dict[str, Any]:
    """Return the arguments of a loss, without ``reduction``.

    Args:
        where: key of the setting, for error messages.
        choice: name of the loss and its arguments. A list becomes a float64 tensor; the word
            "balanced" becomes weights that follow from the training rows.
        recipe: training part of the recipe, whose statistics count the targets.

    Raises:
        UserError: where weights are to be balanced that cannot be.
    """
    return {
        name: _argument(f"{where}.{name}", choice.name, name, value, recipe)
        for name, value in choice.arguments.items()
        if name != "reduction"
    }


def _argument(where: str, loss: str, name: str, value: Any, recipe: TrainingRecipe) -> Any:
    if isinstance(value, list):
        return torch.tensor(value, dtype=torch.float64)
    if value != _BALANCED:
        return value
    if _BALANCED_ARGUMENTS.get(loss) != name:
        known = listed(f"{one}: {argument}" for one, argument in _BALANCED_ARGUMENTS.items())
        raise UserError(f"{where}: found balanced; what can be balanced is {known}.")
    balanced = _positive_weights if name == "pos_weight" else _class_weights
    return torch.from_numpy(balanced(where, recipe))


def _class_weights(where: str, recipe: TrainingRecipe) -> np.ndarray:
    """Return ``rows / (classes * rows of the class)``, float64 (classes,).

    So the rows of every class weigh the same in sum, and a row weighs 1 on average. A class without
    a training row has the weight of a class with one.
    """
    classes = recipe.task.classes
    if classes is None:
        raise UserError(
            f"{where}: found balanced, but the target holds numbers. Give the weights, or make the "
            "target a class."
        )
    counts = recipe.statistics_of("target").values
    if counts is None:
        raise UserError(
            f"{where}: found balanced, which counts the rows of up to {COUNTED_VALUES:,} classes; "
            f"there are {classes:,}. Give the weights as a list."
        )
    rows_of_class = np.zeros(classes)
    rows_of_class[: len(counts)] = counts
    return counts.sum() / (classes * np.maximum(rows_of_class, 1))


def _positive_weights(where: str, recipe: TrainingRecipe) -> np.ndarray:
    """Return the rows with 0 for each row with 1, float64 (targets,)."""
    found = recipe.statistics_of("target")
    share = found.mean
    if (
        (found.minimum < 0).any()
        or (found.maximum > 1).any()
        or not ((share > 0) & (share < 1)).all()
    ):
        raise UserError(
            f"{where}: found balanced, which divides the training rows with 0 by those with 1; "
            f"the targets lie between {found.minimum.min():g} and {found.maximum.max():g} with a "
            f"mean of {share.mean():g}. Give the weight as a list."
        )
    return (1 - share) / share
