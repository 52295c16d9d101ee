"""Divides the parameters of a model into the groups that an optimizer treats differently."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn, optim

from memtrain.components.models import StandIn
from memtrain.config.objects import build
from memtrain.config.optimization import GroupSettings, OptimizerChoice
from memtrain.core.errors import attempt, raise_problems
from memtrain.core.wording import did_you_mean, listed

#: Parts of names that stand for wrappers of PyTorch (torch.compile, FSDP, checkpointing), which
#: users do not see.
_WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

#: Names of classes that normalize: LayerNorm, BatchNorm2d, RMSNorm, and those of other projects.
_NORM = re.compile(r"Norm(\dd)?$")

#: Names of biases: ``bias``, and ``in_proj_bias`` or ``bias_ih_l0`` in attention and recurrence.
_BIAS = re.compile(r"bias(_.*)?|.*_bias")

#: Arguments that choose how a step is computed, for all groups alike.
_OF_ALL_GROUPS = ("fused", "foreach", "capturable", "differentiable")

#: Most names that a message lists.
_MOST_NAMES = 10


@dataclass
class ParameterGroup:
    """Parameters that an optimizer treats alike.

    Attributes:
        key: key of the group in the configuration, for messages; "" for the others.
        parameters: the parameters.
        values: settings of the optimizer that differ for them.
    """

    key: str
    parameters: list[nn.Parameter]
    values: dict[str, Any]

    def as_argument(self) -> dict[str, Any]:
        """Return the group as an optimizer takes it."""
        return {"params": self.parameters, **self.values}


def trained_parameters(model: nn.Module) -> dict[nn.Parameter, list[str]]:
    """Return the parameters that are trained, each with its names; shared ones have several."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, part in model.named_parameters(remove_duplicate=False):
        if part.requires_grad:
            names.setdefault(part, []).append(_WRAPPERS.sub("", name))
    return names


def parameter_groups(where: str, choice: OptimizerChoice, model: nn.Module) -> list[ParameterGroup]:
    """Return the groups of the trained parameters of a model, none of them empty.

    The parameters that no group names come first. Where parameters are left out of the weight
    decay, a group that has some of them becomes two, that with weight decay first; a group that has
    a `weight_decay` of its own keeps it for all of its parameters.

    Args:
        where: key of the optimizer, for error messages.
        choice: the optimizer, whose groups are wanted.
        model: model to train. A stand-in has none of the names, and each group gets all of it.

    Raises:
        UserError: with every pattern that matches no parameter, and every group without one.
    """
    names = trained_parameters(model)
    if isinstance(model, StandIn):
        members = [list(names) for _ in choice.groups]
    else:
        members = _members(where, choice.groups, names, _frozen_names(model))
    taken = {part for group in members for part in group}
    rest = [part for part in names if part not in taken]
    keys = [f"{where}.groups.{number}" for number in range(len(choice.groups))]
    groups = [ParameterGroup("", rest, {})]
    for key, group, parameters in zip(keys, choice.groups, members, strict=True):
        groups.append(ParameterGroup(key, parameters, group.values))
    undecayed = _undecayed(choice.no_decay, model, names)
    halves = [half for group in groups for half in _halves(group, undecayed)]
    return [group for group in halves if group.parameters]


def _members(
    where: str,
    groups: Sequence[GroupSettings],
    names: dict[nn.Parameter, list[str]],
    frozen: Sequence[str],
) -> list[list[nn.Parameter]]:
    """Return the parameters of each group: those that it is the first to match."""
    problems: list[str] = []
    members: list[list[nn.Parameter]] = []
    taken: set[nn.Parameter] = set()
    for number, group in enumerate(groups):
        key = f"{where}.groups.{number}.match"
        found = {
            pattern: [part for part in names if _matches(pattern, names[part])]
            for pattern in group.match
        }
        missing = [pattern for pattern, parts in found.items() if not parts]
        problems += [_no_match(key, pattern, names, frozen) for pattern in missing]
        own = [part for part in names if part not in taken and part in set().union(*found.values())]
        if not own and not missing:
            problems.append(
                f"{key}: {listed(group.match)} matches only parameters that groups before it have "
                "taken, since a parameter belongs to the first group that matches. Put this group "
                "before them, or remove it."
            )
        taken |= set(own)
        members.append(own)
    raise_problems(problems)
    return members


