"""The loss that a configuration names, always summed over the rows of a micro-batch.

Sums can be added up and divided by the rows of a whole accumulation window. Means cannot: the mean
of the means of two micro-batches is not the mean of their rows if one micro-batch is short.
"""

from typing import Any

import torch
from torch import nn

from memtrain.config.objects import (
    build,
    check_arguments,
    find_class,
    import_object,
    takes_argument,
)
from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.recipes.recipe import Task, TrainingRecipe

#: Losses whose target is the number of a class, and which take one output per class.
_MULTICLASS_LOSSES = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss")

#: Losses whose target is 0 or 1, as floats in the shape of the outputs.
_BINARY_LOSSES = ("BCEWithLogitsLoss", "BCELoss")

#: Arguments that choose between sum and mean: the one of today, and those of old that override it.
_ARGUMENTS_OF_REDUCTION = ("reduction", "size_average", "reduce")


class SummedLoss(nn.Module):
    """A ``torch.nn`` loss with ``reduction="sum"`` that knows which target it takes.

    Args:
        where: key of the setting, for error messages.
        choice: name of the class, and its arguments; lists become tensors.
        recipe: training part of the recipe, which describes a row.

    Attributes:
        name: name of the class.
        outputs: outputs that the model must give per row.
        weighs_rows: whether rows can be given weights.

    Raises:
        UserError: if there is no such loss, or it does not fit the target.
    """

    weighs_rows = True

    def __init__(self, where: str, choice: Choice, recipe: TrainingRecipe):
        super().__init__()
        factory = find_class(where, choice.name, nn, nn.Module, suffix="Loss")
        if not takes_argument(factory, "reduction"):
            raise UserError(f'{where}: {choice.name} has no reduction="sum"; choose another loss.')
        _refuse_reduction(where, choice.arguments)
        arguments = {
            name: torch.tensor(value, dtype=torch.float32) if isinstance(value, list) else value
            for name, value in choice.arguments.items()
            if name != "reduction"
        }
        self.name = choice.name
        self._summed = build(where, factory, **arguments, reduction="sum")
        self._unreduced = build(where, factory, **arguments, reduction="none")
        self._is_multiclass = choice.name in _MULTICLASS_LOSSES
        self.outputs = _count_outputs(where, choice.name, recipe)

    def forward(
        self, model: nn.Module, batch: dict[str, torch.Tensor], weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the sum of the losses of a micro-batch, a scalar.

        Args:
            model: model that maps features to outputs.
            batch: "features" and "target", each (rows, ...).
            weights: weights of the rows, (rows,); None for a weight of 1 each.
        """
        return self.sum_losses(model(batch["features"]), batch["target"], weights)

    def sum_losses(
        self, outputs: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the sum of the losses of outputs that are already computed, a scalar.

        Args:
            outputs: outputs of the model, (rows, outputs).
            target: target from the file, (rows, ...).
            weights: weights of the rows, (rows,); None for a weight of 1 each.
        """
        # A sum in half precision would overflow after a few thousand rows.
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        target = self._convert_target(target, outputs)
        if weights is None:
            return self._summed(outputs, target)
        losses = self._unreduced(outputs, target).reshape(len(weights), -1).sum(1)
        return (losses * weights).sum()

    def _convert_target(self, target: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """Return the target in the dtype and shape that the loss takes."""
        if self._is_multiclass:
            return target.reshape(-1).long()
        if outputs.shape != target.shape:
            # PyTorch would broadcast (rows,) against (rows, 1) to (rows, rows).
            raise ValueError(
                f"the model gives the shape {tuple(outputs.shape)} for targets of the shape "
                f"{tuple(target.shape)}"
            )
        return target.to(outputs.dtype)


class CustomLoss(nn.Module):
    """A function of the user's: ``loss(model, batch)`` returns the summed losses of the rows.

    The function calls the model itself, on any part of the batch. An autoencoder, for example,
    compares the features with what comes out, and never looks at the target.

    Args:
        where: key of the setting, for error messages.
        choice: "package.module:function", and its arguments.
        recipe: training part of the recipe, which describes a row.

    Attributes:
        name: "package.module:function".
        outputs: outputs per row that the task calls for, for models that take ``out_features``.
        weighs_rows: False, since only the function knows what it does with a row.

    Raises:
        UserError: if there is no such function, or it does not take these arguments.
    """

    weighs_rows = False

    def __init__(self, where: str, choice: Choice, recipe: TrainingRecipe):
        super().__init__()
        self.name = choice.name
        self._where = where
        self._function = import_object(where, choice.name)
        check_arguments(where, self._function, (None, None), choice.arguments)
        self._arguments = choice.arguments
        is_classification = recipe.task.kind == "classification"
        self.outputs = _count_classes(recipe.task) if is_classification else recipe.targets

    def forward(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the losses of a micro-batch, a scalar."""
        summed = self._function(model, batch, **self._arguments)
        if not isinstance(summed, torch.Tensor) or summed.dim():
            found = f"an object of type {type(summed).__name__}"
            if isinstance(summed, torch.Tensor):
                found = f"a tensor of shape {tuple(summed.shape)}"
            raise UserError(
                f"{self._where}: {self.name} gives {found}, not the sum of the losses of the rows, "
                "a tensor without dimensions. End it with `.sum()`."
            )
        return summed


Loss = SummedLoss | CustomLoss


def build_loss(where: str, choice: Choice, recipe: TrainingRecipe) -> Loss:
    """Return the loss that a setting names.

    Args:
        where: key of the setting, for error messages.
        choice: name of a ``torch.nn`` loss or "package.module:function", with its arguments.
        recipe: training part of the recipe, which describes a row.

    Raises:
        UserError: if there is no such loss, or it does not fit the target.
    """
    kind = CustomLoss if ":" in choice.name else SummedLoss
    return kind(where, choice, recipe)


def _refuse_reduction(where: str, arguments: dict[str, Any]) -> None:
    """Raise a ``UserError`` if an argument asks for another reduction than the sum."""
    given = {name: arguments[name] for name in _ARGUMENTS_OF_REDUCTION if name in arguments}
    if given and given != {"reduction": "sum"}:
        found = listed(f"{name}: {value}" for name, value in given.items())
        raise UserError(
            f"{where}: found {found}; the losses of rows are always added up, and divided by the "
            f"rows of the whole window. Remove {listed(f'`{name}`' for name in given)}."
        )


def _count_outputs(where: str, name: str, recipe: TrainingRecipe) -> int:
    """Return the outputs that a row needs, after checking that the loss fits the target."""
    task = recipe.task
    if name in _MULTICLASS_LOSSES:
        if task.kind != "classification":
            raise UserError(
                f"{where}: {name} learns classes, but the target {task.target} holds numbers of "
                "type float. Use MSELoss, or make the target a class (`classes` of the mock data, "
                "an integer type in `dtypes`, or `categories`)."
            )
        return _count_classes(task)
    if name in _BINARY_LOSSES:
        if task.kind == "classification" and task.classes != 2:
            raise UserError(
                f"{where}: {name} learns two classes, but the target {task.target} has "
                f"{task.classes}. Use CrossEntropyLoss."
            )
        return recipe.targets
    if task.kind == "classification":
        raise UserError(
            f"{where}: {name} learns numbers, but the target {task.target} is one of "
            f"{task.classes} classes. Use CrossEntropyLoss, or give the target a float type."
        )
    return recipe.targets


def _count_classes(task: Task) -> int:
    if task.classes is None:
        raise ValueError("a classification needs a number of classes")
    return task.classes
