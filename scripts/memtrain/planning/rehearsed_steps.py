"""A rehearsal of optimizer and schedule: every step of a training, and a training that goes on.

A schedule may end before the training, which would show hours later. An optimizer or a schedule of
the user's own may go on from a saved state otherwise than without a stop, which would never show.
"""

import io
import math
import random
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import optim
from torch.optim.lr_scheduler import LRScheduler

from memtrain.components.build import TrainingParts
from memtrain.components.composed_schedules import Composition, skip_to
from memtrain.components.optimizers import build_optimizer
from memtrain.components.schedules import Extent, build_scheduler
from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.planning.blame import blame
from memtrain.recipes.recipe import TrainingRecipe
from memtrain.training.savable_state import check_savable

#: Steps of a schedule that are tried one by one; of the others, those that begin or end a part.
_MOST_STEPS = 10_000

#: Steps that an optimizer of the user's own takes before its state is saved, and after.
_STEPS_BEFORE = 3
_STEPS_AFTER = 8


def rehearse_optimizer(where: str, recipe: TrainingRecipe, parts: TrainingParts) -> None:
    """Take a step with the gradients of the parameters.

    An optimizer of the user's own takes several, and has to go on from a saved state.

    Args:
        where: key of the settings, for error messages.
        recipe: training part of a recipe.
        parts: parts of the training; the parameters have gradients.

    Raises:
        UserError: if that fails.
    """
    key, choice = f"{where}.optimizer", recipe.settings.optimizer
    optimizer = parts.optimizer
    gradients = [None if part.grad is None else part.grad.clone() for part in _parts(optimizer)]
    before = _random_states()
    _take_steps(key, optimizer, gradients, 1)
    if not choice.imports:
        return
    if _random_states() != before:
        raise UserError(
            f"{key}: {choice.name} draws random numbers. They would differ between processes, and "
            "after a training was stopped. Choose an optimizer that draws none."
        )
    _take_steps(key, optimizer, gradients, _STEPS_BEFORE - 1)
    check_savable(key, optimizer.state_dict())
    state, weights = _written(optimizer.state_dict()), _weights(optimizer)
    _take_steps(key, optimizer, gradients, _STEPS_AFTER)
    expected = _weights(optimizer)
    with torch.no_grad():
        for part, weight in zip(_parts(optimizer), weights, strict=True):
            part.copy_(weight)
    resumed = build_optimizer(key, choice, parts.model)
    with blame(key, "the optimizer cannot go on from a saved state"):
        resumed.load_state_dict(_read(state))
    _take_steps(key, resumed, gradients, _STEPS_AFTER)
    if not all(map(_same_bits, expected, _weights(resumed))):
        raise UserError(
            f"{key}: {choice.name} does not go on from a saved state as it would have without a "
            "stop. Keep all that it remembers in its `state` and `param_groups`, which a "
            "checkpoint holds, not in other attributes."
        )


def rehearse_schedule(where: str, recipe: TrainingRecipe, parts: TrainingParts) -> None:
    """Advance the schedule to the end of the training.

    A schedule of the user's own has to go on from a saved state as well.

    Args:
        where: key of the settings, for error messages.
        recipe: training part of a recipe.
        parts: parts of the training, whose optimizer has taken a step.

    Raises:
        UserError: if that fails, or if a learning rate is negative or not finite.
    """
    scheduler, choice, sizes = parts.scheduler, recipe.settings.scheduler, recipe.sizes
    if scheduler is None or choice is None:
        return
    key = f"{where}.scheduler"
    steps = min(sizes.steps, _MOST_STEPS)
    before = _random_states()
    saved_at = steps // 2
    rates, saved = [], None
    with blame(key, "the schedule cannot be advanced"):
        scheduler.step()
    for step in range(1, steps):
        if step == saved_at:
            check_savable(key, scheduler.state_dict())
            saved = _written([parts.optimizer.state_dict(), scheduler.state_dict()])
        rates.append(_rates(key, parts.optimizer, step))
        with _blamed_on_length(key, recipe):
            scheduler.step()
    if choice.imports and _random_states() != before:
        raise UserError(
            f"{key}: the schedule draws random numbers, which would differ after a training was "
            "stopped. Let the rate follow from the number of the step."
        )
    if saved is not None and choice.imports:
        found = _rates_after(saved, recipe, parts, where, range(saved_at, steps))
        if found != rates[saved_at - 1 :]:
            raise UserError(
                f"{key}: the schedule does not go on from a saved state as it would have without a "
                "stop. Let the rate follow from the number of the step, or keep what the schedule "
                "remembers in its `state_dict()`."
            )
    _reach_end(key, recipe, scheduler, steps)


