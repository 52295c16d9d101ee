"""Checks that a training has the validations by which its settings decide."""

import torch
from torch.nn.modules.batchnorm import _NormBase

from memtrain.components.build import build_model_parts
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.planning.known_metrics import known_metrics
from memtrain.recipes.recipe import TrainingRecipe


def check_decisions(where: str, recipe: TrainingRecipe, data: str) -> None:
    """Refuse settings that decide by validations that there are not, or by metrics that they lack.

    Args:
        where: key of the split, for messages.
        recipe: training part of a recipe, whose parts fit together.
        data: path of the record file.

    Raises:
        UserError: with the settings and what to do.
    """
    settings = recipe.settings
    deciding = [
        name
        for name, decides in (
            ("early_stopping", settings.early_stopping is not None),
            ("keep", settings.keep == "best"),
        )
        if decides
    ]
    if deciding and recipe.validation is None:
        raise UserError(
            f"{where}: training.{listed(deciding)}: the model is not validated while it trains. "
            "Name rows under `validate` of the split, or a share of the training rows: "
            "`training: {validation: {share: 10%}}`."
        )
    _check_averaging(where, recipe)
    metric, _ = settings.decisive_metric
    if metric == "loss" or recipe.validation is None:
        return
    known = ("loss", *known_metrics(recipe, recipe.validation, data).of_sums)
    if metric not in known:
        raise UserError(
            f"{where}: training.early_stopping.metric: found {metric}, which a validation of this "
            f"model does not have; it has {listed(known)}."
        )


def _check_averaging(where: str, recipe: TrainingRecipe) -> None:
    """Refuse averages of no steps, and of models whose statistics would not fit them."""
    settings, sizes = recipe.settings, recipe.sizes
    if settings.averaging is None:
        return
    before = settings.averaging.steps_before(sizes.steps, sizes.steps_per_epoch)
    if before >= sizes.steps:
        raise UserError(
            f"{where}: training.averaging.swa.start: found {before} steps, but the training has "
            f"{sizes.steps}, so that there would be nothing to average. Use an earlier start."
        )
    with torch.random.fork_rng([]):
        model = build_model_parts(recipe, torch.device("cpu")).model
    names = [
        name or type(model).__name__
        for name, layer in model.named_modules()
        if getattr(layer, "running_mean", None) is not None and not isinstance(layer, _NormBase)
    ]
    if names:
        raise UserError(
            f"{where}: training.averaging: the model has layers of its own with running statistics "
            f"({listed(names, 5)}), which are those of the weights of single steps, and would not "
            "fit their average. Use layers of torch.nn, or no `averaging`."
        )
