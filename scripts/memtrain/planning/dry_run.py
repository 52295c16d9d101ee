"""A dry run of one training: does everything fit together, and what will the training need?

The training itself would fail hours later, with an error of PyTorch's. So the dry run sees what the
training and the evaluation will see: micro-batches of every size that occurs, in training mode, a
single row in evaluation mode, and the schedule up to the last step.
"""

import logging
import math

import numpy as np
import torch
from torch import nn

from memtrain.components.build import TrainingParts, build_training_parts
from memtrain.components.frozen import set_training_mode
from memtrain.components.losses import SummedLoss
from memtrain.components.padded_batch import call_model, target_mask
from memtrain.components.rows import first_rows
from memtrain.components.watched_reads import watched_reads
from memtrain.core.errors import UserError
from memtrain.core.wording import counted, listed
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.memory_estimate import loader_memory_bytes
from memtrain.loading.order_digest import declared_order
from memtrain.planning.backward_cost import BackwardCost, measured_cost
from memtrain.planning.blame import CHANGE, blame
from memtrain.planning.parts_problems import PartsError
from memtrain.planning.rehearsed_steps import rehearse_optimizer, rehearse_schedule
from memtrain.planning.row_checks import (
    check_loss_is_a_sum,
    check_model_repeats,
    check_outputs_are_rows,
    check_padding_is_ignored,
    check_rows,
)
from memtrain.recipes.recipe import ResourceEstimate, TrainingRecipe

#: Rows of a first micro-batch, which tells what larger ones would take.
_ROWS_OF_PROBE = 2

#: Rows that are looked at closely.
_ROWS_OF_CHECKS = 8

#: Most parameters that a message names.
_MOST_PARAMETERS = 5

_log = logging.getLogger(__name__)


def dry_run(where: str, recipe: TrainingRecipe, data: str) -> ResourceEstimate:
    """Compute what a training computes, so that whatever does not fit is found before it.

    Args:
        where: key of the settings, for error messages.
        recipe: training part of a recipe.
        data: path of the record file.

    Returns:
        What a training step needs.

    Raises:
        PartsError: if parts do not fit, with the keys to change.
    """
    random_state, exactness = torch.get_rng_state(), torch.get_deterministic_debug_mode()
    # Whether an operation can be repeated depends on the device of the training, which tells it.
    torch.set_deterministic_debug_mode("default")
    try:
        settings = recipe.settings
        with watched_reads(where, settings.files, settings.imports_of_parts):
            parts = build_training_parts(recipe, torch.device("cpu"), where)
            dataset = MemmapDataset(data, transform=parts.transform)
            cost = _Rehearsal(where, recipe, parts, dataset).run()
        return ResourceEstimate(
            loading_bytes=loader_memory_bytes(dataset, declared_order(recipe)),
            model_bytes=_estimate_model_bytes(recipe, parts),
            row_bytes=recipe.row_bytes,
            bytes_per_row=math.ceil(cost.kept_bytes / cost.rows),
            operations_per_row=math.ceil(cost.operations / cost.rows),
        )
    except UserError as error:
        raise PartsError(*error.problems) from None
    finally:
        torch.set_rng_state(random_state)
        torch.set_deterministic_debug_mode(exactness)


