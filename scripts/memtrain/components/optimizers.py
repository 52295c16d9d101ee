"""The optimizer and the learning-rate schedule that a configuration names."""

from collections.abc import Callable

from torch import nn, optim

from memtrain.config.objects import build, find_class, required_arguments, takes_argument
from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.core.wording import listed


def build_optimizer(where: str, choice: Choice, model: nn.Module) -> optim.Optimizer:
    """Return a ``torch.optim`` optimizer of the trained parameters of a model.

    The optimizer is fused if PyTorch has a fused version, which passes over the memory once and is
    several times as fast as a loop over parameters, on the CPU too. The arguments ``fused`` and
    ``foreach`` of the configuration take precedence.

    Args:
        where: key of the setting, for error messages.
        choice: name of the class, and its arguments.
        model: model to train.
    """
    factory = find_class(where, choice.name, optim, optim.Optimizer)
    parameters = [part for part in model.parameters() if part.requires_grad]
    arguments = choice.arguments
    if takes_argument(factory, "fused") and not arguments.keys() & {"fused", "foreach"}:
        try:
            return factory(parameters, fused=True, **arguments)
        except Exception:  # these parameters, this device or these arguments cannot be fused
            pass
    optimizer = build(where, factory, parameters, **arguments)
    _check_step(where, choice.name, "the optimizer cannot take a step", optimizer.step)
    return optimizer


def build_scheduler(
    where: str, choice: Choice | None, optimizer: optim.Optimizer
) -> optim.lr_scheduler.LRScheduler | None:
    """Return a ``torch.optim.lr_scheduler`` schedule.

    Args:
        where: key of the setting, for error messages.
        choice: name of the class, and its arguments; None for no schedule.
        optimizer: optimizer whose learning rate the schedule sets.
    """
    if choice is None:
        return None
    factory = find_class(where, choice.name, optim.lr_scheduler, optim.lr_scheduler.LRScheduler)
    scheduler = build(where, factory, optimizer, **choice.arguments)
    _check_step(where, choice.name, "the schedule cannot be advanced", scheduler.step)
    return scheduler


def _check_step(where: str, name: str, problem: str, step: Callable) -> None:
    """Raise a ``UserError`` if a step needs arguments, which a training does not have."""
    if needed := required_arguments(step):
        raise UserError(
            f"{where}: {problem}, since {name} needs more for it than a training has "
            f"({listed(needed)}). Choose another one."
        )
