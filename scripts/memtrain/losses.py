"""The loss of a micro-batch, always as the sum over its rows.

Sums can be added up and divided by the rows of a whole accumulation window, which means cannot:
the mean of the means of two micro-batches is not the mean of their rows when one is short.
"""

import torch
from torch import nn

from memtrain.config import Choice
from memtrain.errors import UserError
from memtrain.named_objects import build, find_class, takes_argument
from memtrain.recipe import TrainingRecipe

#: Losses whose target is the number of a class, and whose outputs are one number a class.
_OF_CLASSES = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss")

#: Losses whose target is 0 or 1, as a float of the shape of the outputs.
_OF_TWO_CLASSES = ("BCEWithLogitsLoss", "BCELoss")


class SummedLoss:
    """A ``torch.nn`` loss with ``reduction="sum"`` that knows which target it takes.

    Args:
        where: the key that chose it, for errors.
        choice: the name of the class and its arguments; lists become tensors.
        recipe: what the rows are.

    Attributes:
        outputs: how many numbers the model must give for a row.

    Raises:
        UserError: where there is no such loss, or it does not fit the target.
    """

    def __init__(self, where: str, choice: Choice, recipe: TrainingRecipe):
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
        self._module = build(where, factory, **arguments, reduction="sum")
        self._of_classes = choice.name in _OF_CLASSES
        self.outputs = _outputs(where, choice.name, recipe)

    def __call__(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the sum of the losses of some rows, a scalar.

        Args:
            outputs: (rows, outputs) from the model.
            target: (rows, ...) from the file.
        """
        if self._of_classes:
            return self._module(outputs, target.reshape(-1).long())
        target = target.to(outputs.dtype)
        if outputs.shape != target.shape:
            # PyTorch would broadcast (rows,) against (rows, 1) to (rows, rows).
            raise ValueError(
                f"the model gives the shape {tuple(outputs.shape)} for targets of the shape "
                f"{tuple(target.shape)}"
            )
        return self._module(outputs, target)

    def to(self, device: torch.device) -> "SummedLoss":
        """Move the arguments of the loss, such as class weights."""
        self._module.to(device)
        return self


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