def _matches(pattern: str, names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _frozen_names(model: nn.Module) -> list[str]:
    frozen = (name for name, part in model.named_parameters() if not part.requires_grad)
    return [_WRAPPERS.sub("", name) for name in frozen]


def _no_match(
    key: str, pattern: str, names: dict[nn.Parameter, list[str]], frozen: Sequence[str]
) -> str:
    """Return the problem of a pattern that matches no parameter, with the names that are near."""
    if _matches(pattern, frozen):
        return (
            f"{key}: {pattern!r} matches only parameters that are not trained (requires_grad is "
            "false). Remove it."
        )
    known = [name for group in names.values() for name in group]
    endings = [f"*.{name.rpartition('.')[2]}" for name in known]
    return (
        f"{key}: {pattern!r} matches no parameter of the model; it has "
        f"{listed(known, _MOST_NAMES)}.{did_you_mean(pattern, [*known, *endings])}"
    )


def _undecayed(
    kinds: Sequence[str], model: nn.Module, names: dict[nn.Parameter, list[str]]
) -> set[nn.Parameter]:
    """Return the parameters of the kinds that have no weight decay."""
    found = set()
    if "bias" in kinds:
        for part, own in names.items():
            if any(_BIAS.fullmatch(name.rpartition(".")[2]) for name in own):
                found.add(part)
    for module in model.modules():
        is_norm = _NORM.search(type(module).__name__) is not None
        is_embedding = isinstance(module, nn.Embedding | nn.EmbeddingBag)
        if (is_norm and "norm" in kinds) or (is_embedding and "embedding" in kinds):
            found |= set(module.parameters(recurse=False))
    return found


def _halves(group: ParameterGroup, undecayed: set[nn.Parameter]) -> list[ParameterGroup]:
    """Return the parts of a group with and without weight decay."""
    if "weight_decay" in group.values:
        return [group]
    decayed = [part for part in group.parameters if part not in undecayed]
    others = [part for part in group.parameters if part in undecayed]
    return [
        ParameterGroup(group.key, decayed, group.values),
        ParameterGroup(group.key, others, {**group.values, "weight_decay": 0.0}),
    ]


def check_values(
    where: str, factory: Callable[..., optim.Optimizer], choice: OptimizerChoice, model: nn.Module
) -> None:
    """Check that an optimizer takes the settings of its groups.

    Args:
        where: key of the optimizer, for error messages.
        factory: class of the optimizer.
        choice: the optimizer, with its groups.
        model: model to train.

    Raises:
        UserError: with the settings of every group that the optimizer does not take.
    """
    problems: list[str] = []
    parameters = list(trained_parameters(model))
    plain = build(where, factory, parameters, **choice.arguments)
    if choice.no_decay and "weight_decay" not in plain.defaults:
        problems.append(
            f"{where}.no_decay: {choice.name} has no weight decay. Remove `no_decay`, or choose "
            "another optimizer."
        )
    for number, group in enumerate(choice.groups):
        key = f"{where}.groups.{number}"
        shared = [name for name in group.values if name in _OF_ALL_GROUPS]
        if shared:
            problems.append(f"{key}: {listed(shared)} cannot differ between groups; see {where}.")
            continue
        # The class itself checks what it takes; it does so for its own arguments alone.
        arguments = choice.arguments | group.values
        alone = attempt(problems, build, key, factory, parameters, **arguments)
        if alone is not None:
            fixed = [name for name in group.values if not _is_of_group(name, alone, plain)]
            if fixed:
                problems.append(
                    f"{key}: {listed(fixed)} cannot differ between groups of {choice.name}; these "
                    f"can: {listed(_values_of_groups(plain))}."
                )
    raise_problems(problems)


def _values_of_groups(optimizer: optim.Optimizer) -> list[str]:
    return [name for name in optimizer.defaults if name not in _OF_ALL_GROUPS]


def _is_of_group(name: str, alone: optim.Optimizer, plain: optim.Optimizer) -> bool:
    """Return whether a setting is read from the group, and not from the arguments of the class.

    Adagrad, for example, fills its state with ``initial_accumulator_value`` as soon as it is built,
    whatever stands in the group.
    """
    if name not in plain.defaults:
        return False
    return not alone.state or not plain.state or _equal(alone.state, plain.state)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    return left == right
