"""Builds what a training recipe names: transform, model, loss, optimizer and schedule."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn, optim

from memtrain.components.custom_hooks import check_hooks
from memtrain.components.frozen import freeze
from memtrain.components.losses import Loss, build_loss
from memtrain.components.models import StandIn, build_model
from memtrain.components.optimizers import build_optimizer
from memtrain.components.row_transform import (
    StandardizeTarget,
    build_row_transform,
    build_target_transform,
    chained,
)
from memtrain.components.schedules import Extent, build_scheduler
from memtrain.components.transforms import Row
from memtrain.core.errors import UserError, attempt
from memtrain.core.random_streams import torch_seed
from memtrain.recipes.recipe import TrainingRecipe


@dataclass(frozen=True)
class ModelParts:
    """The parts of an evaluation.

    Attributes:
        transform: what is done to a row on its way to the model; None for nothing. In a training,
            the target is standardized by it, too.
        model: the model.
        loss: the loss of a micro-batch.
        target: what a training does to the target; None for nothing.
    """

    transform: Callable[[Row], Row] | None
    model: nn.Module
    loss: Loss
    target: StandardizeTarget | None


@dataclass(frozen=True)
class TrainingParts(ModelParts):
    """The parts of a training: those of an evaluation, the optimizer and the schedule.

    Attributes:
        optimizer: optimizer of the model's parameters.
        scheduler: learning-rate schedule; None for a constant rate.
    """

    optimizer: optim.Optimizer
    scheduler: optim.lr_scheduler.LRScheduler | None


def build_model_parts(
    recipe: TrainingRecipe,
    device: torch.device,
    where: str = "training",
    shard: Callable[[nn.Module], None] | None = None,
    start: Callable[[nn.Module], None] | None = None,
) -> ModelParts:
    """Build transform, model and loss, with the initial weights of the recipe's seed.

    Args:
        recipe: training part of a recipe.
        device: device for model and loss.
        where: key of the settings, for error messages.
        shard: shards the model among processes, and puts it on the device; None for no sharding.
        start: gives the new model, on the CPU, the weights that a training starts from; None for
            those of the seed.

    Raises:
        UserError: with all settings that name something that does not exist or does not fit.
    """
    settings = recipe.settings
    problems: list[str] = []
    loss = attempt(problems, build_loss, f"{where}.loss", settings.loss, recipe)
    outputs = loss.outputs if loss else recipe.task.classes or recipe.targets
    # The model is built on the CPU, so that its initial weights are the same on every device.
    with _seeded(torch_seed(settings.seed, "initial weights")):
        model = attempt(
            problems,
            build_model,
            f"{where}.model",
            settings.model,
            recipe.in_features,
            outputs,
            recipe.category_sizes,
        )
    transform = attempt(problems, build_row_transform, where, recipe)
    target = attempt(problems, build_target_transform, where, recipe)
    if loss is None or model is None or problems:
        raise UserError(*problems)
    if start is not None:
        start(model)
    freeze(f"{where}.freeze", settings.freeze, model)
    if shard is None:
        model.to(device)
    else:
        shard(model)
    loss.fit_to(model, device)
    return ModelParts(transform, model, loss, target)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generators that models draw their initial weights from.

    NumPy's and Python's are as they were after the block. Torch's is not: its state is set before
    every micro-batch.
    """
    of_numpy, of_python = np.random.get_state(), random.getstate()
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


def build_training_parts(
    recipe: TrainingRecipe,
    device: torch.device,
    where: str = "training",
    shard: Callable[[nn.Module], None] | None = None,
    start: Callable[[nn.Module], None] | None = None,
) -> TrainingParts:
    """Build the model parts, and the optimizer and the schedule that train the model.

    Args:
        recipe: training part of a recipe.
        device: device for model and loss.
        where: key of the settings, for error messages.
        shard: shards the model among processes, and puts it on the device; None for no sharding.
        start: gives the new model, on the CPU, the weights that a training starts from; None for
            those of the seed.

    Raises:
        UserError: with all settings that name something that does not exist or does not fit.
    """
    settings = recipe.settings
    problems: list[str] = []
    parts = attempt(problems, build_model_parts, recipe, device, where, shard, start)
    model = parts.model if parts else StandIn()
    optimizer = attempt(problems, build_optimizer, f"{where}.optimizer", settings.optimizer, model)
    scheduler = attempt(
        problems,
        build_scheduler,
        f"{where}.scheduler",
        settings.scheduler,
        optimizer or optim.SGD(StandIn().parameters(), lr=0.1, momentum=0.9),
        Extent.of(recipe),
    )
    attempt(problems, check_hooks, f"{where}.hooks", settings.hooks)
    if parts is None or optimizer is None or problems:
        raise UserError(*problems)
    return TrainingParts(
        transform=chained(parts.transform, parts.target),
        model=parts.model,
        loss=parts.loss,
        target=parts.target,
        optimizer=optimizer,
        scheduler=scheduler,
    )
