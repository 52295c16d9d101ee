"""Epochs of accumulation windows, from the rows on the disk to the weights."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from memtrain.components.build import (
    be_deterministic,
    build_training_parts,
    first_row,
    open_rows,
)
from memtrain.components.models import count_parameters, describe_inexact
from memtrain.config.training import LoadingSettings, RunningSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.order_digest import VisitingOrder, digest_of_state
from memtrain.recipes.recipe import Recipe
from memtrain.training.accumulation.ddp import FastAccumulator
from memtrain.training.accumulation.slot_gradients import SlotGradients
from memtrain.training.accumulation.slot_loss import Dropout, LossOfSlot
from memtrain.training.accumulation.tree import Batch, NonFiniteLossError, TreeAccumulator, Window
from memtrain.training.checkpoint import CheckpointClock, CheckpointFolder
from memtrain.training.distributed.fsdp import ModelState, shard
from memtrain.training.distributed.process_group import Processes
from memtrain.training.optimizer_step import OptimizerStep
from memtrain.training.reporter import TrainingReport
from memtrain.training.result import (
    Effort,
    Performance,
    StepRecord,
    TrainingResult,
    records_from_tensor,
    records_to_tensor,
)
from memtrain.training.stopping import StopRequests, TrainingStopped

#: A window of so many bytes takes longer to gather than it takes to wake a thread.
_BYTES_WORTH_A_THREAD = 256 << 10

#: How often several processes agree on whether a checkpoint is due.
_STEPS_BETWEEN_LOOKS = 16

_NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True)
class Surroundings:
    """What a training runs in, and no result depends on.

    Attributes:
        device: of this process.
        processes: that train together.
        loading: how rows are moved.
        running: how often state is saved, and how many slots are computed in one call.
        checkpoints: where the state is; None for no state.
        stop: asks the training to leave before its end.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    processes: Processes = field(default_factory=Processes)
    loading: LoadingSettings = field(default_factory=LoadingSettings)
    running: RunningSettings = field(default_factory=RunningSettings)
    checkpoints: CheckpointFolder | None = None
    stop: StopRequests = field(default_factory=StopRequests)


