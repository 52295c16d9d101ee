"""The optimizer and the learning-rate schedule that a configuration names."""

from torch import nn, optim

from memtrain.config.objects import build, find_class, takes_argument
from memtrain.config.types import Choice


def build_optimizer(where: str, choice: Choice, model: nn.Module) -> optim.Optimizer:
    """Return a ``torch.optim`` optimizer of all parameters of a model that are trained.

    Fused where PyTorch has such a version: one pass over the memory, several times as fast as a
    loop over parameters, on the CPU too. An argument ``fused`` or ``foreach`` has the last word.
    """
    factory = find_class(where, choice.name, optim, optim.Optimizer)
    parameters = [part for part in model.parameters() if part.requires_grad]
    chosen = choice.arguments
    if takes_argument(factory, "fused") and not chosen.keys() & {"fused", "foreach"}:
        try:
            return factory(parameters, fused=True, **chosen)
        except Exception:  # not of these parameters, this device, or with these arguments
            pass
    return build(where, factory, parameters, **chosen)


def build_scheduler(
    where: str, choice: Choice | None, optimizer: optim.Optimizer
) -> optim.lr_scheduler.LRScheduler | None:
    """Return a ``torch.optim.lr_scheduler`` schedule, or None."""
    if choice is None:
        return None
    factory = find_class(where, choice.name, optim.lr_scheduler, optim.lr_scheduler.LRScheduler)
    return build(where, factory, optimizer, **choice.arguments)
