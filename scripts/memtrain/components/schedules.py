"""The learning-rate schedule that a configuration names."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from memtrain.components.composed_schedules import Product, Succession
from memtrain.components.plateau import Plateau
from memtrain.config.objects import (
    argument_names,
    build,
    check_arguments,
    describe_exception,
    find_class,
    import_object,
    required_arguments,
)
from memtrain.config.optimization import FUNCTION_ARGUMENTS, ScheduleChoice, Warmup
from memtrain.config.parsing import parse_settings
from memtrain.config.step_counts import read_step_count, resolve_step_count
from memtrain.core.errors import UserError, attempt, raise_problems
from memtrain.core.wording import counted, listed, shown
from memtrain.recipes.recipe import TrainingRecipe

#: Arguments that are numbers of steps, of PyTorch's schedules and of one's own. Of one's own, those
#: whose names end in "steps" are so as well.
_STEP_COUNTS = (
    "T_0",
    "T_max",
    "milestones",
    "step_size",
    "step_size_down",
    "step_size_up",
    "total_iters",
    "total_steps",
)

#: Steps of an epoch whose number is not known yet.
_MADE_UP_STEPS = 1000

#: Schedules that set rates, and perhaps momentum, whatever the optimizer's rate is.
_SET_RATES = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)

#: Arguments of these that are rates.
_RATES = ("max_lr", "base_lr")


@dataclass(frozen=True)
class Extent:
    """How long a schedule lasts.

    Attributes:
        steps: number of optimizer steps of the training, or of the part that the schedule sets.
        steps_per_epoch: number of optimizer steps of an epoch.
        epochs: number of epochs of the training.
        is_known: whether the steps are those of the training, and not made up to try a schedule
            before there are any rows.
        is_validated: whether the model is validated while it trains.
    """

    steps: int
    steps_per_epoch: int
    epochs: int
    is_known: bool = True
    is_validated: bool = False

    @classmethod
    def of(cls, recipe: TrainingRecipe) -> "Extent":
        """Return the extent of a training; it is made up where the recipe has no steps."""
        sizes, epochs = recipe.sizes, recipe.settings.epochs
        is_validated = recipe.validation is not None
        if sizes.steps == 0:
            steps = _MADE_UP_STEPS
            return cls(steps * epochs, steps, epochs, is_known=False, is_validated=is_validated)
        return cls(sizes.steps, sizes.steps_per_epoch, epochs, is_validated=is_validated)

    def resolve(self, count: int | str) -> int:
        """Return a number of steps that may be written as a share or in epochs."""
        return resolve_step_count(count, self.steps, self.steps_per_epoch)

    def lasting(self, steps: int) -> "Extent":
        """Return the extent of a part, which has at least one step."""
        return replace(self, steps=max(1, steps))


def build_scheduler(
    where: str, choice: ScheduleChoice | None, optimizer: Optimizer, extent: Extent
) -> LRScheduler | None:
    """Return the schedule of an optimizer's learning rates, which advances once a step.

    Args:
        where: key of the setting, for error messages.
        choice: name of a class of ``torch.optim.lr_scheduler``, or import path of a class or a
            function, with its arguments; None for no schedule.
        optimizer: optimizer whose learning rates the schedule sets.
        extent: how long the training lasts, from which arguments are filled in.

    Raises:
        UserError: with everything that is wrong with the schedule, and with those inside of it.
    """
    if choice is None:
        return None
    if choice.name == "ReduceLROnPlateau" and extent.is_validated:
        return _build_plateau(where, choice, extent, optimizer)
    return _build(where, choice, extent, optimizer)


def _build_plateau(
    where: str, choice: ScheduleChoice, extent: Extent, optimizer: Optimizer
) -> LRScheduler:
    """Return the schedule that the losses of validations advance, perhaps after a warmup."""
    if choice.arguments.get("mode", "min") != "min":
        raise UserError(
            f"{where}.mode: found {shown(choice.arguments['mode'])}, but the schedule is advanced "
            "by the loss, and less of it is better. Remove `mode`."
        )
    steps = extent.resolve(choice.warmup.steps) if choice.warmup else 0
    rise = None
    if choice.warmup and steps:
        rise = _rise(where, choice.warmup, steps, extent)(optimizer)
    arguments = _arguments(where, lr_scheduler.ReduceLROnPlateau, choice, extent)
    reduction = build(where, lr_scheduler.ReduceLROnPlateau, optimizer, **arguments)
    return Plateau(optimizer, rise, reduction)


def _build(where: str, choice: ScheduleChoice, extent: Extent, optimizer: Optimizer) -> LRScheduler:
    if choice.warmup is not None and (steps := extent.resolve(choice.warmup.steps)):
        return _build_after_warmup(where, choice, choice.warmup, steps, extent, optimizer)
    if choice.name == "SequentialLR":
        return _build_succession(where, choice, extent, optimizer)
    if choice.name == "ChainedScheduler":
        return _build_product(where, choice, extent, optimizer)
    return _build_single(where, choice, extent, optimizer)


def _build_after_warmup(
    where: str,
    choice: ScheduleChoice,
    warmup: Warmup,
    steps: int,
    extent: Extent,
    optimizer: Optimizer,
) -> LRScheduler:
    """Return a linear rise of the rate over so many steps, and then the schedule."""
    rise = _rise(where, warmup, steps, extent)
    if choice.name == "OneCycleLR":
        raise UserError(
            f"{where}.warmup: OneCycleLR begins with a warmup of its own, whose share of the steps "
            "is `pct_start`. Remove `warmup`."
        )
    then = choice.model_copy(update={"warmup": None})
    rest = partial(_build, where, then, extent.lasting(extent.steps - steps))
    return Succession(optimizer, [rise, rest], [steps])


def _rise(
    where: str, warmup: Warmup, steps: int, extent: Extent
) -> Callable[[Optimizer], lr_scheduler.LinearLR]:
    """Return what builds a linear rise of the rate over so many steps."""
    if extent.is_known and steps >= extent.steps:
        raise UserError(
            f"{where}.warmup: found {counted(steps, 'step')}, but the schedule lasts for "
            f"{counted(extent.steps, 'step')}, so that the rate would never have its full value. "
            "Use a shorter warmup, `warmup: 5%` for example."
        )
    factor = 1 / (steps + 1) if warmup.start_factor is None else warmup.start_factor
    return partial(lr_scheduler.LinearLR, start_factor=factor, total_iters=steps)


def _build_succession(
    where: str, choice: ScheduleChoice, extent: Extent, optimizer: Optimizer
) -> LRScheduler:
    """Return schedules that follow one another."""
    arguments = choice.arguments
    _check_names(where, choice, ("schedulers", "milestones"))
    choices = _inner_choices(where, arguments)
    milestones = _resolved(f"{where}.milestones", arguments.get("milestones"), extent)
    if not isinstance(milestones, list) or len(milestones) != len(choices) - 1:
        raise UserError(
            f"{where}.milestones: found {shown(arguments.get('milestones'))}; needed is a list "
            f"with the steps at which the other schedules begin, {len(choices) - 1} here."
        )
    borders = [0, *milestones, extent.steps]
    parts = [end - start for start, end in pairwise(borders)]
    if extent.is_known and min(parts) <= 0:
        raise UserError(
            f"{where}.milestones: found the steps {listed(milestones)}; each must come after the "
            f"one before, and before the end of the schedule, which is step {extent.steps:,}. "
            "Shares like 10% of the steps always fit."
        )
    builders = [
        partial(_build, f"{where}.schedulers.{number}", inner, extent.lasting(steps))
        for number, (inner, steps) in enumerate(zip(choices, parts, strict=True))
    ]
    return Succession(optimizer, builders, milestones)


def _build_product(
    where: str, choice: ScheduleChoice, extent: Extent, optimizer: Optimizer
) -> LRScheduler:
    """Return schedules whose factors are multiplied."""
    _check_names(where, choice, ("schedulers",))
    choices = _inner_choices(where, choice.arguments)
    absolute = [inner.name for inner in choices if inner.name in ("OneCycleLR", "CyclicLR")]
    if absolute:
        raise UserError(
            f"{where}.schedulers: {listed(absolute)} sets rates itself, and has no factor that "
            "others could be multiplied with. Choose others, or use SequentialLR."
        )
    builders = [
        partial(_build, f"{where}.schedulers.{number}", inner, extent)
        for number, inner in enumerate(choices)
    ]
    return Product(optimizer, builders)


def _check_names(where: str, choice: ScheduleChoice, known: tuple[str, ...]) -> None:
    unknown = [name for name in choice.arguments if name not in known]
    if unknown:
        raise UserError(
            f"{where}: {choice.name} does not take {listed(unknown)}; it takes {listed(known)}."
        )


def _inner_choices(where: str, arguments: dict[str, Any]) -> list[ScheduleChoice]:
    """Return the schedules of a composition."""
    given = arguments.get("schedulers")
    if not isinstance(given, list) or not given:
        raise UserError(
            f"{where}.schedulers: found {shown(given)}; needed is a list of schedules, each with "
            "a name and its arguments."
        )
    problems: list[str] = []
    choices = []
    for number, content in enumerate(given):
        choices.append(attempt(problems, _inner, f"{where}.schedulers.{number}", content))
    raise_problems(problems)
    return [inner for inner in choices if inner is not None]


def _inner(where: str, content: Any) -> ScheduleChoice:
    """Return what the arguments of a schedule name, with the arguments of that."""
    if isinstance(content, str):
        return ScheduleChoice(name=content)
    if not isinstance(content, dict):
        raise UserError(f"{where}: found {shown(content)}; needed is a name, or {{name: ...}}.")
    return parse_settings(ScheduleChoice, content, where)


def _build_single(
    where: str, choice: ScheduleChoice, extent: Extent, optimizer: Optimizer
) -> LRScheduler:
    """Return a schedule that is made of no others."""
    if choice.name == "constant":
        _check_names(where, choice, ())
        return lr_scheduler.LambdaLR(optimizer, _one)
    found = (
        import_object(where, choice.name)
        if ":" in choice.name
        else find_class(where, choice.name, lr_scheduler, LRScheduler)
    )
    if isinstance(found, type):
        return _build_class(where, found, choice, extent, optimizer)
    arguments = _arguments(where, found, choice, extent)
    return lr_scheduler.LambdaLR(optimizer, _factor(where, found, arguments))


def _one(step: int) -> float:
    return 1.0


def _build_class(
    where: str, found: type, choice: ScheduleChoice, extent: Extent, optimizer: Optimizer
) -> LRScheduler:
    if not issubclass(found, LRScheduler):
        raise UserError(
            f"{where}: {choice.name} is a class, but no torch.optim.lr_scheduler.LRScheduler. "
            "Derive it from that, or name a function of the number of the step."
        )
    if issubclass(found, lr_scheduler.ReduceLROnPlateau):
        raise UserError(
            f"{where}: {choice.name} is advanced by the loss of a validation, and there is none "
            "here. Name rows under `validate`, or a share of the training rows under "
            "`training.validation`; it cannot be a part of another schedule."
        )
    arguments = _arguments(where, found, choice, extent)
    if issubclass(found, _SET_RATES):
        arguments |= _rates_of_groups(where, choice, arguments, optimizer)
    scheduler = build(where, found, optimizer, **arguments)
    if needed := required_arguments(scheduler.step):
        raise UserError(
            f"{where}: the schedule cannot be advanced, since {choice.name} needs more for it than "
            f"a training has ({listed(needed)}). Choose another one."
        )
    return scheduler


def _arguments(
    where: str, found: Callable, choice: ScheduleChoice, extent: Extent
) -> dict[str, Any]:
    """Return the arguments of a schedule, with numbers of steps and functions in place.

    Numbers of steps that are left out are filled in.
    """
    problems: list[str] = []
    is_own = ":" in choice.name
    arguments = choice.arguments
    for name, value in arguments.items():
        key = f"{where}.{name}"
        if name in _STEP_COUNTS or (is_own and name.endswith("steps")):
            arguments[name] = attempt(problems, _resolved, key, value, extent)
        elif name in FUNCTION_ARGUMENTS and not is_own:
            arguments[name] = attempt(problems, _function, key, value, extent)
    raise_problems(problems)
    return _filled_in(found, arguments, extent) | arguments


def _filled_in(found: Callable, given: dict[str, Any], extent: Extent) -> dict[str, int]:
    """Return the arguments that follow from the sizes of the training, and were left out."""
    names = ["T_max", "total_iters", "total_steps", "steps", "steps_per_epoch", "epochs"]
    if found is lr_scheduler.OneCycleLR:
        by_epochs = given.keys() & {"steps_per_epoch", "epochs"}
        names = ["steps_per_epoch", "epochs"] if by_epochs else ["total_steps"]
    sizes = {"steps_per_epoch": extent.steps_per_epoch, "epochs": extent.epochs}
    taken = argument_names(found)
    return {name: sizes.get(name, extent.steps) for name in names if name in taken}


def _resolved(where: str, value: Any, extent: Extent) -> Any:
    """Return a number of steps, or a list of them; anything but text and mappings as it is."""
    if isinstance(value, list):
        return [_resolved(where, part, extent) for part in value]
    if not isinstance(value, str | dict):
        return value
    try:
        return extent.resolve(read_step_count(value))
    except ValueError as error:
        raise UserError(f"{where}: found {shown(value)}; {error}.") from None


def _function(where: str, value: Any, extent: Extent) -> Callable[[int], float]:
    """Return the function that an argument names by its import path."""
    choice = _inner(where, value)
    if ":" not in choice.name:
        raise UserError(
            f"{where}: found {shown(value)}; a function is named by its import path, "
            "package.module:function, with its arguments beside the name."
        )
    function = import_object(where, choice.name)
    return _factor(where, function, _arguments(where, function, choice, extent))


def _factor(where: str, function: Callable, arguments: dict[str, Any]) -> Callable[[int], float]:
    """Return a function of the step that gives a float, as checkpoints can hold it."""
    check_arguments(where, function, (0,), arguments)

    def factor(step: int) -> float:
        value = float(function(step, **arguments))
        if not math.isfinite(value):
            raise ValueError(f"the factor of step {step} is {value}")
        return value

    try:
        factor(0)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{where}: {getattr(function, '__name__', 'the function')} gives no factor for step 0: "
            f"{describe_exception(error)}. Return a number for each step: 0, 1, 2, ..."
        ) from None
    return factor


def _rates_of_groups(
    where: str, choice: ScheduleChoice, arguments: dict[str, Any], optimizer: Optimizer
) -> dict[str, Any]:
    """Return the rates of a schedule for each group, where the groups' own rates differ.

    The rates of the configuration are those of parameters in no group. A group has them multiplied
    by as much as its own rate differs from theirs.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    base = optimizer.defaults["lr"]
    if all(rate == base for rate in rates):
        return {}
    if not base:
        raise UserError(
            f"{where}: {choice.name} sets rates in proportion to those of the groups, and "
            "`optimizer.lr` is 0. Give it the rate of the parameters that are in no group."
        )
    return {
        name: [value * (rate / base) for rate in rates]
        for name in _RATES
        if isinstance(value := arguments.get(name), int | float)
    }
