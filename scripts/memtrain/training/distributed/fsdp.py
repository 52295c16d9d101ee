"""The state of model and optimizer: whole in every process, or cut among them by FSDP2.

A state that is saved or loaded is always whole, so that files do not depend on who wrote them.
"""

from typing import Any

import torch
from torch import nn, optim
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from memtrain.training.distributed.process_group import ProcessGroup

#: Whole, on the CPU of the first process.
_GATHERED = StateDictOptions(full_state_dict=True, cpu_offload=True)
_WHOLE = StateDictOptions(full_state_dict=True)


def shard(model: nn.Module, group: ProcessGroup, device: torch.device) -> None:
    """Cut the parameters of a model among the processes, layer by layer, in place.

    The whole of a layer is in memory only while it is computed. (The units are the children of the
    model, and of containers among them, as torchtitan cuts a transformer by its blocks.)
    """
    mesh = init_device_mesh(device.type, (group.world_size,))
    for layer in _layers(model):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


class ModelState:
    """What a training has to keep of model and optimizer.

    Args:
        model: that is trained.
        optimizer: of its parameters.
        sharded: whether ``shard`` cut the model.
    """

    def __init__(self, model: nn.Module, optimizer: optim.Optimizer, sharded: bool):
        self._model, self._optimizer, self._sharded = model, optimizer, sharded

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights; of a sharded model, in the first process only."""
        if self._sharded:
            return get_model_state_dict(self._model, options=_GATHERED)
        return self._model.state_dict()

    def save(self) -> dict[str, Any]:
        """Return weights and optimizer state; of a sharded model, in the first process only."""
        if self._sharded:
            model, optimizer = get_state_dict(self._model, self._optimizer, options=_GATHERED)
            return {"model": model, "optimizer": optimizer}
        return {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what ``save`` returned."""
        if self._sharded:
            set_state_dict(
                self._model,
                self._optimizer,
                model_state_dict=state["model"],
                optim_state_dict=state["optimizer"],
                options=_WHOLE,
            )
            return
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])


def _layers(model: nn.Module) -> list[nn.Module]:
    layers = []
    for child in model.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            layers += _layers(child)
        elif any(True for _ in child.parameters()):
            layers.append(child)
    return layers
