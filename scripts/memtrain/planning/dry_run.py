"""A dry run of one training step: does everything fit together, and what will the training need?"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from memtrain.components.build import TrainingParts, build_training_parts
from memtrain.components.rows import first_rows
from memtrain.config.objects import describe_exception
from memtrain.core.errors import UserError
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.memory_estimate import loader_memory_bytes
from memtrain.loading.order_digest import declared_order
from memtrain.planning.parts_problems import PartsError
from memtrain.recipes.recipe import ResourceEstimate, TrainingRecipe

#: Rows in the micro-batch of the dry run.
_ROWS = 2


@dataclass(frozen=True)
class _BackwardCost:
    """Memory and operations of one forward and backward pass of a batch.

    Attributes:
        kept_bytes: bytes that the forward pass keeps for the backward pass.
        operations: floating-point operations.
    """

    kept_bytes: int
    operations: int


def dry_run(where: str, recipe: TrainingRecipe, data: str) -> ResourceEstimate:
    """Take one step with two rows, so that whatever does not fit is found before the training.

    Args:
        where: key of the settings, for error messages.
        recipe: training part of a recipe.
        data: path of the record file.

    Returns:
        What a training step needs, extrapolated from this step.

    Raises:
        PartsError: if parts do not fit, with the keys to change.
    """
    random_state = torch.get_rng_state()
    try:
        parts = build_training_parts(recipe, torch.device("cpu"), where)
        dataset = MemmapDataset(data, transform=parts.transform)
        with _blame(f"{where}.transform", "the transform does not fit the rows"):
            batch = first_rows(dataset, recipe.rows, _ROWS)
            rows = len(batch["features"])
        cost = _take_step(where, parts, batch)
        return ResourceEstimate(
            loading_bytes=loader_memory_bytes(dataset, declared_order(recipe)),
            model_bytes=_estimate_model_bytes(recipe, parts),
            row_bytes=dataset.layout.row_bytes,
            bytes_per_row=math.ceil(cost.kept_bytes / rows),
            operations_per_row=math.ceil(cost.operations / rows),
        )
    except UserError as error:
        raise PartsError(*error.problems) from None
    finally:
        torch.set_rng_state(random_state)


def _take_step(where: str, parts: TrainingParts, batch: dict[str, torch.Tensor]) -> _BackwardCost:
    """Take one optimizer step, and blame whatever fails on its key."""
    features = batch["features"]
    parts.model.eval()
    if parts.loss.kind is not None:
        with _blame(f"{where}.model", f"the model does not fit rows of {_describe(features)}"):
            outputs = parts.model(features)
        parts.loss.check(f"{where}.loss", outputs, batch["target"])
    with _blame(f"{where}.loss", f"{parts.loss.name} does not fit the rows or the model"):
        cost = _compute_gradients(parts, batch)
    with _blame(f"{where}.optimizer", "the optimizer cannot take a step"):
        parts.optimizer.step()
    if parts.scheduler is not None:
        with _blame(f"{where}.scheduler", "the schedule cannot be advanced"):
            parts.scheduler.step()
    return cost


def _compute_gradients(parts: TrainingParts, batch: dict[str, torch.Tensor]) -> _BackwardCost:
    """Compute the gradients of a batch, and measure the memory and the operations that it takes."""
    model_storages = {part.untyped_storage().data_ptr() for part in _tensors(parts.model)}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in model_storages:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        parts.loss(parts.model, batch).backward()
    return _BackwardCost(sum(kept.values()), counter.get_total_flops())


def _estimate_model_bytes(recipe: TrainingRecipe, parts: TrainingParts) -> int:
    """Return the memory of weights, optimizer and gradients.

    Weights and optimizer state count twice, because a checkpoint copies them.
    """
    weights = sum(part.nbytes for part in _tensors(parts.model))
    state = sum(
        value.nbytes
        for parameter_state in parts.optimizer.state.values()
        for value in parameter_state.values()
        if isinstance(value, torch.Tensor)
    )
    numbers = sum(part.numel() for part in _tensors(parts.model))
    # One vector per level of the tree, one that is being sent, and the parameters' gradients.
    vectors = math.ceil(math.log2(recipe.settings.accumulation_steps)) + 3
    return 2 * (weights + state) + vectors * 4 * numbers


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]


@contextmanager
def _blame(where: str, problem: str) -> Iterator[None]:
    """Turn any exception of the block into a problem of one key.

    Args:
        where: the key.
        problem: what the exception means.
    """
    try:
        yield
    except UserError:  # It says itself what is wrong.
        raise
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{where}: {problem}: {describe_exception(error)}. Change this setting, or the columns "
            "of the dataset."
        ) from None


def _describe(features: torch.Tensor) -> str:
    dtype = str(features.dtype).removeprefix("torch.")
    return f"{tuple(features.shape[1:])} features of type {dtype}"
