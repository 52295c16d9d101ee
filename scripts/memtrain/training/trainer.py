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
from memtrain.training.accumulation.ddp import DdpAccumulator
from memtrain.training.accumulation.slot_gradients import SlotGradients
from memtrain.training.accumulation.slot_loss import MicroBatchRng, SlotLoss
from memtrain.training.accumulation.tree import Batch, NonFiniteLossError, TreeAccumulator, Window
from memtrain.training.checkpoint import CheckpointClock, CheckpointFolder
from memtrain.training.distributed.fsdp import ModelState, shard
from memtrain.training.distributed.process_group import ProcessGroup
from memtrain.training.history import StepRecord, from_array, to_array
from memtrain.training.optimizer_step import OptimizerStep
from memtrain.training.performance import TrainingCost, measure_performance
from memtrain.training.reporter import TrainingReporter
from memtrain.training.result import TrainingResult
from memtrain.training.stopping import StopRequests, TrainingStopped

#: A window of so many bytes takes longer to gather than it takes to wake a thread.
_BYTES_WORTH_A_THREAD = 256 << 10

#: How often several processes agree on whether a checkpoint is due.
_STEPS_BETWEEN_LOOKS = 16

_NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True)
class RunContext:
    """What a training runs in, and no result depends on.

    Attributes:
        device: of this process.
        group: the processes that train together.
        loading: how rows are moved.
        running: how often state is saved, and how many slots are computed in one call.
        checkpoints: where the state is; None for no state.
        stop: asks the training to leave before its end.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    group: ProcessGroup = field(default_factory=ProcessGroup)
    loading: LoadingSettings = field(default_factory=LoadingSettings)
    running: RunningSettings = field(default_factory=RunningSettings)
    checkpoints: CheckpointFolder | None = None
    stop: StopRequests = field(default_factory=StopRequests)


class Trainer:
    """Trains the model of one recipe.

    Args:
        recipe: of the split.
        data: the record file whose rows the recipe names.
        context: what it runs in.

    Raises:
        UserError: where the settings name something that is not there, the file does not hold the
            rows, or the processes cannot share the slots.
    """

    def __init__(self, recipe: Recipe, data: str, context: RunContext | None = None):
        self._whole_recipe, self._recipe = recipe, recipe.training
        self._settings = settings = recipe.training.settings
        self._context = context = context or RunContext()
        self._is_exact = settings.reduction == "reproducible"
        self._is_sharded = settings.sharding == "fsdp" and context.group.world_size > 1
        self._slots = context.group.slots(settings.accumulation_steps, needs_tree=self._is_exact)
        torch.set_num_threads(settings.threads)
        be_deterministic(self._is_exact, settings.compile)
        self._parts = build_training_parts(
            self._recipe, context.device, shard=self._shard if self._is_sharded else None
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
            context.device,
        )
        self._state = ModelState(self._parts.model, self._parts.optimizer, self._is_sharded)
        self._clock = CheckpointClock(**context.running.checkpoint.model_dump())
        self._history: list[StepRecord] = []
        self._cost = TrainingCost()

    def describe(self) -> str:
        """Return what will be done, in one line a fact, for the log before the first step."""
        sizes, settings, context = self._recipe.sizes, self._settings, self._context
        lines = [
            f"rows: {sizes.rows:,} in {listed(self._recipe.rows.resolved)}",
            f"micro-batches: {sizes.micro_batches_per_epoch:,} an epoch of "
            f"{settings.batch_size} rows",
            f"accumulation window: {settings.accumulation_steps} micro-batches",
            f"effective batch size: {sizes.rows_per_step} rows",
            f"steps: {sizes.steps_per_epoch:,} an epoch, {sizes.steps:,} in {settings.epochs} "
            "epochs",
            f"parameters: {count_parameters(self._parts.model):,}",
            f"device: {context.device}, threads: {settings.threads}, processes: "
            f"{context.group.world_size}",
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
        self._cost.runs += 1
        self._parts.model.train()
        is_main, checkpoints = self._context.group.is_main, self._context.checkpoints
        folder = checkpoints.folder if is_main and checkpoints else None
        steps_before = len(self._history)
        with TrainingReporter(
            self._whole_recipe,
            folder,
            self._context.group.world_size,
            steps_before,
            quiet=not is_main,
        ) as report:
            self._run(report)
        return TrainingResult(
            recipe_digest=self._whole_recipe.digest("training"),
            weights=self._state.weights(),
            history=self._history,
            order_digest=digest_of_state(self._visited_by_all()),
            performance=measure_performance(
                self._cost, self._context.group.world_size, self._context.device
            ),
        )

    def _run(self, report: TrainingReporter) -> None:
        earlier, start = self._cost.seconds, time.perf_counter()
        steps, windows = self._recipe.sizes.steps, self._windows()
        while len(self._history) < steps:
            record, stops = self._step(next(windows))
            self._history.append(record)
            self._cost.rows += record.rows
            self._cost.seconds = earlier + time.perf_counter() - start
            report.step(record, self._cost)
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
            self._cost.waiting_seconds += time.perf_counter() - start
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
        stop = self._context.stop
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
        checkpoints, group = self._context.checkpoints, self._context.group
        if checkpoints is None:
            return
        step = checkpoints.newest() if group.is_main else 0
        step = group.broadcast(step, self._context.device)
        if not step:
            return
        state = checkpoints.load(step, self._context.device)
        self._state.load(state)
        self._optimizer.load(state)
        self._visited.load(state["visited"])
        self._history = from_array(state["history"].cpu().numpy())
        self._cost = TrainingCost(**state["cost"])
        self._note(f"going on after step {step:,}, from {checkpoints.folder}")

    def _has_to_save(self, step: int) -> bool:
        is_due, group = self._clock.is_due(step), self._context.group
        if group.world_size == 1 or self._clock.counts_steps:
            return is_due
        # All bring their part of the state at the same step, and clocks differ. Asking takes as
        # long as adding a small gradient, so it is not done after every step.
        if step % _STEPS_BETWEEN_LOOKS:
            return False
        return bool(group.broadcast(is_due, self._context.device))

    def _save(self, report: TrainingReporter) -> None:
        checkpoints, start = self._context.checkpoints, time.perf_counter()
        if checkpoints is None:
            return
        step, state = len(self._history), self._state.save()
        state["visited"] = self._visited_by_all()
        if self._context.group.is_main:
            state |= self._optimizer.save()
            state |= {
                "history": torch.from_numpy(to_array(self._history)),
                "cost": vars(self._cost),
            }
            checkpoints.save(step, state)
            report.saved(step)
        self._clock.note()
        self._cost.saving_seconds += time.perf_counter() - start

    def _visited_by_all(self) -> torch.Tensor:
        context = self._context
        return context.group.all_reduce_sum(self._visited.state().to(context.device)).cpu()

    def _leave(self, report: TrainingReporter) -> None:
        step = len(self._history)
        reason = self._context.stop.reason or "another process was asked to stop"
        kept = "its state is saved" if self._context.checkpoints else "no --state was given"
        message = f"{reason}: stopped after step {step:,} of {self._recipe.sizes.steps:,}; {kept}"
        report.stopped(message)
        raise TrainingStopped(message)

    def _shard(self, model: torch.nn.Module) -> None:
        shard(model, self._context.group, self._context.device)

    def _build_accumulator(self, dataset: MemmapDataset) -> TreeAccumulator | DdpAccumulator:
        settings, context = self._settings, self._context
        slots, device = settings.accumulation_steps, context.device
        loss = SlotLoss(self._parts.model, self._parts.loss, settings.precision, device)
        rng = MicroBatchRng(settings.seed, slots, device)
        if not self._is_exact:
            return DdpAccumulator(
                loss,
                rng,
                slots,
                context.group,
                device,
                lambda: first_row(dataset, self._recipe.rows, device),
                self._is_sharded,
                settings.compile,
            )
        per_call = context.running.slots_per_call
        gradients = SlotGradients(
            loss,
            settings.batch_size,
            rng,
            None if per_call == "auto" else per_call,
            self._recipe.sizes.steps,
            settings.compile,
            self._note,
        )
        return TreeAccumulator(gradients, slots, context.group, device)

    def _load(self, dataset: MemmapDataset) -> BlockLoader:
        settings, context = self._settings, self._context
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
            reader=context.loading.reader,
            memory_budget=context.loading.budget,
            device=context.device,
            gather_ahead=self._has_a_core_to_spare(dataset),
            tell_rows=True,
        )

    def _has_a_core_to_spare(self, dataset: MemmapDataset) -> bool:
        """Return whether rows can be gathered beside a step, and a window is worth a thread."""
        window_bytes = self._recipe.sizes.rows_per_step * dataset.layout.row_bytes
        busy = self._settings.threads * self._context.group.world_size
        is_free = len(os.sched_getaffinity(0)) > busy
        return is_free and window_bytes >= _BYTES_WORTH_A_THREAD

    def _note(self, text: str) -> None:
        if self._context.group.is_main:
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
