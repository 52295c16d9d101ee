"""The optimizer and the learning-rate schedule that a configuration names."""

from collections.abc import Callable, Sequence

import torch
from torch import nn, optim
from torch.distributed.tensor import DTensor

from memtrain.config.objects import build, find_class, required_arguments
from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.core.wording import listed

#: Optimizers whose fused version does what the plain one does, and the devices that it runs on. It
#: does so in all cases of test_optimizers.py: with parameters that have no gradient, with clipping,
#: and after a state was reloaded. The fused SGD fails where a parameter has its first gradient
#: later than others, and reads uninitialized momentum after a step that a GradScaler skipped
#: (``_fused_sgd`` in torch/optim/sgd.py).
_EQUAL_WHEN_FUSED = {"Adagrad": ["cpu"], "Adam": ["cpu", "cuda"], "AdamW": ["cpu", "cuda"]}

#: Those among them that take the shards of a sharded model (``_extra_pointwise_ops`` in
#: torch/distributed/tensor/_ops/_pointwise_ops.py).
_EQUAL_WHEN_SHARDED = ("Adam", "AdamW")

#: Most parameters that a message names.
_MOST_PARAMETERS = 5


def build_optimizer(where: str, choice: Choice, model: nn.Module) -> optim.Optimizer:
    """Return a ``torch.optim`` optimizer of the trained parameters of a model.

    The optimizer is fused if PyTorch has a fused version that does the same as the plain one. It
    passes over the memory once and is several times as fast as a loop over parameters, on the CPU
    too. The arguments ``fused`` and ``foreach`` of the configuration take precedence.

    Args:
        where: key of the setting, for error messages.
        choice: name of the class, and its arguments.
        model: model to train.

    Raises:
        UserError: if there is no such optimizer, or it cannot train this model.
    """
    factory = find_class(where, choice.name, optim, optim.Optimizer)
    parameters = {name: part for name, part in model.named_parameters() if part.requires_grad}
    _check_suitable(where, choice, parameters)
    # Built plainly first, so that errors name the arguments of the configuration alone.
    optimizer = build(where, factory, list(parameters.values()), **choice.arguments)
    _check_step(where, choice.name, "the optimizer cannot take a step", optimizer.step)
    if _is_equal_when_fused(choice, list(parameters.values())):
        return factory(parameters.values(), fused=True, **choice.arguments)
    return optimizer


def _check_suitable(where: str, choice: Choice, parameters: dict[str, nn.Parameter]) -> None:
    """Raise a ``UserError`` if an optimizer cannot train these parameters, or not exactly."""
    if not parameters:
        raise UserError(
            f"{where}: the model has no parameter to train. Choose another `model`, or one whose "
            "parameters require a gradient."
        )
    if choice.name == "SparseAdam":
        raise UserError(
            f"{where}: SparseAdam takes sparse gradients alone, and the gradient of an "
            "accumulation window is dense. Choose Adam."
        )
    if choice.name == "Muon":
        shapes = {name: tuple(part.shape) for name, part in parameters.items()}
        others = [f"{name} {shape}" for name, shape in shapes.items() if len(shape) != 2]
        if others:
            raise UserError(
                f"{where}: Muon trains matrices alone, but the model has "
                f"{listed(others, _MOST_PARAMETERS)}. Choose another optimizer, AdamW for example."
            )
    if choice.arguments.get("fused") and choice.name not in _EQUAL_WHEN_FUSED:
        raise UserError(
            f"{where}: found fused: true, but the fused {choice.name} of PyTorch does not always "
            "do what the plain one does. Remove `fused`."
        )
    devices = sorted({part.device.type for part in parameters.values()})
    if choice.arguments.get("fused") and not _runs_fused(choice.name, devices):
        raise UserError(
            f"{where}: found fused: true, but PyTorch has no fused {choice.name} for {devices[0]}. "
            "Remove `fused`."
        )


def _runs_fused(name: str, devices: Sequence[str]) -> bool:
    return all(device in _EQUAL_WHEN_FUSED[name] for device in devices)


def _is_equal_when_fused(choice: Choice, parameters: Sequence[nn.Parameter]) -> bool:
    """Return whether PyTorch has a fused version for these parameters that does the same."""
    arguments = choice.arguments
    if arguments.keys() & {"fused", "foreach"} or arguments.get("differentiable"):
        return False
    is_sharded = any(isinstance(part, DTensor) for part in parameters)
    if choice.name not in (_EQUAL_WHEN_SHARDED if is_sharded else _EQUAL_WHEN_FUSED):
        return False
    are_floats = all(torch.is_floating_point(part) for part in parameters)
    return are_floats and _runs_fused(choice.name, [part.device.type for part in parameters])


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
