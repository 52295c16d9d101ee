"""``model.safetensors``: the weights of a trained model, and what they were made from."""

import os
from collections.abc import Mapping

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.recipes.model_file import ModelOrigin, check_weights, with_origin
from memtrain.system.atomic_files import write_bytes


def write_weights(
    path: str | os.PathLike, weights: Mapping[str, torch.Tensor], origin: ModelOrigin
) -> None:
    """Write the weights of a model.

    Args:
        path: file to write, ``model.safetensors``.
        weights: tensors by name, on any device.
        origin: what the model was made from.
    """
    # Clones, because tied weights share memory, which safetensors refuses.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    write_bytes(path, with_origin(safetensors.torch.save(tensors), origin))


def load_weights(path: str | os.PathLike, model: nn.Module) -> None:
    """Load the weights of a file into a model.

    Args:
        path: file that train wrote, ``model.safetensors``.
        model: model built from the recipe.

    Raises:
        UserError: if the file is missing or damaged, or holds other tensors than the model has.
    """
    path = os.fspath(path)
    check_weights(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: this is not a safetensors file ({error}). Remove it and run train again."
        ) from None
    _check_shapes(path, tensors, model)
    model.load_state_dict(tensors)


def _check_shapes(path: str, tensors: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    needed = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    differing = sorted(
        name for name in found.keys() | needed.keys() if found.get(name) != needed.get(name)
    )
    if differing:
        differences = (
            f"{name} is {found.get(name)} and should be {needed.get(name)}" for name in differing
        )
        raise UserError(
            f"{path}: it does not hold the weights of {type(model).__name__}: "
            f"{listed(differences, limit=5)}. The model's code has changed since; run train again."
        )
