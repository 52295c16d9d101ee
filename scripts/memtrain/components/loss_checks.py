"""Checks that a loss, the outputs of a model and the targets of the rows fit together."""

import torch

from memtrain.components.loss_kinds import LossKind, target_problem
from memtrain.core.errors import UserError
from memtrain.data.field_statistics import FieldStatistics
from memtrain.recipes.recipe import TrainingRecipe

#: Largest distance from 0 of the logarithm of a sum of probabilities that rounding explains.
_ROUNDING = 1e-3


def count_outputs(where: str, name: str, kind: LossKind | None, recipe: TrainingRecipe) -> int:
    """Return the outputs that a row needs, after checking that the loss fits the target.

    Args:
        where: key of the setting, for error messages.
        name: name of the loss.
        kind: kind of the loss; None where none is declared.
        recipe: training part of the recipe, which describes a row.

    Raises:
        UserError: if the loss learns classes and the target holds numbers, or the other way round.
    """
    task = recipe.task
    if kind is not None and kind.takes_classes:
        if task.kind != "classification":
            raise UserError(
                f"{where}: {name} learns classes, but the target {task.target} holds numbers of "
                "type float. Use MSELoss, or make the target a class (`classes` of the mock data, "
                "an integer type in `dtypes`, or `categories`)."
            )
        if recipe.has_sequences and kind.outputs == "scores":
            raise UserError(
                f"{where}: {name} learns the class of a row, but a row has several elements, each "
                "with a class. Use CrossEntropyLoss."
            )
        return task.class_count
    if recipe.has_sequences and kind is not None:
        raise UserError(
            f"{where}: {name} learns no classes, but a row has several elements, each one of "
            f"{task.classes} classes. Use CrossEntropyLoss."
        )
    if kind is not None and kind.takes_two_classes:
        if task.kind == "classification" and task.classes != 2:
            raise UserError(
                f"{where}: {name} learns two classes, but the target {task.target} has "
                f"{task.classes}. Use CrossEntropyLoss."
            )
        return recipe.targets
    if task.kind == "classification":
        raise UserError(
            f"{where}: {name} learns numbers, but the target {task.target} is one of "
            f"{task.classes} classes. Use CrossEntropyLoss, or, if the target is a number, give it "
            "a floating type (`dtypes: {target: float32}` under `dataset.import`)."
        )
    return recipe.targets


def check_outputs(where: str, name: str, kind: LossKind, outputs: torch.Tensor) -> None:
    """Raise a ``UserError`` if outputs are not what a loss takes them for.

    Args:
        where: key of the setting, for error messages.
        name: name of the loss.
        kind: kind of the loss.
        outputs: outputs of a model, (rows, outputs). Rows that are not finite are not judged.
    """
    if outputs.dim() < 2:  # The loss itself says what is wrong with the shape.
        return
    flat = outputs.detach().double().flatten(1)
    finite = flat[flat.isfinite().all(1)]
    if not len(finite):
        return
    if kind.outputs == "log-probabilities":
        sums = finite.logsumexp(1)
        if (sums.abs() > _ROUNDING).any():
            worst = sums[sums.abs().argmax()].exp().item()
            raise UserError(
                f"{where}: {name} takes log-probabilities, but the probabilities of a row add up "
                f"to {worst:.4g}. Use CrossEntropyLoss, or let the model end with nn.LogSoftmax(1)."
            )
    if kind.outputs == "probabilities" and ((finite < 0) | (finite > 1)).any():
        low, high = finite.min().item(), finite.max().item()
        raise UserError(
            f"{where}: {name} takes probabilities, but the model gives outputs between {low:.4g} "
            f"and {high:.4g}. Use BCEWithLogitsLoss, or let the model end with nn.Sigmoid()."
        )


def check_targets(where: str, name: str, kind: LossKind, target: torch.Tensor) -> None:
    """Raise a ``UserError`` if a loss does not allow some targets, (rows, ...)."""
    problem = target_problem(name, kind, FieldStatistics.from_rows(target.cpu().numpy()))
    if problem is not None:
        raise UserError(f"{where}: {problem}")
