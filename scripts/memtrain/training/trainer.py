"""Trains the model of one recipe: accumulation windows in, optimizer steps out.

The loop is as plain as in nanoGPT's ``train.py``. As in torchtitan's ``Trainer``, every part that
has state can save and restore it, so that a training can be stopped after any step.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import torch

from memtrain.components.build import build_training_parts
from memtrain.components.device import set_exactness
from memtrain.components.frozen import set_training_mode
from memtrain.components.initial_weights import initial_path, start_from
from memtrain.components.models import count_parameters, describe_batch_norm
from memtrain.components.parameter_groups import describe_groups
from memtrain.components.rows import open_rows
from memtrain.core.wording import counted, listed
from memtrain.data.files_layout import FilesLayout
from memtrain.loading.order_digest import digest_of_state
from memtrain.recipes.recipe import Recipe
from memtrain.training.accumulation.accumulator import (
    AccumulatedWindow,
    NonFiniteLossError,
    Window,
)
from memtrain.training.build import (
    build_accumulator,
    build_averaging,
    build_loader,
    build_windows,
)
from memtrain.training.checkpoint_schedule import CheckpointSchedule
from memtrain.training.distributed.fsdp import ModelState, shard
from memtrain.training.gradient_memory import keep_gradient_memory
from memtrain.training.history import StepRecord, records_from_array, records_to_array
from memtrain.training.hooks import Hooks
from memtrain.training.live_tables import LiveTables
from memtrain.training.optimizer_step import NonFiniteGradientError, OptimizerStep
from memtrain.training.performance import TrainingCost, measure_performance
from memtrain.training.reporter import TrainingReporter
from memtrain.training.result import TrainingResult
from memtrain.training.run_context import RunContext
from memtrain.training.selection import Selection
from memtrain.training.step_errors import (
    explain_nondeterminism,
    explain_nonfinite_gradient,
    explain_nonfinite_loss,
)
from memtrain.training.stopping import TrainingStopped
from memtrain.training.validations import Validations

_log = logging.getLogger(__name__)


class Trainer:
    """Trains the model of one recipe.

    Args:
        recipe: recipe of the split.
        data: what holds the rows: a record file or a description of files, or their layout.
        context: what the training runs in; None for one process on the CPU without checkpoints.

    Raises:
        UserError: if a setting names something that does not exist, the file does not hold the
            rows, or the processes cannot share the slots.
    """

    def __init__(self, recipe: Recipe, data: str | FilesLayout, context: RunContext | None = None):
        self._recipe = recipe
        self._context = context = context or RunContext()
        training = recipe.training
        settings = training.settings
        torch.set_num_threads(settings.threads)
        set_exactness(settings.reduction == "reproducible", settings.compile)
        is_sharded = settings.sharding == "fsdp" and context.group.world_size > 1
        self._parts = build_training_parts(
            training,
            context.device,
            shard=self._shard if is_sharded else None,
            start=self._start if settings.initial else None,
        )
        keep_gradient_memory(self._parts.model, context.device)
        dataset = open_rows(data, training, training.rows, self._parts.transform)
        model_bytes = recipe.resource_estimate.model_bytes
        self._loader = build_loader(dataset, training, context, model_bytes)
        self._windows = build_windows(self._loader, dataset, training)
        self._accumulator = build_accumulator(self._parts, dataset, training, context)
        self._optimizer_step = OptimizerStep(
            self._parts.optimizer,
            self._parts.scheduler,
            clip_norm=settings.clip_norm,
            scales_loss=settings.precision == "float16",
            device=context.device,
        )
        self._model_state = ModelState(self._parts.model, self._parts.optimizer)
        self._schedule = CheckpointSchedule(
            context.running.checkpoint, context.group, context.device
        )
        self._history: list[StepRecord] = []
        self._validations = Validations(training, self._parts, data, context, is_sharded=is_sharded)
        self._averaging = build_averaging(self._parts, dataset, training, context)
        self._selection = Selection(
            settings,
            context.group.is_main,
            steps_before=self._averaging.steps_before if self._averaging else 0,
        )
        self._hooks = Hooks(recipe, self._parts, context)
        self._cost = TrainingCost()

    def describe(self) -> str:
        """Return what the training will do, a line for each derived size."""
        training, context = self._recipe.training, self._context
        sizes, settings = training.sizes, training.settings
        return "\n".join(
            [
                f"rows: {sizes.rows:,} in {listed(training.rows.resolved)}",
                f"micro-batches: {sizes.micro_batches_per_epoch:,} per epoch, of "
                f"{settings.batch_size} rows each",
                f"accumulation window: {settings.accumulation_steps} micro-batches",
                f"effective batch size: {sizes.rows_per_step} rows",
                f"steps: {sizes.steps_per_epoch:,} per epoch, {sizes.steps:,} in "
                f"{settings.epochs} epochs",
                *self._describe_validation(),
                f"parameters: {count_parameters(self._parts.model):,}",
                *describe_groups(self._parts.optimizer),
                f"device: {context.device}, threads: {settings.threads}, processes: "
                f"{context.group.world_size}",
                self._loader.describe(),
            ]
        )

    def _describe_validation(self) -> Iterator[str]:
        sizes, rows = self._recipe.training.sizes, self._recipe.training.validation
        if rows is not None:
            yield (
                f"validation: {rows.count:,} rows in {listed(rows.resolved, 6)}, every "
                f"{counted(sizes.steps_per_validation, 'step')} and after the last one"
            )

    def run(self) -> TrainingResult:
        """Train from the newest checkpoint to the end of the last epoch.

        Raises:
            TrainingStopped: after a request to stop; the state is saved if there is a folder for
                checkpoints.
            UserError: if a loss is not finite, with its step and rows.
        """
        _log.info(self.describe())
        if warning := describe_batch_norm(self._parts.model):
            _log.warning(warning)
        self._resume()
        self._cost.runs += 1
        set_training_mode(self._parts.model, self._recipe.training.settings.freeze)
        checkpoints, group = self._context.checkpoints, self._context.group
        folder = checkpoints.folder if checkpoints else None
        with TrainingReporter(
            self._recipe,
            folder,
            group=group,
            first_step=len(self._history),
            reading=lambda: str(self._loader.reading),
            tables=self._live_tables(folder),
        ) as reporter:
            reporter.report_validation(self._validations.last)
            self._train(reporter)
        weights, kept_step = self._selection.kept(self._candidates, len(self._history))
        return TrainingResult(
            recipe_digest=self._recipe.digest("training"),
            device=self._context.device.type,
            weights=weights,
            kept_step=kept_step,
            history=self._history,
            validations=self._validations.records,
            order_digest=digest_of_state(self._visited_by_all()),
            performance=measure_performance(self._cost, group.world_size, self._context.device),
        )

    def _live_tables(self, folder: Path | None) -> LiveTables | None:
        """Return what writes steps and validations as they come, if a program follows them."""
        if folder is None or not (self._context.is_followed and self._context.group.is_main):
            return None
        return LiveTables(folder, self._history, self._validations.records)

    def _train(self, reporter: TrainingReporter) -> None:
        """Take the optimizer steps that are left, and save checkpoints when they are due."""
        seconds_before = self._cost.seconds
        start = time.perf_counter()
        # The run before may have been asked to stop before a validation that was due.
        if self._validations.is_due(len(self._history)) and not self._look(reporter):
            self._leave(reporter)
        # A window that is not trained on would count among the rows that were visited.
        done = self._recipe.training.sizes.steps if self._selection.ends else len(self._history)
        for window in self._windows.windows(done, self._cost):
            accumulated = self._accumulate(window)
            record = self._take_step(window, accumulated.loss)
            self._history.append(record)
            if self._averaging is not None:
                self._averaging.add(record.step)
            self._cost.rows += record.rows
            is_last = record.step == self._recipe.training.sizes.steps
            should_stop = accumulated.should_stop and not is_last
            if not (should_stop and self._validations.is_due(record.step)):
                should_stop = not self._look(reporter) or should_stop
            self._cost.seconds = seconds_before + time.perf_counter() - start
            reporter.report_step(record, self._cost)
            if (is_last or self._selection.ends) and not should_stop:
                break
            if should_stop or self._schedule.is_due(record.step):
                self._save(reporter)
            if should_stop:
                self._leave(reporter)
        if self._recipe.training.settings.keep == "averaged" and not self._prepare_average():
            self._save(reporter)
            self._leave(reporter)

    def _prepare_average(self) -> bool:
        """Compute what the average needs; return False if a stop was asked for meanwhile."""
        stop = self._context.stop
        return self._averaging is None or self._averaging.prepare(lambda: stop.reason is not None)

    def _look(self, reporter: TrainingReporter) -> bool:
        """Validate the model, and call hooks; return False if a stop was asked for before these."""
        if not self._validate(reporter):
            return False
        if self._hooks.is_due(len(self._history)):
            self._hooks.call(self._history[-1], self._validations.records)
        return True

    def _validate(self, reporter: TrainingReporter) -> bool:
        """Validate the model if that is due; return False if a stop was asked for meanwhile."""
        step, stop = len(self._history), self._context.stop
        if not self._validations.is_due(step):
            return True
        start = time.perf_counter()
        try:
            if not self._prepare_average():
                return False
            with self._averaging.lent() if self._averaging else nullcontext():
                is_done = self._validations.validate(step, lambda: stop.reason is not None)
        except RuntimeError as error:
            explanation = explain_nondeterminism(error)
            if explanation is None:
                raise
            raise explanation from None
        if is_done and (record := self._validations.last):
            self._selection.see(record, self._candidates)
            self._optimizer_step.validated(record.loss)
            reporter.report_validation(record)
            if self._selection.ends:
                _log.info(f"the validations get no better: the training ends after step {step:,}")
        self._cost.validating_seconds += time.perf_counter() - start
        return is_done

    def _candidates(self) -> dict[str, torch.Tensor]:
        """Return the weights that would be kept now: averages, or those after the last step."""
        if self._averaging is None:
            return self._model_state.weights()
        with self._averaging.lent():
            return {name: part.clone() for name, part in self._model_state.weights().items()}

    def _accumulate(self, window: Window) -> AccumulatedWindow:
        """Give the parameters the gradient of a window."""
        stop, clock = self._context.stop, self._context.group.clock
        start, exchanged_before = time.perf_counter(), clock.seconds
        try:
            accumulated = self._accumulator.accumulate(
                window, self._optimizer_step.scale, lambda: stop.reason is not None
            )
        except NonFiniteLossError as error:
            rows = self._windows.rows_of_slot(window.step, error.slot)
            raise explain_nonfinite_loss(
                error, window.step + 1, self._epoch(window), rows
            ) from None
        except RuntimeError as error:
            explanation = explain_nondeterminism(error)
            if explanation is None:
                raise
            raise explanation from None
        exchanging_seconds = clock.seconds - exchanged_before
        self._cost.exchanging_seconds += exchanging_seconds
        self._cost.gradient_seconds += time.perf_counter() - start - exchanging_seconds
        self._cost.steps += 1
        return accumulated

    def _take_step(self, window: Window, loss: float) -> StepRecord:
        """Take one optimizer step with the gradient of a window."""
        step = window.step + 1
        try:
            taken = self._optimizer_step.take()
        except NonFiniteGradientError as error:
            raise explain_nonfinite_gradient(error, step, self._epoch(window)) from None
        if taken.skipped:
            _log.info(
                f"step {step}: a gradient overflowed float16; the step is skipped, and losses are "
                f"scaled by {self._optimizer_step.scale:g} from now on"
            )
        return StepRecord(
            step=step,
            epoch=self._epoch(window),
            rows=window.rows,
            loss=loss,
            learning_rate=taken.learning_rate,
            gradient_norm=taken.gradient_norm,
        )

    def _epoch(self, window: Window) -> int:
        """Return the number of a window's epoch: 1, 2, ..."""
        return window.step // self._recipe.training.sizes.steps_per_epoch + 1

    def _resume(self) -> None:
        """Restore the newest checkpoint, if there is one."""
        checkpoints, group = self._context.checkpoints, self._context.group
        if checkpoints is None:
            return
        # Rank 0 chooses, since other processes may see another state of a shared folder.
        step = checkpoints.newest_step() if group.is_main else 0
        step = group.broadcast(step, self._context.device)
        if not step:
            return
        self._load_state_dict(checkpoints.load(step))
        _log.info(f"going on after step {step:,}, from {checkpoints.folder}")

    def _save(self, reporter: TrainingReporter) -> None:
        """Save a checkpoint. Every process contributes its part, and rank 0 writes the file."""
        checkpoints = self._context.checkpoints
        if checkpoints is None:
            return
        start = time.perf_counter()
        step = len(self._history)
        state = self._state_dict()
        if self._context.group.is_main and checkpoints.save(step, state):
            reporter.report_checkpoint(step)
        self._schedule.note_saved()
        self._cost.saving_seconds += time.perf_counter() - start

    def _state_dict(self) -> dict[str, Any]:
        return {
            **self._model_state.state_dict(),
            **self._optimizer_step.state_dict(),
            **self._validations.state_dict(),
            **self._selection.state_dict(),
            **(self._averaging.state_dict() if self._averaging else {}),
            "visited": self._visited_by_all(),
            "history": torch.from_numpy(records_to_array(self._history)),
            "cost": asdict(self._cost),
        }

    def _load_state_dict(self, state: dict[str, Any]) -> None:
        self._model_state.load_state_dict(state)
        self._optimizer_step.load_state_dict(state)
        self._validations.load_state_dict(state)
        self._selection.load_state_dict(state, self._validations.records)
        if self._averaging is not None:
            self._averaging.load_state_dict(state)
        self._windows.visited.load(state["visited"])
        self._history = records_from_array(state["history"].cpu().numpy())
        self._cost = TrainingCost(**state["cost"])

    def _visited_by_all(self) -> torch.Tensor:
        """Return the digests of the rows that all processes have visited."""
        visited = self._windows.visited.state().to(self._context.device)
        return self._context.group.all_reduce_sum(visited).cpu()

    def _leave(self, reporter: TrainingReporter) -> NoReturn:
        """Report after which step and why the training stops, and end it."""
        step, steps = len(self._history), self._recipe.training.sizes.steps
        reason = self._context.stop.reason or "another process was asked to stop"
        checkpoints = self._context.checkpoints
        kept = checkpoints.describe_saved() if checkpoints else "no --state was given"
        message = f"{reason}: stopped after step {step:,} of {steps:,}; {kept}"
        reporter.report_stop(message)
        raise TrainingStopped(message)

    def _shard(self, model: torch.nn.Module) -> None:
        shard(model, self._context.group, self._context.device)

    def _start(self, model: torch.nn.Module) -> None:
        initial = self._recipe.training.settings.initial
        assert initial is not None
        path = initial_path(initial, self._context.initial)
        start_from("training.initial", initial, path, model)
