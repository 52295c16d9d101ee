"""Losses of the user's own: a function, or a class of ``nn.Module``.

A function calls the model itself, on any part of the batch: ``loss(model, batch)``. A class gets
what the losses of ``torch.nn`` get: ``forward(outputs, target)``; if its ``forward`` begins with an
argument ``model``, it gets the model and the batch. Both return the sum of the losses of the rows,
or the loss of each row.
"""

from collections.abc import Callable

import torch
from torch import nn

from memtrain.components.loss_checks import check_outputs, check_targets, count_outputs
from memtrain.components.loss_kinds import LossKind, kind_of
from memtrain.components.padded_batch import call_model, elements_there, target_mask
from memtrain.components.sequences import checked_elements, checked_padded
from memtrain.config.objects import argument_names, build, check_arguments, import_object
from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.core.wording import listed, shown
from memtrain.recipes.recipe import TrainingRecipe

#: Attribute of a function or class that names the loss of ``torch.nn`` whose outputs it shares.
_LIKE = "like"


class CustomLoss(nn.Module):
    """A loss of the user's own.

    What the outputs of a model mean is known only if the loss says so: its attribute ``like`` names
    the loss of ``torch.nn`` that takes the same outputs and targets.

    Args:
        where: key of the setting, for error messages.
        choice: "package.module:function" or "package.module:Class", and its arguments.
        recipe: training part of the recipe, which describes a row.

    Attributes:
        name: "package.module:function" or "package.module:Class".
        kind: what the loss makes of outputs and targets; None where it does not say.
        outputs: outputs per row that the task calls for, for models that take ``out_features``.
        weighs_rows: whether rows can be given weights, since the loss returns that of each row;
            None until ``learn`` or a first call has found out.

    Raises:
        UserError: if there is no such loss, it does not take these arguments, or it has parameters
            that nothing would train.
    """

    def __init__(self, where: str, choice: Choice, recipe: TrainingRecipe):
        super().__init__()
        self.name = choice.name
        self.weighs_rows: bool | None = None
        self._where = where
        found = import_object(where, choice.name)
        self._takes_outputs = isinstance(found, type) and not _begins_with_model(found)
        if isinstance(found, type):
            self._function: Callable = _build_module(where, found, choice)
            self._arguments = {}
        else:
            check_arguments(where, found, (None, None), choice.arguments)
            self._function, self._arguments = found, choice.arguments
        self._is_classification = recipe.task.kind == "classification"
        self._elements = recipe.targets if recipe.has_sequences else 1
        like = getattr(found, _LIKE, None)
        self.kind = None if like is None else _find_kind(where, choice.name, like)
        if self.kind is not None:
            self.outputs = count_outputs(where, choice.name, self.kind, recipe)
        else:
            is_class = self._is_classification
            self.outputs = recipe.task.class_count if is_class else recipe.targets

    def forward(
        self, model: nn.Module, batch: dict[str, torch.Tensor], weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the sum of the losses of a micro-batch, a scalar.

        Args:
            model: model that maps features to outputs.
            batch: "features" and "target", each (rows, ...), and what stands beside them where rows
                vary in length.
            weights: weights of the rows, (rows,), where ``weighs_rows`` is true; None for a weight
                of 1 each.
        """
        losses = self._losses(model, batch)
        return (losses if weights is None else losses * weights).sum()

    def fit_to(self, model: nn.Module, device: torch.device) -> None:
        """Put the loss's own numbers on the device of the outputs; their precision is its own.

        Args:
            model: model whose outputs the loss takes.
            device: device of the outputs.
        """
        self.to(device)

    @torch.no_grad()
    def learn(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> None:
        """Find out whether the loss returns that of each row; no state and no generator changes."""
        was_training = model.training
        devices = {value.device for value in batch.values() if value.is_cuda}
        with torch.random.fork_rng(list(devices)):
            try:
                model.eval()
                self.weighs_rows = self._losses(model, batch).dim() == 1
            finally:
                model.train(was_training)

    def check(
        self,
        where: str,
        outputs: torch.Tensor,
        target: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> None:
        """Check that outputs and targets are those of the loss that ``like`` names.

        Args:
            where: key of the setting, for error messages.
            outputs: outputs of the model, (rows, outputs).
            target: targets as they come from the file or the transform, (rows, ...).
            mask: where targets vary in length, the elements that are there, bool (rows, longest).

        Raises:
            UserError: if they are not, with what to do.
        """
        if self.kind is not None:
            if mask is not None:
                outputs, target = checked_padded(where, outputs, target, mask, self.outputs)
            elif self._elements > 1:
                outputs = checked_elements(where, outputs, self._elements, self.outputs)
            check_outputs(where, self.name, self.kind, outputs)
            if not self._is_classification:
                check_targets(where, self.name, self.kind, target)

    def _losses(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return what the loss gives: a scalar, or the losses of the rows, (rows,).

        A class that takes outputs and targets gets those of the elements that are there, and gives
        the losses of these, where the targets of rows vary in length.
        """
        places = len(batch["features"])
        if self._takes_outputs:
            outputs, target = call_model(model, batch), batch["target"]
            mask = target_mask(batch)
            if mask is not None:
                outputs, target = elements_there(outputs, target, mask)
                places = len(target)
            outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
            is_class = self._is_classification and (self.kind is None or self.kind.takes_classes)
            if is_class:
                target = target.long() if self._elements > 1 else target.reshape(-1).long()
            else:
                target = target.to(outputs.dtype)
            losses = self._function(outputs, target)
        else:
            losses = self._function(model, batch, **self._arguments)
        if not isinstance(losses, torch.Tensor) or losses.shape not in ((), (places,)):
            found = f"an object of type {type(losses).__name__}"
            if isinstance(losses, torch.Tensor):
                found = f"a tensor of shape {tuple(losses.shape)} for {places} rows"
            raise UserError(
                f"{self._where}: {self.name} gives {found}, not the sum of the losses of the rows, "
                "a tensor without dimensions, nor the loss of each row, a tensor of shape (rows,). "
                "End it with `.sum()`, or with `.flatten(1).sum(1)`."
            )
        return losses


def _begins_with_model(found: type) -> bool:
    """Return whether the first argument of a class's ``forward`` is called ``model``."""
    return argument_names(getattr(found, "forward", found))[1:2] == ["model"]


def _build_module(where: str, found: type, choice: Choice) -> nn.Module:
    """Return an object of a class of losses.

    Raises:
        UserError: if it is no module, or has parameters.
    """
    if not issubclass(found, nn.Module):
        raise UserError(
            f"{where}: {choice.name} is a class, but no nn.Module. Name a function, or a class of "
            "nn.Module."
        )
    module = build(where, found, **choice.arguments)
    trained = [name for name, part in module.named_parameters() if part.requires_grad]
    if trained:
        raise UserError(
            f"{where}: {choice.name} has the parameters {listed(trained, 5)}, which nothing would "
            "train. Make them parameters of the model, or buffers of the loss."
        )
    return module


def _find_kind(where: str, name: str, like: object) -> LossKind:
    """Return the kind of loss that an attribute ``like`` names."""
    kind = kind_of(Choice(name=like)) if isinstance(like, str) else None
    if kind is None:
        raise UserError(
            f"{where}: {name}.like is {shown(like)}; name a loss of torch.nn that takes the "
            'outputs of a model and a target, like "CrossEntropyLoss" or "MSELoss".'
        )
    return kind