class Trainer:
    """Trains the model of one recipe.

    Args:
        recipe: of the split.
        data: the record file whose rows the recipe names.
        surroundings: what it runs in.

    Raises:
        UserError: where the settings name something that is not there, the file does not hold the
            rows, or the processes cannot share the slots.
    """

    def __init__(self, recipe: Recipe, data: str, surroundings: Surroundings | None = None):
        self._whole_recipe, self._recipe = recipe, recipe.training
        self._settings = settings = recipe.training.settings
        self._around = around = surroundings or Surroundings()
        self._is_exact = settings.reduction == "reproducible"
        self._is_sharded = settings.sharding == "fsdp" and around.processes.count > 1
        self._slots = around.processes.slots(settings.accumulation_steps, needs_tree=self._is_exact)
        torch.set_num_threads(settings.threads)
        be_deterministic(self._is_exact, settings.compile)
        self._parts = build_training_parts(
            self._recipe, around.device, shard=self._shard if self._is_sharded else None
        )
        dataset = open_rows(data, self._recipe, self._recipe.rows, self._parts.transform)
        self._loader = self._load(dataset)
        self._visited = VisitingOrder(self._slots, settings.accumulation_steps, settings.batch_size)
        self._accumulator = self._build_accumulator(dataset)
        self._optimizer = OptimizerStep(
            self._parts.optimizer,
            self._parts.scheduler,
            settings.clip_norm,
            settings.precision == "float16",
            around.device,
        )
        self._state = ModelState(self._parts.model, self._parts.optimizer, self._is_sharded)
        self._clock = CheckpointClock(**around.running.checkpoint.model_dump())
        self._history: list[StepRecord] = []
        self._effort = Effort()

    def describe(self) -> str:
        """Return what will be done, in one line a fact, for the log before the first step."""
        sizes, settings, around = self._recipe.sizes, self._settings, self._around
        lines = [
            f"rows: {sizes.rows:,} in {listed(self._recipe.rows.resolved)}",
            f"micro-batches: {sizes.micro_batches_per_epoch:,} an epoch of "
            f"{settings.batch_size} rows",
            f"accumulation window: {settings.accumulation_steps} micro-batches",
            f"effective batch size: {sizes.rows_per_step} rows",
            f"steps: {sizes.steps_per_epoch:,} an epoch, {sizes.steps:,} in {settings.epochs} "
            "epochs",
            f"parameters: {count_parameters(self._parts.model):,}",
            f"device: {around.device}, threads: {settings.threads}, processes: "
            f"{around.processes.count}",
            self._loader.describe(),
        ]
        inexact = describe_inexact(self._parts.model)
        return "\n".join([*lines, *([f"warning: {inexact}"] if inexact else [])])

    def run(self) -> TrainingResult:
        """Train all epochs, from the newest checkpoint on, and return the result.

        Raises:
            TrainingStopped: after a stop was asked for and the state was saved.
            UserError: where a loss is not finite, with the step and the rows.
        """
        self._resume()
        self._effort.runs += 1
        self._parts.model.train()
        is_first, checkpoints = self._around.processes.is_first, self._around.checkpoints
        folder = checkpoints.folder if is_first and checkpoints else None
        steps_before = len(self._history)
        with TrainingReport(
            self._whole_recipe,
            folder,
            self._around.processes.count,
            steps_before,
            quiet=not is_first,
        ) as report:
            self._run(report)
        return TrainingResult(
            recipe_digest=self._whole_recipe.digest("training"),
            weights=self._state.weights(),
            history=self._history,
            order_digest=digest_of_state(self._visited_by_all()),
            performance=Performance.measured(
                self._effort, self._around.processes.count, self._around.device
            ),
        )

    def _run(self, report: TrainingReport) -> None:
        earlier, start = self._effort.seconds, time.perf_counter()
        steps, windows = self._recipe.sizes.steps, self._windows()
        while len(self._history) < steps:
            record, stops = self._step(next(windows))
            self._history.append(record)
            self._effort.rows += record.rows
            self._effort.seconds = earlier + time.perf_counter() - start
            report.step(record, self._effort)
            if record.step == steps:
                break
            if stops or self._has_to_save(record.step):
                self._save(report)
            if stops:
                self._leave(report)

    def _windows(self) -> Iterator[Window]:
        """Yield this process's part of every window that is left."""
        per_epoch = self._recipe.sizes.steps_per_epoch
        first = len(self._history)
        self._loader.start_at(*divmod(first, per_epoch))
        windows = self._loader.windows()
        for step in range(first, self._recipe.sizes.steps):
            sizes = self._sizes_of_slots(step % per_epoch)
            start = time.perf_counter()
            has_rows = any(sizes[slot] for slot in self._slots)
            batches: list[Batch] = next(windows) if has_rows else []
            self._effort.waiting_seconds += time.perf_counter() - start
            if has_rows:
                self._visited.visit(self._loader.rows, [sizes[slot] for slot in self._slots])
            else:
                self._visited.visit(_NO_ROWS, [])
            yield Window(step, sizes, batches)

    def _sizes_of_slots(self, window: int) -> list[int]:
        order = self._loader.order
        if window < order.full_windows:
            return [order.batch_size] * order.accumulation_steps
        return order.micro_batch_sizes(window, window + 1)[0].tolist()

    def _step(self, window: Window) -> tuple[StepRecord, bool]:
        """Take one optimizer step; return what happened, and whether to stop after it."""
        step, epoch = window.step, window.step // self._recipe.sizes.steps_per_epoch
        stop = self._around.stop
        try:
            accumulated = self._accumulator.accumulate(
                window, self._optimizer.scale, lambda: stop.reason is not None
            )
        except NonFiniteLossError as error:
            raise UserError(self._describe_nonfinite(error, step, epoch)) from None
        except RuntimeError as error:
            if "deterministic" not in str(error):
                raise
            raise UserError(_describe_nondeterministic(error)) from None
        taken = self._optimizer.take()
        if taken.skipped:
            self._note(
                f"step {step + 1}: a gradient overflowed float16; the step is skipped, and losses "
                f"are scaled by {self._optimizer.scale:g} from now on"
            )
        return StepRecord(
            step=step + 1,
            epoch=epoch + 1,
            rows=window.rows,
            loss=accumulated.loss,
            learning_rate=taken.learning_rate,
            gradient_norm=taken.gradient_norm,
        ), accumulated.stops

    def _resume(self) -> None:
        checkpoints, processes = self._around.checkpoints, self._around.processes
        if checkpoints is None:
            return
        step = checkpoints.newest() if processes.is_first else 0
        step = processes.from_first(step, self._around.device)
        if not step:
            return
        state = checkpoints.load(step, self._around.device)
        self._state.load(state)
        self._optimizer.load(state)
        self._visited.load(state["visited"])
        self._history = records_from_tensor(state["history"])
        self._effort = Effort(**state["effort"])
        self._note(f"going on after step {step:,}, from {checkpoints.folder}")

    def _has_to_save(self, step: int) -> bool:
        is_due, processes = self._clock.is_due(step), self._around.processes
        if processes.count == 1 or self._clock.counts_steps:
            return is_due
        # All bring their part of the state at the same step, and clocks differ. Asking takes as
        # long as adding a small gradient, so it is not done after every step.
        if step % _STEPS_BETWEEN_LOOKS:
            return False
        return bool(processes.from_first(is_due, self._around.device))

    def _save(self, report: TrainingReport) -> None:
        checkpoints, start = self._around.checkpoints, time.perf_counter()
        if checkpoints is None:
            return
        step, state = len(self._history), self._state.save()
        state["visited"] = self._visited_by_all()
        if self._around.processes.is_first:
            state |= self._optimizer.save()
            state |= {
                "history": records_to_tensor(self._history),
                "effort": vars(self._effort),
            }
            checkpoints.save(step, state)
            report.saved(step)
        self._clock.note()
        self._effort.saving_seconds += time.perf_counter() - start

    def _visited_by_all(self) -> torch.Tensor:
        around = self._around
        return around.processes.add_up(self._visited.state().to(around.device)).cpu()

    def _leave(self, report: TrainingReport) -> None:
        step = len(self._history)
        reason = self._around.stop.reason or "another process was asked to stop"
        kept = "its state is saved" if self._around.checkpoints else "no --state was given"
        message = f"{reason}: stopped after step {step:,} of {self._recipe.sizes.steps:,}; {kept}"
        report.stopped(message)
        raise TrainingStopped(message)

    def _shard(self, model: torch.nn.Module) -> None:
        shard(model, self._around.processes, self._around.device)

    def _build_accumulator(self, dataset: MemmapDataset) -> TreeAccumulator | FastAccumulator:
        settings, around = self._settings, self._around
        slots, device = settings.accumulation_steps, around.device
        loss = LossOfSlot(self._parts.model, self._parts.loss, settings.precision, device)
        dropout = Dropout(settings.seed, slots, device)
        if not self._is_exact:
            return FastAccumulator(
                loss,
                dropout,
                slots,
                around.processes,
                device,
                lambda: first_row(dataset, self._recipe.rows, device),
                self._is_sharded,
                settings.compile,
            )
        per_call = around.running.slots_per_call
        gradients = SlotGradients(
            loss,
            settings.batch_size,
            dropout,
            None if per_call == "auto" else per_call,
            self._recipe.sizes.steps,
            settings.compile,
            self._note,
        )
        return TreeAccumulator(gradients, slots, around.processes, device)

    def _load(self, dataset: MemmapDataset) -> BlockLoader:
        settings, around = self._settings, self._around
        return BlockLoader(
            dataset,
            settings.batch_size,
            settings.shuffle,
            settings.seed,
            ranges=self._recipe.rows.ranges,
            accumulation_steps=settings.accumulation_steps,
            slots=self._slots,
            epochs=settings.epochs,
            drop_last_window=settings.last_window == "drop",
            reader=around.loading.reader,
            memory_budget=around.loading.budget,
            device=around.device,
            gather_ahead=self._has_a_core_to_spare(dataset),
            tell_rows=True,
        )

    def _has_a_core_to_spare(self, dataset: MemmapDataset) -> bool:
        """Return whether rows can be gathered beside a step, and a window is worth a thread."""
        window_bytes = self._recipe.sizes.rows_per_step * dataset.layout.row_bytes
        busy = self._settings.threads * self._around.processes.count
        is_free = len(os.sched_getaffinity(0)) > busy
        return is_free and window_bytes >= _BYTES_WORTH_A_THREAD

    def _note(self, text: str) -> None:
        if self._around.processes.is_first:
            print(text, flush=True)

    def _describe_nonfinite(self, error: NonFiniteLossError, step: int, epoch: int) -> str:
        window = step - epoch * self._recipe.sizes.steps_per_epoch
        rows = self._loader.order.epoch(epoch).window_rows(window)[error.slot].tolist()
        return (
            f"the loss is {error.loss} at step {step + 1} (epoch {epoch + 1}), in the micro-batch "
            f"of the rows {listed(sorted(rows))}. Look at these rows; if they are sound, lower "
            "the learning rate (training.optimizer.lr)."
        )


def _describe_nondeterministic(error: RuntimeError) -> str:
    return (
        f"training.reduction: {str(error).splitlines()[0]} The model or the loss uses this "
        "operation, so that its training cannot be reproduced. Use another operation, train on "
        "the CPU (training.device), or set `reduction: fast`, which promises no bytes."
    )
