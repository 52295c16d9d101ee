"""Calls the hooks of a training: functions of the user's own that look, and cannot change it."""

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from memtrain.components.build import TrainingParts
from memtrain.components.custom_hooks import build_hook, key_of_hook
from memtrain.components.global_state import borrowed_generators
from memtrain.config.hooks import HookSettings
from memtrain.config.objects import describe_exception
from memtrain.core.errors import UserError
from memtrain.core.random_streams import torch_seed
from memtrain.core.wording import listed
from memtrain.recipes.recipe import Recipe
from memtrain.training.history import StepRecord
from memtrain.training.run_context import RunContext
from memtrain.training.training_traces import TrainingTraces, changed
from memtrain.training.training_view import TrainingView
from memtrain.training.validation_history import ValidationRecord

#: Most things that a message names.
_MOST_CHANGES = 5

_log = logging.getLogger(__name__)


class Hooks:
    """The hooks of a training.

    Rank 0 calls them, after the steps whose number their ``every`` divides, and after the
    validation of such a step. They draw random numbers from generators of their own, whose seed
    follows from the step, and what the training goes on from is afterwards what it was before.

    Args:
        recipe: recipe of the split.
        parts: parts of the training.
        context: what the training runs in.
    """

    def __init__(self, recipe: Recipe, parts: TrainingParts, context: RunContext):
        settings = recipe.training.settings
        self._recipe = recipe
        self._parts = parts
        self._context = context
        self._hooks: Sequence[HookSettings] = settings.hooks
        self._seed = torch_seed(settings.seed, "hooks")
        modules = {path.partition(":")[0] for path in settings.imports_of_parts}
        modules -= {hook.name.partition(":")[0] for hook in self._hooks}
        self._traces = TrainingTraces(parts, sorted(modules))
        self._built: dict[int, Callable[[TrainingView], object]] = {}

    def is_due(self, step: int) -> bool:
        """Return whether a hook has to be called after a step: 1, 2, ..."""
        return any(step % hook.every == 0 for hook in self._hooks)

    def call(self, record: StepRecord, validations: Sequence[ValidationRecord]) -> None:
        """Call the hooks that are due. All processes call this together.

        Args:
            record: the step.
            validations: the validations so far.

        Raises:
            UserError: in every process, if a hook fails, or has changed the training.
        """
        problem: UserError | None = None
        if self._context.group.is_main:
            try:
                self._call(record, validations)
            except UserError as error:
                problem = error
        failed = self._context.group.broadcast(int(problem is not None), self._context.device)
        if problem is not None:
            raise problem
        if failed:
            raise UserError(
                f"training.hooks: a hook failed after step {record.step:,} in process 0, which "
                "says why."
            )

    def _call(self, record: StepRecord, validations: Sequence[ValidationRecord]) -> None:
        view = self._view(record)
        for number, hook in enumerate(self._hooks):
            if record.step % hook.every == 0:
                new = [one for one in validations if one.step > record.step - hook.every]
                seen = replace(view, validation=new[-1] if new else None)
                with self._watched(number, record.step):
                    if number not in self._built:
                        where = key_of_hook("training.hooks", number)
                        self._built[number] = build_hook(where, hook)
                    self._built[number](seen)

    @contextmanager
    def _watched(self, number: int, step: int) -> Iterator[None]:
        """Run a hook so that its random numbers and its mistakes stay its own.

        Raises:
            UserError: if the hook fails, or has changed what the training goes on from.
        """
        path = self._hooks[number].name
        hook = f"{key_of_hook('training.hooks', number)}: {path}"
        before = self._traces.take()
        try:
            with torch.no_grad(), borrowed_generators(self._seed + step, self._context.device):
                yield
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            _log.info(f"{path} failed:\n{_traceback_of(error)}")
            raise UserError(
                f"{hook} failed after step {step:,}: {describe_exception(error)}. Its traceback "
                "stands above. Mend it, or remove it: a training that was stopped goes on only "
                "under the same code, so that this one begins anew."
            ) from None
        if changes := changed(before, self._traces.take()):
            raise UserError(
                f"{hook} has changed {listed(changes, _MOST_CHANGES)} after step {step:,}. A hook "
                "may look at a training, and not change it. Let it work on copies: "
                "`view.weights()`, `view.model()`."
            )

    def _view(self, record: StepRecord) -> TrainingView:
        sizes, settings = self._recipe.training.sizes, self._recipe.training.settings
        return TrainingView(
            split=self._recipe.split,
            step=record.step,
            steps=sizes.steps,
            epoch=record.epoch,
            epochs=settings.epochs,
            rows=record.rows,
            loss=record.loss,
            gradient_norm=record.gradient_norm,
            learning_rate=record.learning_rate,
            learning_rates=tuple(
                float(group["lr"]) for group in self._parts.optimizer.param_groups
            ),
            validation=None,
            device=self._context.device,
            _folder=self._context.hooks_folder,
            _trained=self._model,
        )

    def _model(self) -> nn.Module:
        return self._parts.model


def _traceback_of(error: BaseException) -> str:
    """Return a traceback without the frames of this module, which say nothing to a user."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename != __file__]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)])
