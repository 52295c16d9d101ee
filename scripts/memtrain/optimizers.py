"""The optimizer and the learning-rate schedule that a configuration names."""

from torch import nn, optim

from memtrain.named_objects import build, find_class
from memtrain.settings_types import Choice


def build_optimizer(where: str, choice: Choice, model: nn.Module) -> optim.Optimizer:
    """Return a ``torch.optim`` optimizer of all parameters of a model."""
    factory = find_class(where, choice.name, optim, optim.Optimizer)
    return build(where, factory, list(model.parameters()), **choice.arguments)


def build_scheduler(
    where: str, choice: Choice | None, optimizer: optim.Optimizer
) -> optim.lr_scheduler.LRScheduler | None:
    """Return a ``torch.optim.lr_scheduler`` schedule, or None."""
    if choice is None:
        return None
    factory = find_class(where, choice.name, optim.lr_scheduler, optim.lr_scheduler.LRScheduler)
    return build(where, factory, optimizer, **choice.arguments)
