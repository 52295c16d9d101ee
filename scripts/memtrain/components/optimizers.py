"""The optimizer and the learning-rate schedule that a configuration names."""

from torch import nn, optim

from memtrain.config.objects import build, find_class, takes_argument
from memtrain.config.types import Choice


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
    return build(where, factory, parameters, **arguments)


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
    return build(where, factory, optimizer, **choice.arguments)