def _rates_after(
    saved: bytes, recipe: TrainingRecipe, parts: TrainingParts, where: str, steps: range
) -> list[list[float]]:
    """Return the learning rates of a schedule that goes on from a saved state."""
    settings, sizes = recipe.settings, recipe.sizes
    optimizer = build_optimizer(f"{where}.optimizer", settings.optimizer, parts.model)
    is_validated = recipe.validation is not None
    extent = Extent(sizes.steps, sizes.steps_per_epoch, settings.epochs, is_validated)
    key = f"{where}.scheduler"
    scheduler = build_scheduler(key, settings.scheduler, optimizer, extent)
    assert scheduler is not None
    state_of_optimizer, state = _read(saved)
    found = []
    with blame(key, "the schedule cannot go on from a saved state"):
        optimizer.load_state_dict(state_of_optimizer)
        scheduler.load_state_dict(state)
        for step in steps:
            found.append(_rates(key, optimizer, step))
            scheduler.step()
    return found


def _reach_end(key: str, recipe: TrainingRecipe, scheduler: LRScheduler, steps_taken: int) -> None:
    """Take the steps of a long schedule at which a part of it begins, and the last one."""
    last = recipe.sizes.steps
    borders = scheduler.borders() if isinstance(scheduler, Composition) else []
    for border in (*borders, last):
        if steps_taken < border <= last:
            with _blamed_on_length(key, recipe):
                skip_to(scheduler, border - 1)
                scheduler.step()


def _blamed_on_length(key: str, recipe: TrainingRecipe) -> AbstractContextManager[None]:
    sizes, epochs = recipe.sizes, recipe.settings.epochs
    steps = (
        f"{counted(sizes.steps, 'step')} ({counted(epochs, 'epoch')} of "
        f"{counted(sizes.steps_per_epoch, 'step')})"
    )
    problem = f"the schedule cannot be advanced to the end of the training, which takes {steps}"
    return blame(key, problem, "Make the schedule as long as that.")


def _take_steps(
    key: str,
    optimizer: optim.Optimizer,
    gradients: Sequence[torch.Tensor | None],
    steps: int,
) -> None:
    """Take steps with the same gradients, which optimizers may change in place."""
    for _ in range(steps):
        for part, gradient in zip(_parts(optimizer), gradients, strict=True):
            part.grad = None if gradient is None else gradient.clone()
        with blame(key, "the optimizer cannot take a step"):
            optimizer.step()


def _parts(optimizer: optim.Optimizer) -> list[torch.Tensor]:
    return [part for group in optimizer.param_groups for part in group["params"]]


def _weights(optimizer: optim.Optimizer) -> list[torch.Tensor]:
    return [part.detach().clone() for part in _parts(optimizer)]


def _same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    return torch.equal(left.nan_to_num(), right.nan_to_num())


def _rates(key: str, optimizer: optim.Optimizer, step: int) -> list[float]:
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    for rate in rates:
        if not math.isfinite(rate) or rate < 0:
            raise UserError(
                f"{key}: the learning rate of step {step + 1:,} is {rate}. Choose a schedule whose "
                "rates are 0 or more."
            )
    return rates


def _random_states() -> tuple[Any, ...]:
    """Return the states of the generators that Python, NumPy and PyTorch share."""
    # It is looked at, not drawn from.
    numpy_state: Any = np.random.get_state()
    return (
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        numpy_state[1].tobytes(),
        numpy_state[2:],
    )


def _written(state: Any) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def _read(state: bytes) -> Any:
    return torch.load(io.BytesIO(state), weights_only=True)
