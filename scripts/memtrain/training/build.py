"""Builds the loader and the accumulator of a training from a recipe."""

import os
from functools import partial

from memtrain.components.build import ModelParts, TrainingParts
from memtrain.components.models import normalizing_layers
from memtrain.components.rows import first_row
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.recipes.recipe import TrainingRecipe
from memtrain.training.accumulation.accumulator import Accumulator
from memtrain.training.accumulation.ddp import DdpAccumulator
from memtrain.training.accumulation.slot_gradients import SlotGradients
from memtrain.training.accumulation.slot_loss import MicroBatchRng, SlotLoss
from memtrain.training.accumulation.tree import TreeAccumulator
from memtrain.training.averaging import Averaging
from memtrain.training.batch_statistics import BatchStatistics
from memtrain.training.run_context import RunContext
from memtrain.training.window_elements import WindowElements
from memtrain.training.windows import WindowSource

#: A window of this many bytes takes longer to gather than it takes to wake a thread.
_BYTES_WORTH_A_THREAD = 256 << 10


def build_loader(
    dataset: MemmapDataset, recipe: TrainingRecipe, context: RunContext, model_bytes: int = 0
) -> BlockLoader:
    """Return the loader of the micro-batches that this process owns.

    Args:
        dataset: rows of the training, with their transform.
        recipe: training part of a recipe.
        context: what the training runs in.
        model_bytes: memory of the weights, the gradients and the optimizer's state.

    Raises:
        UserError: if the processes cannot share the slots, or the memory budget is too small.
    """
    settings = recipe.settings
    needs_tree = settings.reduction == "reproducible"
    return BlockLoader(
        dataset,
        settings.batch_size,
        shuffle=settings.shuffle,
        seed=settings.seed,
        ranges=recipe.rows.ranges,
        accumulation_steps=settings.accumulation_steps,
        slots=context.group.slots(settings.accumulation_steps, needs_tree),
        epochs=settings.epochs,
        drop_last_window=settings.last_window == "drop",
        reader=context.loading.reader,
        mapped_files=context.loading.most_mapped,
        memory_budget=context.loading.budget_bytes,
        device=context.device,
        gather_ahead=_has_spare_core(dataset, recipe, context),
        tell_rows=True,
        reserved_bytes=model_bytes,
        row_bytes=recipe.row_bytes,
    )


def build_windows(
    loader: BlockLoader, dataset: MemmapDataset, recipe: TrainingRecipe
) -> WindowSource:
    """Return the windows of a training, with their elements where the recipe counts them.

    Args:
        loader: loader of the micro-batches that this process owns.
        dataset: rows of the training.
        recipe: training part of a recipe.
    """
    if recipe.settings.normalize == "rows":
        return WindowSource(loader, recipe.sizes)
    lengths = partial(dataset.element_counts, "target")
    return WindowSource(loader, recipe.sizes, WindowElements(loader.order, lengths))


def build_accumulator(
    parts: ModelParts, dataset: MemmapDataset, recipe: TrainingRecipe, context: RunContext
) -> Accumulator:
    """Return the accumulator that the recipe names.

    Args:
        parts: model and loss.
        dataset: rows of the training, with their transform.
        recipe: training part of a recipe.
        context: what the training runs in.
    """
    settings, device = recipe.settings, context.device
    slot_loss = SlotLoss(parts.model, parts.loss, settings.precision, device)
    rng = MicroBatchRng(settings.seed, settings.accumulation_steps, device)
    if settings.reduction == "fast":
        return DdpAccumulator(
            slot_loss,
            rng,
            accumulation_steps=settings.accumulation_steps,
            group=context.group,
            device=device,
            any_row=lambda: first_row(dataset, recipe.rows, device),
            compiled=settings.compile,
        )
    slots_per_call = context.running.slots_per_call
    gradients = SlotGradients(
        slot_loss,
        rng,
        batch_size=settings.batch_size,
        slots_per_call=None if slots_per_call == "auto" else int(slots_per_call),
        windows=recipe.sizes.steps,
        compiled=settings.compile,
    )
    return TreeAccumulator(
        gradients,
        accumulation_steps=settings.accumulation_steps,
        group=context.group,
        device=device,
    )


def build_averaging(
    parts: TrainingParts, dataset: MemmapDataset, recipe: TrainingRecipe, context: RunContext
) -> Averaging | None:
    """Return the average of the weights that the recipe names; None for none.

    Args:
        parts: parts of the training.
        dataset: rows of the training, with their transform.
        recipe: training part of a recipe.
        context: what the training runs in.
    """
    if recipe.settings.averaging is None:
        return None
    statistics = None
    if normalizing_layers(parts.model):
        statistics = BatchStatistics(recipe, parts, dataset, context)
    return Averaging(recipe, parts.model, statistics)


def _has_spare_core(dataset: MemmapDataset, recipe: TrainingRecipe, context: RunContext) -> bool:
    """Return whether a core is free to gather rows during a step, and a window is large enough."""
    window_bytes = recipe.sizes.rows_per_step * dataset.layout.row_bytes
    busy_cores = recipe.settings.threads * context.group.world_size
    is_free = len(os.sched_getaffinity(0)) > busy_cores
    return is_free and window_bytes >= _BYTES_WORTH_A_THREAD
