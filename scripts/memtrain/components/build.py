"""Everything that a training recipe names, built: model, loss, optimizer, schedule, transform."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn, optim

from memtrain.components.losses import Loss, build_loss
from memtrain.components.models import build_model
from memtrain.components.optimizers import build_optimizer, build_scheduler
from memtrain.components.transforms import Row, build_transform
from memtrain.core.errors import UserError
from memtrain.core.random_streams import torch_seed
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import dtype_to_json
from memtrain.recipes.recipe import Rows, TrainingRecipe
from memtrain.system.display_names import name_of


@dataclass(frozen=True)
class ModelParts:
    """What an evaluation is made of."""

    transform: Callable[[Row], Row] | None
    model: nn.Module
    loss: Loss


@dataclass(frozen=True)
class TrainingParts(ModelParts):
    """What a training is made of."""

    optimizer: optim.Optimizer
    scheduler: optim.lr_scheduler.LRScheduler | None


def build_model_parts(
    recipe: TrainingRecipe,
    device: torch.device,
    where: str = "training",
    shard: Callable[[nn.Module], None] | None = None,
) -> ModelParts:
    """Build what a recipe names but for the optimizer, with the initial weights of its seed.

    Args:
        recipe: the training part of a recipe.
        device: where model and loss go.
        where: the key of the settings, for errors.
        shard: cuts the model among processes.

    Raises:
        UserError: naming the key that chose something that is not there or does not fit.
    """
    settings = recipe.settings
    loss = build_loss(f"{where}.loss", settings.loss, recipe)
    # Drawn on the CPU, so that the initial weights are the same on every device.
    torch.manual_seed(torch_seed(settings.seed, "initial weights"))
    model = build_model(f"{where}.model", settings.model, recipe.in_features, loss.outputs)
    if shard is None:
        model.to(device)
    else:
        shard(model)
    return ModelParts(transform_of(recipe, where), model, loss.to(device))


def build_training_parts(
    recipe: TrainingRecipe,
    device: torch.device,
    where: str = "training",
    shard: Callable[[nn.Module], None] | None = None,
) -> TrainingParts:
    """Build all that a recipe names, as ``build_model_parts`` does, and what trains the model.

    Raises:
        UserError: naming the key that chose something that is not there or does not fit.
    """
    parts, settings = build_model_parts(recipe, device, where, shard), recipe.settings
    optimizer = build_optimizer(f"{where}.optimizer", settings.optimizer, parts.model)
    scheduler = build_scheduler(f"{where}.scheduler", settings.scheduler, optimizer)
    return TrainingParts(**vars(parts), optimizer=optimizer, scheduler=scheduler)


def transform_of(recipe: TrainingRecipe, where: str = "training") -> Callable[[Row], Row] | None:
    """Return the transform that a recipe names."""
    return build_transform(
        f"{where}.transform",
        recipe.settings.transform,
        recipe.statistics_of("features"),
        recipe.feature_shape,
    )


def open_rows(
    data: str | os.PathLike,
    recipe: TrainingRecipe,
    rows: Rows,
    transform: Callable[[Row], Row] | None = None,
) -> MemmapDataset:
    """Open a data file and see that it has the rows of a recipe.

    Args:
        data: the record file.
        recipe: that says what a row is.
        rows: of the training or of the evaluation.
        transform: of the dataset.

    Raises:
        UserError: where its rows are others, or too few.
    """
    dataset = MemmapDataset(data, transform=transform)
    found = dtype_to_json(dataset.layout.dtype)
    last = max(piece.end for piece in rows.resolved)
    if found != recipe.task.dtype:
        raise UserError(
            f"{name_of(data)}: its rows are {found}, but the recipe was made for "
            f"{recipe.task.dtype}. Run resolve_splits again."
        )
    if last > dataset.layout.rows:
        raise UserError(
            f"{name_of(data)}: it has {dataset.layout.rows:,} rows, but the recipe has rows up to "
            f"{last:,}. Run resolve_splits again."
        )
    return dataset


def first_row(dataset: MemmapDataset, rows: Rows, device: torch.device) -> dict[str, torch.Tensor]:
    """Return the first of some rows as a batch of one."""
    batch = dataset.gather([rows.resolved[0].start])
    return {name: value.to(device) for name, value in batch.items()}


def choose_device(setting: str) -> torch.device:
    """Return the device of this process: "auto" takes a GPU where there is one.

    Of several processes on a machine, each takes a GPU of its own.
    """
    kind = setting if setting != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cpu":
        return torch.device(kind)
    return torch.device(kind, int(os.environ.get("LOCAL_RANK", 0)))


def be_deterministic(exact: bool, compiled: bool = False) -> None:
    """Let PyTorch use algorithms that give the same bits again, and refuse those that do not.

    Args:
        exact: whether to.
        compiled: whether the compiler has to know as well, which takes a second to import.
    """
    if compiled:
        torch.use_deterministic_algorithms(exact)
    else:
        torch.set_deterministic_debug_mode("error" if exact else "default")
    # Memory that is not yet written would be filled, for programs that read it all the same.
    torch.utils.deterministic.fill_uninitialized_memory = False
