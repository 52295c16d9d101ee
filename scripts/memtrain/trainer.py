"""Epochs of accumulation windows, from the rows on the disk to the weights."""

import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch.utils.data import DataLoader

from memtrain.accumulation import Batch, NonFiniteLossError, step_window
from memtrain.errors import UserError, listed
from memtrain.models import count_parameters
from memtrain.progress import Progress
from memtrain.recipe import Recipe
from memtrain.row_order import epoch_rows, micro_batches
from memtrain.training_parts import build_training_parts, choose_device, open_rows
from memtrain.training_result import Performance, StepRecord, TrainingResult


class Trainer:
    """Trains the model of one recipe.

    Args:
        recipe: of the split.
        data: the record file whose rows the recipe names.

    Raises:
        UserError: where the settings name something that is not there, or the file does not hold
            the rows.
    """

    def __init__(self, recipe: Recipe, data: str):
        self._recipe_digest = recipe.digest("training")
        self._recipe = recipe.training
        self._settings = recipe.training.settings
        torch.set_num_threads(self._settings.threads)
        self._device = choose_device(self._settings.device)
        self._parts = build_training_parts(self._recipe, self._device)
        self._dataset = open_rows(data, self._recipe, self._recipe.rows, self._parts.transform)
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
            for epoch in range(self._settings.epochs):
                self._run_epoch(epoch, progress, start)
        seconds = time.perf_counter() - start
        return TrainingResult(
            recipe_digest=self._recipe_digest,
            weights=self._parts.model.state_dict(),
            history=self._history,
            performance=Performance.measured(
                self._trained_rows, seconds, self._waiting_seconds, self._device
            ),
        )

    def _run_epoch(self, epoch: int, progress: Progress, start: float) -> None:
        rows = epoch_rows(self._recipe.rows.resolved, self._settings.seed, epoch)
        batches = micro_batches(rows, self._settings.batch_size)
        size = self._settings.accumulation_steps
        loader = iter(self._load(batches))
        for window_number in range(self._recipe.sizes.steps_per_epoch):
            window = self._take_window(loader)
            numbers = batches[window_number * size : (window_number + 1) * size]
            record = self._step(epoch, window, numbers)
            self._history.append(record)
            self._trained_rows += record.rows
            rate = self._trained_rows / (time.perf_counter() - start)
            progress.advance(1, f"loss {record.loss:.6g}, {rate:,.0f} rows/s")

    def _load(self, batches: list[np.ndarray]) -> DataLoader:
        return DataLoader(self._dataset, batch_sampler=batches)

    def _take_window(self, loader: Iterator[Batch]) -> list[Batch]:
        """Return the micro-batches of the next window, on the device."""
        start = time.perf_counter()
        window = list(islice(loader, self._settings.accumulation_steps))
        self._waiting_seconds += time.perf_counter() - start
        return [{name: value.to(self._device) for name, value in batch.items()} for batch in window]

    def _step(self, epoch: int, window: list[Batch], numbers: list[np.ndarray]) -> StepRecord:
        """Take one optimizer step; ``numbers`` are the row numbers of each micro-batch."""
        parts = self._parts
        step = len(self._history) + 1
        learning_rate = parts.optimizer.param_groups[0]["lr"]
        try:
            result = step_window(parts.model, parts.loss, parts.optimizer, window)
        except NonFiniteLossError as error:
            raise UserError(
                f"the loss is {error.loss} at step {step} (epoch {epoch + 1}), in the micro-batch "
                f"of the rows {listed(sorted(numbers[error.slot].tolist()))}. Look at these rows; "
                "if they are sound, lower the learning rate (training.optimizer.lr)."
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
