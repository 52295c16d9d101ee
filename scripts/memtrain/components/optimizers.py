"""The optimizer that a configuration names."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn, optim

from memtrain.components.parameter_groups import (
    check_values,
    parameter_groups,
    trained_parameters,
)
from memtrain.config.objects import build, find_class, import_object, required_arguments
from memtrain.config.optimization import OptimizerChoice
from memtrain.core.errors import UserError, attempt, raise_problems
from memtrain.core.wording import listed

#: Optimizers whose fused version does what the plain one does, and the devices that it runs on. It
#: does so in all cases of test_optimizers.py: with parameters that have no gradient, with clipping,
#: and after a state was reloaded. The fused SGD fails where a parameter has its first gradient
#: later than others, and reads uninitialized momentum after a step that a GradScaler skipped
#: (``_fused_sgd`` in torch/optim/sgd.py).
_EQUAL_WHEN_FUSED: dict[Callable, list[str]] = {
    optim.Adagrad: ["cpu"],
    optim.Adam: ["cpu", "cuda"],
    optim.AdamW: ["cpu", "cuda"],
}

#: Those among them that take the shards of a sharded model (``_extra_pointwise_ops`` in
#: torch/distributed/tensor/_ops/_pointwise_ops.py).
_EQUAL_WHEN_SHARDED = (optim.Adam, optim.AdamW)

#: Most parameters that a message names.
_MOST_PARAMETERS = 5


def build_optimizer(where: str, choice: OptimizerChoice, model: nn.Module) -> optim.Optimizer:
    """Return an optimizer of the trained parameters of a model.

    The optimizer is fused if PyTorch has a fused version that does the same as the plain one. It
    passes over the memory once and is several times as fast as a loop over parameters, on the CPU
    too. The arguments ``fused`` and ``foreach`` of the configuration take precedence.

    Args:
        where: key of the setting, for error messages.
        choice: name of the class in ``torch.optim`` or its import path, its arguments, and the
            groups of parameters that have settings of their own.
        model: model to train.

    Raises:
        UserError: if there is no such optimizer, or it cannot train this model.
    """
    factory = _find_optimizer(where, choice.name)
    parameters = list(trained_parameters(model))
    _check_suitable(where, factory, choice, model)
    # Built plainly first, so that errors name the arguments of the configuration alone.
    optimizer = build(where, factory, parameters, **choice.arguments)
    if not isinstance(optimizer, optim.Optimizer):
        raise UserError(
            f"{where}: {choice.name} gives {type(optimizer).__name__}, not a torch.optim.Optimizer."
        )
    if needed := required_arguments(optimizer.step):
        raise UserError(
            f"{where}: the optimizer cannot take a step, since {choice.name} needs more for it "
            f"than a training has ({listed(needed)}). Choose another one."
        )
    given: list[Any] = parameters
    if choice.groups or choice.no_decay:
        problems: list[str] = []
        attempt(problems, check_values, where, factory, choice, model)
        groups = attempt(problems, parameter_groups, where, choice, model) or []
        raise_problems(problems)
        given = [group.as_argument() for group in groups]
    if _is_equal_when_fused(factory, choice.arguments, parameters):
        return factory(given, fused=True, **choice.arguments)
    return optimizer if given is parameters else build(where, factory, given, **choice.arguments)


def _find_optimizer(where: str, name: str) -> Callable[..., optim.Optimizer]:
    if ":" in name:
        return import_object(where, name)
    return find_class(where, name, optim, optim.Optimizer)


def _check_suitable(
    where: str, factory: Callable, choice: OptimizerChoice, model: nn.Module
) -> None:
    """Raise a ``UserError`` if an optimizer cannot train these parameters, or not exactly."""
    parameters = trained_parameters(model)
    if not parameters:
        raise UserError(
            f"{where}: the model has no parameter to train. Choose another `model`, one whose "
            "parameters require a gradient, or fewer patterns under `freeze`."
        )
    if factory is optim.SparseAdam:
        raise UserError(
            f"{where}: SparseAdam takes sparse gradients alone, and the gradient of an "
            "accumulation window is dense. Choose Adam."
        )
    if factory is optim.Muon:
        shapes = {names[0]: tuple(part.shape) for part, names in parameters.items()}
        others = [f"{name} {shape}" for name, shape in shapes.items() if len(shape) != 2]
        if others:
            raise UserError(
                f"{where}: Muon trains matrices alone, but the model has "
                f"{listed(others, _MOST_PARAMETERS)}. Choose another optimizer, AdamW for example."
            )
    wants_fused = choice.arguments.get("fused") and factory in vars(optim).values()
    if wants_fused and factory not in _EQUAL_WHEN_FUSED:
        raise UserError(
            f"{where}: found fused: true, but the fused {choice.name} of PyTorch does not always "
            "do what the plain one does. Remove `fused`."
        )
    devices = sorted({part.device.type for part in parameters})
    if wants_fused and not _runs_fused(factory, devices):
        raise UserError(
            f"{where}: found fused: true, but PyTorch has no fused {choice.name} for {devices[0]}. "
            "Remove `fused`."
        )


def _runs_fused(factory: Callable, devices: Sequence[str]) -> bool:
    return all(device in _EQUAL_WHEN_FUSED[factory] for device in devices)


def _is_equal_when_fused(
    factory: Callable, arguments: dict[str, Any], parameters: Sequence[nn.Parameter]
) -> bool:
    """Return whether PyTorch has a fused version for these parameters that does the same."""
    if arguments.keys() & {"fused", "foreach"} or arguments.get("differentiable"):
        return False
    # Imported here: an evaluation needs no optimizer, and need not wait for it.
    from torch.distributed.tensor import DTensor

    is_sharded = any(isinstance(part, DTensor) for part in parameters)
    if factory not in (_EQUAL_WHEN_SHARDED if is_sharded else _EQUAL_WHEN_FUSED):
        return False
    are_floats = all(torch.is_floating_point(part) for part in parameters)
    return are_floats and _runs_fused(factory, [part.device.type for part in parameters])
