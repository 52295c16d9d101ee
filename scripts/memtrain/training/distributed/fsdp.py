"""The state of model and optimizer: whole in every process, or sharded among them by FSDP2.

A saved state is always whole, so that a checkpoint does not depend on the number of processes.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn, optim
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from memtrain.components.savable_state import check_savable
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.training.distributed.process_group import ProcessGroup

#: Gathers the whole state on the CPU of rank 0.
_GATHER_ON_RANK_0 = StateDictOptions(full_state_dict=True, cpu_offload=True)

#: Reads the whole state in every process, each of which keeps its shard.
_FROM_WHOLE = StateDictOptions(full_state_dict=True)

#: The same for an optimizer, which has no state for parameters that took part in no loss so far.
_FROM_WHOLE_WITH_GAPS = StateDictOptions(full_state_dict=True, strict=False)


def shard(model: nn.Module, group: ProcessGroup, device: torch.device) -> None:
    """Shard the parameters of a model among the processes, layer by layer, in place.

    A whole layer is in memory only while it is computed. The layers are the children of the model,
    and the children of containers among them, as torchtitan shards a transformer by its blocks.

    Args:
        model: model to shard.
        group: processes that each keep a shard of every layer.
        device: device of this process.
    """
    mesh = init_device_mesh(device.type, (group.world_size,))
    for layer in _layers(model):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


class ModelState:
    """The state of a model and its optimizer, sharded or not.

    Args:
        model: model that is trained; it is sharded if ``shard`` was called on it.
        optimizer: optimizer of the model's parameters.

    Raises:
        UserError: if the state of the model holds something that is not a tensor.
    """

    def __init__(self, model: nn.Module, optimizer: optim.Optimizer):
        _tensors(model.state_dict())
        self._model = model
        self._optimizer = optimizer
        self._is_sharded = isinstance(model, FSDPModule)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights by name; if the model is sharded, other ranks than 0 get none."""
        if self._is_sharded:
            return _tensors(get_model_state_dict(self._model, options=_GATHER_ON_RANK_0))
        return _tensors(self._model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state; if the model is sharded, other ranks than 0 get none.

        Raises:
            UserError: if the state of the optimizer holds what no checkpoint can hold.
        """
        model: dict[str, Any]
        optimizer: dict[str, Any]
        if self._is_sharded:
            model, optimizer = get_state_dict(
                self._model, self._optimizer, options=_GATHER_ON_RANK_0
            )
        else:
            model, optimizer = self._model.state_dict(), self._optimizer.state_dict()
        check_savable("training.optimizer", optimizer)
        return {"model": model, "optimizer": optimizer}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        if self._is_sharded:
            set_model_state_dict(self._model, state["model"], options=_FROM_WHOLE)
            set_optimizer_state_dict(
                self._model, self._optimizer, state["optimizer"], options=_FROM_WHOLE_WITH_GAPS
            )
            return
        self._model.load_state_dict(state["model"])
        _load_optimizer(self._optimizer, state["optimizer"])


def _load_optimizer(optimizer: optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restore the state of an optimizer, in the dtypes in which it was saved.

    PyTorch casts numbers to the dtype of their parameter. NAdam and ASGD keep some in float32 all
    the same, and a training that goes on would compute in another precision than before.
    """
    optimizer.load_state_dict(dict(state))
    parameters = [part for group in optimizer.param_groups for part in group["params"]]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    for parameter, number in zip(parameters, numbers, strict=True):
        loaded = optimizer.state[parameter] if number in state["state"] else {}
        for name, value in loaded.items():
            saved = state["state"][number][name]
            if isinstance(value, torch.Tensor) and value.dtype != saved.dtype:
                loaded[name] = saved.to(value.device)


def _tensors(state: Mapping[str, object]) -> dict[str, torch.Tensor]:
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    others = state.keys() - tensors.keys()
    if others:
        raise UserError(
            f"training.model: the state of the model holds {listed(sorted(others))}, which cannot "
            "be written with the weights because it is not a tensor. Register it as a buffer."
        )
    return tensors


def _layers(model: nn.Module) -> list[nn.Module]:
    layers = []
    for child in model.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            layers += _layers(child)
        elif any(True for _ in child.parameters()):
            layers.append(child)
    return layers
