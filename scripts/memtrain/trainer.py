"""Epochs of accumulation windows, from the rows on the disk to the weights."""

import os
import time
from collections.abc import Iterator

import torch

from memtrain.accumulation import Batch, NonFiniteLossError, step_window
from memtrain.block_loader import BlockLoader
from memtrain.errors import UserError, listed
from memtrain.memmap_dataset import MemmapDataset
from memtrain.models import count_parameters
from memtrain.progress import Progress
from memtrain.recipe import Recipe
from memtrain.training_parts import build_training_parts, choose_device, open_rows
from memtrain.training_result import Performance, StepRecord, TrainingResult
from memtrain.training_settings import LoadingSettings

#: A window of so many bytes takes longer to gather than it takes to wake a thread.
_BYTES_WORTH_A_THREAD = 256 << 10


class Trainer:
    """Trains the model of one recipe.

    Args:
        recipe: of the split.
        data: the record file whose rows the recipe names.
        loading: how its rows are moved.

    Raises:
        UserError: where the settings name something that is not there, or the file does not hold
            the rows.
    """

    def __init__(self, recipe: Recipe, data: str, loading: LoadingSettings | None = None):
        self._recipe_digest = recipe.digest("training")
        self._recipe = recipe.training
        self._settings = recipe.training.settings
        torch.set_num_threads(self._settings.threads)
        self._device = choose_device(self._settings.device)
        self._parts = build_training_parts(self._recipe, self._device)
        dataset = open_rows(data, self._recipe, self._recipe.rows, self._parts.transform)
        self._loader = self._load(dataset, loading or LoadingSettings())
        self._history: list[StepRecord] = []
        self._trained_rows = 0
        self._waiting_seconds = 0.0

    def describe(self) -> str:
        """Return what will be done, in one line a fact, for the log before the first step."""
        sizes, settings = self._recipe.sizes, self._settings
        return "\n".join(
            [
                f"rows: {sizes.rows:,} in {listed(self._recipe.rows.resolved)}",
                f"micro-batches: {sizes.micro_batches_per_epoch:,} an epoch of "
                f"{settings.batch_size} rows",
                f"accumulation window: {settings.accumulation_steps} micro-batches",
                f"effective batch size: {sizes.rows_per_step} rows",
                f"steps: {sizes.steps_per_epoch:,} an epoch, {sizes.steps:,} in {settings.epochs} "
                "epochs",
                f"parameters: {count_parameters(self._parts.model):,}",
                f"device: {self._device}, threads: {settings.threads}",
                self._loader.describe(),
            ]
        )

    def run(self) -> TrainingResult:
        """Train all epochs and return the result.

        Raises:
            UserError: where a loss is not finite, with the step and the rows.
        """
        start = time.perf_counter()
        self._parts.model.train()
        with Progress("training", self._recipe.sizes.steps, "steps") as progress:
            windows = self._loader.windows()
            while (window := self._next_window(windows)) is not None:
                record = self._step(window)
                self._history.append(record)
                self._trained_rows += record.rows
                rate = self._trained_rows / (time.perf_counter() - start)
                progress.advance(1, f"loss {record.loss:.6g}, {rate:,.0f} rows/s")
        seconds = time.perf_counter() - start
        return TrainingResult(
            recipe_digest=self._recipe_digest,
            weights=self._parts.model.state_dict(),
            history=self._history,
            performance=Performance.measured(
                self._trained_rows, seconds, self._waiting_seconds, self._device
            ),
        )

    def _load(self, dataset: MemmapDataset, loading: LoadingSettings) -> BlockLoader:
        settings = self._settings
        return BlockLoader(
            dataset,
            settings.batch_size,
            settings.shuffle,
            settings.seed,
            ranges=self._recipe.rows.ranges,
            accumulation_steps=settings.accumulation_steps,
            epochs=settings.epochs,
            drop_last_window=settings.last_window == "drop",
            reader=loading.reader,
            memory_budget=loading.budget,
            device=self._device,
            gather_ahead=self._has_a_core_to_spare(dataset),
        )

    def _has_a_core_to_spare(self, dataset: MemmapDataset) -> bool:
        """Return whether rows can be gathered beside a step, and a window is worth a thread."""
        window_bytes = self._recipe.sizes.rows_per_step * dataset.layout.row_bytes
        is_free = len(os.sched_getaffinity(0)) > self._settings.threads
        return is_free and window_bytes >= _BYTES_WORTH_A_THREAD

    def _next_window(self, windows: Iterator[list[Batch]]) -> list[Batch] | None:
        start = time.perf_counter()
        window = next(windows, None)
        self._waiting_seconds += time.perf_counter() - start
        return window

    def _step(self, window: list[Batch]) -> StepRecord:
        """Take one optimizer step."""
        parts, epoch = self._parts, self._loader.epoch
        step = len(self._history) + 1
        learning_rate = parts.optimizer.param_groups[0]["lr"]
        try:
            result = step_window(parts.model, parts.loss, parts.optimizer, window)
        except NonFiniteLossError as error:
            rows = self._rows_of(epoch, step, error.slot)
            raise UserError(
                f"the loss is {error.loss} at step {step} (epoch {epoch + 1}), in the micro-batch "
                f"of the rows {listed(sorted(rows))}. Look at these rows; if they are sound, lower "
                "the learning rate (training.optimizer.lr)."
            ) from None
        if parts.scheduler is not None:
            parts.scheduler.step()
        return StepRecord(
            step=step,
            epoch=epoch + 1,
            rows=result.rows,
            loss=result.loss,
            learning_rate=float(learning_rate),
            gradient_norm=result.gradient_norm,
        )

    def _rows_of(self, epoch: int, step: int, number: int) -> list[int]:
        """Return the rows of a micro-batch of a step; empty slots are not counted."""
        window = step - 1 - epoch * self._recipe.sizes.steps_per_epoch
        slots = self._loader.order.epoch(epoch).window_rows(window)
        return [rows for rows in slots if len(rows)][number].tolist()
