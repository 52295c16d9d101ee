"""One tiny step of a training, before hours of it: does everything fit, and what will it need?"""

import math

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from memtrain.components.build import TrainingParts, build_training_parts
from memtrain.components.losses import SummedLoss
from memtrain.config.objects import describe_exception
from memtrain.core.errors import UserError
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.recipes.recipe import ResourceEstimate, TrainingRecipe

_ROWS = 2

#: More than any machine has, so that what a loader needs is told and not refused.
_ANY_BUDGET = 1 << 62


def rehearse(where: str, recipe: TrainingRecipe, data: str) -> ResourceEstimate:
    """Try one tiny step, so that what does not fit is found early, and return what it showed.

    Args:
        where: the key of the settings, for errors.
        recipe: the training part of a recipe.
        data: the record file.

    Raises:
        UserError: naming the key that has to change.
    """
    random_state = torch.get_rng_state()
    try:
        parts = build_training_parts(recipe, torch.device("cpu"), where)
        dataset = MemmapDataset(data, transform=parts.transform)
        first = recipe.rows.resolved[0]
        with _blame(f"{where}.transform", "the transform does not fit the rows"):
            batch = dataset.gather(range(first.start, min(first.start + _ROWS, first.end)))
            features = batch["features"]
        parts.model.eval()
        if isinstance(parts.loss, SummedLoss):
            with _blame(f"{where}.model", f"the model does not fit rows of {_shape(features)}"):
                parts.model(features)
        with _blame(f"{where}.loss", f"{parts.loss.name} does not fit the rows or the model"):
            kept_bytes, operations = _backward(parts, batch)
        with _blame(f"{where}.optimizer", "the optimizer cannot take a step"):
            parts.optimizer.step()
        if parts.scheduler is not None:
            with _blame(f"{where}.scheduler", "the schedule cannot be stepped by itself"):
                parts.scheduler.step()
        return ResourceEstimate(
            loading_bytes=_loading_bytes(recipe, dataset),
            model_bytes=_model_bytes(recipe, parts),
            row_bytes=dataset.layout.row_bytes,
            bytes_per_row=math.ceil(kept_bytes / len(features)),
            operations_per_row=math.ceil(operations / len(features)),
        )
    finally:
        torch.set_rng_state(random_state)


def _backward(parts: TrainingParts, batch: dict[str, torch.Tensor]) -> tuple[int, int]:
    """Compute the gradients of a batch; return the bytes kept for that, and the operations."""
    of_model = {part.untyped_storage().data_ptr() for part in _tensors(parts.model)}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in of_model:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        parts.loss(parts.model, batch).backward()
    return sum(kept.values()), counter.get_total_flops()


def _loading_bytes(recipe: TrainingRecipe, dataset: MemmapDataset) -> int:
    """Return what a loader of all slots takes at most; see ``BlockLoader.memory_bytes``."""
    settings = recipe.settings
    return BlockLoader(
        dataset,
        settings.batch_size,
        settings.shuffle,
        settings.seed,
        ranges=recipe.rows.ranges,
        accumulation_steps=settings.accumulation_steps,
        epochs=settings.epochs,
        memory_budget=_ANY_BUDGET,
    ).memory_bytes


def _model_bytes(recipe: TrainingRecipe, parts: TrainingParts) -> int:
    """Return what weights, optimizer and gradients take, a copy of the former for a checkpoint."""
    weights = sum(part.nbytes for part in _tensors(parts.model))
    state = sum(
        value.nbytes
        for of_parameter in parts.optimizer.state.values()
        for value in of_parameter.values()
        if isinstance(value, torch.Tensor)
    )
    numbers = sum(part.numel() for part in _tensors(parts.model))
    # A buffer of the tree a level, one more on its way, and the gradients of the parameters.
    buffers = math.ceil(math.log2(recipe.settings.accumulation_steps)) + 3
    return 2 * (weights + state) + buffers * 4 * numbers


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]


class _blame:  # noqa: N801 - reads as a statement
    """Turns any exception of a block into a problem of one key."""

    def __init__(self, where: str, what: str):
        self._where, self._what = where, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            raise UserError(
                f"{self._where}: {self._what}: {describe_exception(error)}. Change this setting, "
                "or the columns of the dataset."
            ) from None


def _shape(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape[1:])} features of type {str(tensor.dtype).removeprefix('torch.')}"
