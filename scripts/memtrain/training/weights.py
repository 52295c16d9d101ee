"""The weights that a training has left, read back."""

import os

from safetensors import SafetensorError, safe_open
from torch import nn

from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.training.result import RECIPE_KEY


def load_weights(path: str | os.PathLike, model: nn.Module, recipe_digest: str) -> None:
    """Load the weights of a file into a model.

    Args:
        path: ``model.safetensors``, from train.
        model: that the recipe describes.
        recipe_digest: of the training part of that recipe.

    Raises:
        UserError: where the file is missing or damaged, was trained by another recipe, or holds
            other tensors than the model has.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise UserError(f"{path}: there is no such file. Run train to make it.")
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get(RECIPE_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: this is not a safetensors file ({error}). Remove it and run train again."
        ) from None
    if found != recipe_digest:
        raise UserError(
            f"{path}: this model was trained by the recipe {found}, but the split's is "
            f"{recipe_digest}. Run train again."
        )
    _check_tensors(path, tensors, model)
    model.load_state_dict(tensors)


def _check_tensors(path: str, tensors: dict, model: nn.Module) -> None:
    there = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    needed = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    differing = sorted(
        name for name in there.keys() | needed.keys() if there.get(name) != needed.get(name)
    )
    if differing:
        raise UserError(
            f"{path}: it does not hold the weights of {type(model).__name__}: "
            + listed(
                (
                    f"{name} is {there.get(name)} and should be {needed.get(name)}"
                    for name in differing
                ),
                limit=5,
            )
            + ". The model's code has changed since; run train again."
        )