class _Rehearsal:
    """Calls the parts of a training as the training does, and blames what fails on its key."""

    def __init__(
        self, where: str, recipe: TrainingRecipe, parts: TrainingParts, dataset: MemmapDataset
    ):
        self._where = where
        self._recipe = recipe
        self._parts = parts
        self._dataset = dataset
        self._sizes = _micro_batch_sizes(recipe)

    def run(self) -> BackwardCost:
        """Try everything, and return what the largest micro-batch took that was computed."""
        self._transform_twice()
        self._predict_one_row()
        self._pad_further()
        self._add_up_losses()
        set_training_mode(self._parts.model, self._recipe.settings.freeze)
        self._repeat_outputs()
        largest = self._sizes[0]
        affordable = self._affordable_rows()
        if affordable < largest:
            _log.info(
                f"{self._where}: micro-batches of {largest:,} rows are tried with {affordable:,}, "
                "since larger ones take long"
            )
        costs, took_part = [], []
        for rows in sorted({min(size, affordable) for size in self._sizes}, reverse=True):
            costs.append(self._train_on(rows))
            took_part.append(self._parameters_with_gradient())
        self._check_sharding(took_part)
        rehearse_optimizer(self._where, self._recipe, self._parts)
        rehearse_schedule(self._where, self._recipe, self._parts)
        return costs[0]

    def _transform_twice(self) -> None:
        """Look at what the transform gives for the same rows."""
        key = f"{self._where}.transform"
        with blame(key, "the transform does not fit the rows"):
            first, second = (
                first_rows(self._dataset, self._recipe.rows, _ROWS_OF_CHECKS) for _ in range(2)
            )
        check_rows(key, first, second)

    def _predict_one_row(self) -> None:
        """Call the model as the evaluation does, and look at what it gives."""
        batch, loss = self._rows(1), self._parts.loss
        self._parts.model.eval()
        row = f"rows of {_describe(batch['features'])}"
        with blame(f"{self._where}.model", f"the model does not fit {row}"), torch.no_grad():
            outputs = call_model(self._parts.model, batch)
        check_outputs_are_rows(f"{self._where}.model", outputs, len(batch["features"]))
        if loss.kind is not None:
            loss.check(f"{self._where}.loss", outputs, batch["target"], target_mask(batch))

    def _pad_further(self) -> None:
        """Look at whether padding makes a difference, where rows vary in length."""
        if not self._dataset.is_ragged:
            return
        if self._recipe.settings.compile:
            raise UserError(
                f"{self._where}.compile: rows vary in length, and a compiled model is made for "
                "batches of one shape. Remove `compile`, or use windows."
            )
        rows = self._rows(min(_ROWS_OF_CHECKS, self._sizes[0]))
        check_padding_is_ignored(f"{self._where}.model", self._parts.model, rows)

    def _repeat_outputs(self) -> None:
        """Look at whether a model of the user's own gives the same outputs again."""
        if ":" in self._recipe.settings.model.name:
            rows = self._rows(min(_ROWS_OF_CHECKS, self._sizes[0]))
            check_model_repeats(f"{self._where}.model", self._parts.loss, self._parts.model, rows)

    def _add_up_losses(self) -> None:
        """Look at what a loss of the user's own gives for several rows, and for each of them."""
        loss, model = self._parts.loss, self._parts.model
        rows = min(_ROWS_OF_CHECKS, self._sizes[0])
        if isinstance(loss, SummedLoss) or rows < 2:
            return
        check_loss_is_a_sum(f"{self._where}.loss", loss, model, self._rows(rows))

    def _affordable_rows(self) -> int:
        """Return the rows of the largest micro-batch that does not take too much memory or time."""
        largest = self._sizes[0]
        if largest <= _ROWS_OF_PROBE:
            return largest
        try:
            return min(largest, self._train_on(_ROWS_OF_PROBE).affordable_rows)
        except UserError:  # The model may take batches of the size that is configured alone.
            return largest

    def _train_on(self, rows: int) -> BackwardCost:
        """Compute the gradients of a micro-batch, and measure what that takes."""
        parts, batch = self._parts, self._rows(rows)
        size = counted(rows, "row")
        is_short = rows < self._sizes[0] and rows in self._sizes
        which = f"the last micro-batch of an epoch, which has {size}" if is_short else size
        remedy = _remedy_of_short_batches(rows) if is_short else CHANGE
        fits_loss = f"{parts.loss.name} does not fit the rows or the model, for {which}"
        parts.optimizer.zero_grad()
        with measured_cost(parts.model, rows) as cost:
            if isinstance(parts.loss, SummedLoss):
                problem = f"the model cannot be trained on {which}"
                with blame(f"{self._where}.model", problem, remedy):
                    outputs = call_model(parts.model, batch)
                with blame(f"{self._where}.loss", fits_loss, remedy):
                    parts.loss.sum_losses(
                        outputs, batch["target"], mask=target_mask(batch)
                    ).backward()
            else:
                with blame(f"{self._where}.loss", fits_loss, remedy):
                    parts.loss(parts.model, batch).backward()
        return cost

    def _parameters_with_gradient(self) -> set[str]:
        """Return the names of the parameters that took part in the last micro-batch.

        Raises:
            UserError: if a gradient is sparse.
        """
        gradients = {
            name: part.grad
            for name, part in self._parts.model.named_parameters()
            if part.grad is not None
        }
        sparse = [name for name, gradient in gradients.items() if gradient.layout != torch.strided]
        if sparse:
            raise UserError(
                f"{self._where}.model: the gradient of {listed(sparse, _MOST_PARAMETERS)} is "
                "sparse, and gradients are added up as dense ones. Build nn.Embedding without "
                "`sparse=True`."
            )
        return set(gradients)

    def _check_sharding(self, took_part: list[set[str]]) -> None:
        """Raise a ``UserError`` if processes would call other layers of a sharded model."""
        in_all = took_part[0].intersection(*took_part)
        differing = took_part[0].union(*took_part) - in_all
        if self._recipe.settings.sharding == "fsdp" and differing:
            raise UserError(
                f"{self._where}.sharding: {listed(sorted(differing), _MOST_PARAMETERS)} took part "
                "in some micro-batches and not in others. With fsdp, processes that skip a layer "
                "and processes that do not would wait for each other. Use `sharding: none`."
            )

    def _rows(self, count: int) -> dict[str, torch.Tensor]:
        with blame(f"{self._where}.transform", "the transform does not fit the rows"):
            batch = first_rows(self._dataset, self._recipe.rows, count)
            len(batch["features"])
        return batch


def _micro_batch_sizes(recipe: TrainingRecipe) -> list[int]:
    """Return the numbers of rows that the micro-batches of a training have, the largest first."""
    order, windows = declared_order(recipe), recipe.sizes.steps_per_epoch
    # Windows are full up to the last one; where slots have lanes, these end in the last two.
    first, last = (0, 1), (max(0, windows - 2), windows)
    sizes = np.concatenate([order.micro_batch_sizes(*part).ravel() for part in (first, last)])
    return sorted({int(size) for size in sizes if size}, reverse=True)


def _remedy_of_short_batches(rows: int) -> str:
    text = "Use another `batch_size`, or `last_window: drop` where it drops this micro-batch"
    return text + (", or GroupNorm or LayerNorm in place of BatchNorm." if rows == 1 else ".")


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


def _describe(features: torch.Tensor) -> str:
    dtype = str(features.dtype).removeprefix("torch.")
    return f"{tuple(features.shape[1:])} features of type {dtype}"
