"""The loss that a configuration names, always summed over the rows of a micro-batch.

Sums can be added up and divided by the rows of a whole accumulation window. Means cannot: the mean
of the means of two micro-batches is not the mean of their rows if one micro-batch is short.
"""

import functools
from typing import Any

import torch
from torch import nn

from memtrain.components.custom_losses import CustomLoss
from memtrain.components.loss_arguments import loss_arguments
from memtrain.components.loss_checks import check_outputs, check_targets, count_outputs
from memtrain.components.loss_kinds import OTHER_INPUTS, kind_of
from memtrain.components.padded_batch import call_model, elements_there, target_mask
from memtrain.components.sequences import checked_elements, checked_padded, outputs_of_elements
from memtrain.config.objects import build, find_class, takes_argument
from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.recipes.recipe import TrainingRecipe

#: Arguments that choose between sum and mean: the one of today, and those of old that override it.
_ARGUMENTS_OF_REDUCTION = ("reduction", "size_average", "reduce")


class SummedLoss(nn.Module):
    """A ``torch.nn`` loss with ``reduction="sum"`` that knows which target it takes.

    The loss of a row of several elements, each with a class, is the mean over its elements.

    Args:
        where: key of the setting, for error messages.
        choice: name of the class, and its arguments; see ``loss_arguments``.
        recipe: training part of the recipe, which describes a row.

    Attributes:
        name: name of the class.
        kind: what the loss makes of outputs and targets; None where that is not declared.
        outputs: outputs that the model must give per row.
        weighs_rows: whether rows can be given weights.

    Raises:
        UserError: if there is no such loss, or it does not fit the target.
    """

    weighs_rows = True

    def __init__(self, where: str, choice: Choice, recipe: TrainingRecipe):
        super().__init__()
        factory = find_class(where, choice.name, nn, nn.Module, suffix="Loss")
        _refuse_reduction(where, choice.arguments)
        if choice.name in OTHER_INPUTS:
            raise UserError(
                f"{where}: {choice.name} takes {OTHER_INPUTS[choice.name]}, and a loss of torch.nn "
                "gets the outputs of the model and the target of a row. Write a loss of your own "
                '(`loss: "module:function"`), which may call it.'
            )
        if not takes_argument(factory, "reduction"):
            raise UserError(f'{where}: {choice.name} has no reduction="sum"; choose another loss.')
        arguments = loss_arguments(where, choice, recipe)
        self.name = choice.name
        self._summed = build(where, factory, **arguments, reduction="sum")
        self._unreduced = build(where, factory, **arguments, reduction="none")
        self.kind = kind_of(choice)
        self.outputs = count_outputs(where, choice.name, self.kind, recipe)
        self._counts_elements = recipe.settings.normalize == "elements"
        self._elements = recipe.targets if recipe.has_sequences else 1
        self._learns_signs = (
            self.kind is not None
            and self.kind.targets == "-1 or 1"
            and recipe.task.kind == "classification"
        )

    def forward(
        self, model: nn.Module, batch: dict[str, torch.Tensor], weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the sum of the losses of a micro-batch, a scalar.

        Args:
            model: model that maps features to outputs.
            batch: "features" and "target", each (rows, ...), and what stands beside them where rows
                vary in length.
            weights: weights of the rows, (rows,); None for a weight of 1 each.
        """
        return self.sum_losses(
            call_model(model, batch), batch["target"], weights, mask=target_mask(batch)
        )

    def sum_losses(
        self,
        outputs: torch.Tensor,
        target: torch.Tensor,
        weights: torch.Tensor | None = None,
        *,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the sum of the losses of outputs that are already computed, a scalar.

        Args:
            outputs: outputs of the model, (rows, outputs); for rows of elements, see
                ``outputs_of_elements``.
            target: target from the file, (rows, ...).
            weights: weights of the rows, (rows,); None for a weight of 1 each.
            mask: where the targets of rows vary in length, the elements that are there, bool (rows,
                longest); see ``_sum_of_elements``. Such rows have no weights.
        """
        if mask is not None:
            return self._sum_of_elements(outputs, target, mask)
        # A sum in half precision would overflow after a few thousand rows.
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        if self._elements > 1:
            outputs = outputs_of_elements(outputs, self._elements)
        target = self._convert_target(target, outputs)
        if weights is None:
            return self._mean_of_elements(self._summed(outputs, target))
        losses = self._unreduced(outputs, target).reshape(len(weights), -1).sum(1)
        return (self._mean_of_elements(losses) * weights).sum()

    def _sum_of_elements(
        self, outputs: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the sum of the losses of rows that vary in length, a scalar.

        Every element weighs the same where the training counts elements. Else every row does: its
        loss is the mean over its elements.
        """
        outputs, target = elements_there(outputs, target, mask)
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        target = self._convert_target(target, outputs)
        if self._counts_elements:
            return self._summed(outputs, target)
        losses = self._unreduced(outputs, target).reshape(len(outputs), -1).sum(1)
        lengths = mask.sum(1)
        return (losses / lengths.repeat_interleave(lengths)).sum()

    def fit_to(self, model: nn.Module, device: torch.device) -> None:
        """Give the loss's own numbers, such as weights, the device and precision of the outputs.

        Args:
            model: model whose outputs the loss takes. They are as precise as its parameters, or
                float32 where these are less precise.
            device: device of the outputs.
        """
        dtypes = {one.dtype for one in model.parameters() if one.dtype.is_floating_point}
        self.to(device, functools.reduce(torch.promote_types, dtypes, torch.float32))

    def _mean_of_elements(self, losses: torch.Tensor) -> torch.Tensor:
        """Return sums over the elements of rows as means, unless elements are what is counted."""
        is_mean = self._elements > 1 and not self._counts_elements
        return losses / self._elements if is_mean else losses

    def _convert_target(self, target: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """Return the target in the dtype and shape that the loss takes."""
        if self.kind is not None and self.kind.takes_classes:
            return target.reshape(-1).long()
        if outputs.shape != target.shape:
            # PyTorch would broadcast (rows,) against (rows, 1) to (rows, rows).
            raise ValueError(
                f"the model gives the shape {tuple(outputs.shape)} for targets of the shape "
                f"{tuple(target.shape)}"
            )
        target = target.to(outputs.dtype)
        return 2 * target - 1 if self._learns_signs else target

    def check(
        self,
        where: str,
        outputs: torch.Tensor,
        target: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> None:
        """Check that outputs and targets of some rows are what the loss takes them for.

        Args:
            where: key of the setting, for error messages.
            outputs: outputs of the model, (rows, outputs).
            target: targets as they come from the file or the transform, (rows, ...).
            mask: where targets vary in length, the elements that are there, bool (rows, longest).

        Raises:
            UserError: if they are not, with what to do.
        """
        if self.kind is None:
            return
        if mask is not None:
            outputs, target = checked_padded(where, outputs, target, mask, self.outputs)
        elif self._elements > 1:
            outputs = checked_elements(where, outputs, self._elements, self.outputs)
        check_outputs(where, self.name, self.kind, outputs)
        if not self.kind.takes_classes and not self._learns_signs:
            check_targets(where, self.name, self.kind, target)


Loss = SummedLoss | CustomLoss


def build_loss(where: str, choice: Choice, recipe: TrainingRecipe) -> Loss:
    """Return the loss that a setting names.

    Args:
        where: key of the setting, for error messages.
        choice: name of a ``torch.nn`` loss, "package.module:function" or "package.module:Class",
            with its arguments.
        recipe: training part of the recipe, which describes a row.

    Raises:
        UserError: if there is no such loss, or it does not fit the target.
    """
    loss_type = CustomLoss if ":" in choice.name else SummedLoss
    return loss_type(where, choice, recipe)


def _refuse_reduction(where: str, arguments: dict[str, Any]) -> None:
    """Raise a ``UserError`` if an argument asks for another reduction than the sum."""
    given = {name: arguments[name] for name in _ARGUMENTS_OF_REDUCTION if name in arguments}
    if given and given != {"reduction": "sum"}:
        found = listed(f"{name}: {value}" for name, value in given.items())
        raise UserError(
            f"{where}: found {found}; the losses of rows are always added up, and divided by the "
            f"rows of the whole window. Remove {listed(f'`{name}`' for name in given)}."
        )
