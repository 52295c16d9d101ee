"""The loss of a micro-batch, always as the sum over its rows.

Sums can be added up and divided by the rows of a whole accumulation window, which means cannot:
the mean of the means of two micro-batches is not the mean of their rows when one is short.
"""

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
from memtrain.recipes.recipe import TrainingRecipe

#: Losses whose target is the number of a class, and whose outputs are one number a class.
_OF_CLASSES = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss")

#: Losses whose target is 0 or 1, as a float of the shape of the outputs.
_OF_TWO_CLASSES = ("BCEWithLogitsLoss", "BCELoss")


class SummedLoss(nn.Module):
    """A ``torch.nn`` loss with ``reduction="sum"`` that knows which target it takes.

    Args:
        where: the key that chose it, for errors.
        choice: the name of the class and its arguments; lists become tensors.
        recipe: what the rows are.

    Attributes:
        outputs: how many numbers the model must give for a row.
        weighs_rows: whether rows can be given weights.

    Raises:
        UserError: where there is no such loss, or it does not fit the target.
    """

    weighs_rows = True

    def __init__(self, where: str, choice: Choice, recipe: TrainingRecipe):
        super().__init__()
        factory = find_class(where, choice.name, nn, nn.Module, suffix="Loss")
        if not takes_argument(factory, "reduction"):
            raise UserError(f'{where}: {choice.name} has no reduction="sum"; choose another loss.')
        arguments = {
            name: torch.tensor(value, dtype=torch.float32) if isinstance(value, list) else value
            for name, value in choice.arguments.items()
        }
        if arguments.pop("reduction", "sum") != "sum":
            raise UserError(f"{where}: the reduction is always sum; remove the key `reduction`.")
        self.name = choice.name
        self._summed = build(where, factory, **arguments, reduction="sum")
        self._of_each = build(where, factory, **arguments, reduction="none")
        self._of_classes = choice.name in _OF_CLASSES
        self.outputs = _outputs(where, choice.name, recipe)

    def forward(
        self, model: nn.Module, batch: dict[str, torch.Tensor], weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the sum of the losses of a micro-batch, a scalar.

        Args:
            model: maps features to outputs.
            batch: "features" and "target", each (rows, ...).
            weights: of the rows, (rows,); all 1 unless given.
        """
        return self.of_outputs(model(batch["features"]), batch["target"], weights)

    def of_outputs(
        self, outputs: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the sum of the losses of some rows, a scalar.

        Args:
            outputs: (rows, outputs) from the model.
            target: (rows, ...) from the file.
            weights: of the rows, (rows,); all 1 unless given.
        """
        # A sum of half precision overflows after a few thousand rows.
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        target = self._as_taken(target, outputs)
        if weights is None:
            return self._summed(outputs, target)
        return (self._of_each(outputs, target).reshape(len(weights), -1).sum(1) * weights).sum()

    def _as_taken(self, target: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        if self._of_classes:
            return target.reshape(-1).long()
        if outputs.shape != target.shape:
            # PyTorch would broadcast (rows,) against (rows, 1) to (rows, rows).
            raise ValueError(
                f"the model gives the shape {tuple(outputs.shape)} for targets of the shape "
                f"{tuple(target.shape)}"
            )
        return target.to(outputs.dtype)


class OwnLoss(nn.Module):
    """A function of the user's: ``loss(model, batch)`` gives the sum of the losses of the rows.

    It calls the model itself, on whatever of the batch it likes: an autoencoder compares the
    features with what comes out, and never looks at the target.

    Attributes:
        outputs: as many as the task of the rows needs, for models that take ``out_features``.
        weighs_rows: no; what it does with a row is its own affair.
    """

    weighs_rows = False

    def __init__(self, where: str, choice: Choice, recipe: TrainingRecipe):
        super().__init__()
        self.name = choice.name
        self._where = where
        self._function = import_object(where, choice.name)
        check_arguments(where, self._function, (None, None), choice.arguments)
        self._arguments = choice.arguments
        is_class = recipe.task.kind == "classification"
        self.outputs = recipe.task.classes if is_class else recipe.targets

    def forward(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the losses of a micro-batch, a scalar."""
        summed = self._function(model, batch, **self._arguments)
        if not isinstance(summed, torch.Tensor) or summed.dim():
            found = tuple(summed.shape) if isinstance(summed, torch.Tensor) else type(summed)
            raise UserError(
                f"{self._where}: {self.name} gives {found}, not the sum of the losses of the rows, "
                "a tensor without dimensions. End it with `.sum()`."
            )
        return summed


Loss = SummedLoss | OwnLoss


def build_loss(where: str, choice: Choice, recipe: TrainingRecipe) -> Loss:
    """Return the loss that a key chose.

    Args:
        where: the key, for errors.
        choice: a ``torch.nn`` loss by name, or "package.module:function", with its arguments.
        recipe: what the rows are.
    """
    kind = OwnLoss if ":" in choice.name else SummedLoss
    return kind(where, choice, recipe)


def _outputs(where: str, name: str, recipe: TrainingRecipe) -> int:
    """Return the outputs that a row needs, after checking that the loss fits the target."""
    task = recipe.task
    if name in _OF_CLASSES:
        if task.kind != "classification":
            raise UserError(
                f"{where}: {name} learns classes, but the target {task.target} holds numbers of "
                "type float. Use MSELoss, or make the target a class (`classes` of the mock data, "
                "an integer type in `dtypes`, or `categories`)."
            )
        return task.classes
    if name in _OF_TWO_CLASSES:
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
