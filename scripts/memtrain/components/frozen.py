"""Parameters that are not trained, by their names, and statistics of layers that stay with them.

BatchNorm, and InstanceNorm where it keeps running statistics, change these with every micro-batch.
They are frozen where their names are: ``encoder.*`` freezes those of all layers below ``encoder``.
Such a layer normalizes by them, as in an evaluation.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from memtrain.components.models import StandIn
from memtrain.core.errors import raise_problems
from memtrain.core.wording import did_you_mean, listed

#: Layers that normalize by statistics of the rows, and keep a running average of these.
_WITH_STATISTICS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)

#: Most names that a message lists.
_MOST_NAMES = 10


def freeze(where: str, patterns: Sequence[str], model: nn.Module) -> None:
    """Leave the parameters whose names match untrained: they require no gradient.

    Args:
        where: key of the setting, for error messages.
        patterns: names of parameters and of running statistics, with * and ?.
        model: the model. A stand-in has none of the names.

    Raises:
        UserError: with every pattern that matches nothing.
    """
    if isinstance(model, StandIn):
        return
    parameters = dict(model.named_parameters(remove_duplicate=False))
    names = [*parameters, *_statistics(model)]
    raise_problems(
        f"{where}: {pattern!r} matches no parameter of the model; it has "
        f"{listed(names, _MOST_NAMES)}.{did_you_mean(pattern, names)}"
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) for name in names)
    )
    for name, part in parameters.items():
        if _matches(name, patterns):
            part.requires_grad_(False)


def set_training_mode(model: nn.Module, patterns: Sequence[str]) -> None:
    """Put a model into training mode, but for layers whose running statistics are frozen.

    Args:
        model: the model.
        patterns: names of parameters and of running statistics, with * and ?.
    """
    model.train()
    for name, layer in _statistics(model).items():
        if _matches(name, patterns):
            layer.eval()


def _statistics(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that keep running statistics, by the name of their running mean."""
    return {
        f"{name}.running_mean" if name else "running_mean": layer
        for name, layer in model.named_modules(remove_duplicate=False)
        if isinstance(layer, _WITH_STATISTICS) and layer.running_mean is not None
    }


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
