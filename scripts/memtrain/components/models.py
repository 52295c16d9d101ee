"""The model that a configuration names: one of two small networks, or any class of the user's."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from memtrain.config.objects import build, check_arguments, import_object, takes_argument
from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean, listed


class LinearModel(nn.Module):
    """One affine map of the flattened features."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.output = nn.Linear(in_features, out_features)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features (rows, ...) to outputs (rows, out_features)."""
        return self.output(_flat_floats(features))


class Mlp(nn.Module):
    """Affine maps with ReLU between them.

    Args:
        in_features: numbers per row.
        out_features: outputs per row.
        hidden: width of every hidden layer.
        dropout: share of hidden values that are dropped while training.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (64,),
        dropout: float = 0.0,
    ):
        super().__init__()
        layers: list[nn.Module] = []
        for left, right in pairwise([in_features, *hidden]):
            layers += [nn.Linear(left, right), nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers, nn.Linear([in_features, *hidden][-1], out_features))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features (rows, ...) to outputs (rows, out_features)."""
        return self.layers(_flat_floats(features))


class StandIn(nn.Module):
    """A matrix in place of a model that cannot be built, to try an optimizer with."""

    def __init__(self) -> None:
        super().__init__()
        # Every optimizer takes a matrix, and some take no vector.
        self.weight = nn.Parameter(torch.zeros(2, 2))


_MODELS: dict[str, Callable[..., nn.Module]] = {"linear": LinearModel, "mlp": Mlp}


def build_model(
    where: str,
    choice: Choice,
    in_features: int,
    out_features: int,
    category_sizes: Mapping[int, int] | None = None,
) -> nn.Module:
    """Return a model with new weights from PyTorch's global generator.

    Args:
        where: key of the setting, for error messages.
        choice: "linear", "mlp" or "package.module:Class", with keyword arguments.
        in_features: numbers per row; passed on if the class takes them and the setting has none.
        out_features: outputs per row; passed on in the same way.
        category_sizes: how many codes there are, for each feature that is the code of a word, by
            its position; passed on in the same way.

    Raises:
        UserError: if there is no such class, or it does not give an ``nn.Module``.
    """
    factory = _find_model(where, choice.name)
    with warnings.catch_warnings():
        # PyTorch warns of every lazy layer; they are refused below.
        warnings.filterwarnings("ignore", message="Lazy modules are a new feature")
        sizes = _sizes(in_features, out_features, category_sizes or {})
        model = build(where, factory, **_arguments(factory, choice, sizes))
    if not isinstance(model, nn.Module):
        raise UserError(f"{where}: {choice.name} gives {type(model).__name__}, not an nn.Module.")
    _refuse_lazy_layers(where, choice.name, model)
    return model


def _refuse_lazy_layers(where: str, name: str, model: nn.Module) -> None:
    """Raise a ``UserError`` if a model has layers whose shapes only a first batch decides."""
    layers = [
        part or name
        for part, layer in model.named_modules()
        if any(is_lazy(tensor) for tensor in (*layer.parameters(False), *layer.buffers(False)))
    ]
    if layers:
        raise UserError(
            f"{where}: {name} has lazy layers ({listed(layers, 5)}), whose initial weights depend "
            "on a first batch. Give them their sizes: `in_features` and `out_features` are filled "
            "in where the class takes them."
        )


def check_model(where: str, choice: Choice) -> None:
    """Check what can be known of a model before the sizes of its rows are known.

    Args:
        where: key of the setting, for error messages.
        choice: "linear", "mlp" or "package.module:Class", with keyword arguments.

    Raises:
        UserError: if there is no such class, or it does not take these arguments.
    """
    factory = _find_model(where, choice.name)
    check_arguments(where, factory, (), _arguments(factory, choice, _sizes(1, 1, {})))


def _find_model(where: str, name: str) -> Callable[..., nn.Module]:
    if ":" in name:
        return import_object(where, name)
    if name not in _MODELS:
        raise UserError(
            f"{where}: found {name!r}; known are {listed(_MODELS)} and package.module:Class."
            f"{did_you_mean(name, _MODELS)}"
        )
    return _MODELS[name]


def _sizes(
    in_features: int, out_features: int, category_sizes: Mapping[int, int]
) -> dict[str, Any]:
    return {
        "in_features": in_features,
        "out_features": out_features,
        "category_sizes": dict(category_sizes),
    }


def _arguments(factory: Callable, choice: Choice, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a choice, and the sizes of a row that the factory takes as well."""
    accepted = {name: size for name, size in sizes.items() if takes_argument(factory, name)}
    return accepted | choice.arguments


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(part.numel() for part in model.parameters() if part.requires_grad)


def normalizing_layers(model: nn.Module) -> dict[str, _NormBase]:
    """Return the layers that keep running statistics of what they see, by their names."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, _NormBase) and layer.running_mean is not None
    }


def describe_batch_norm(model: nn.Module) -> str | None:
    """Return a warning if a model has BatchNorm; None if it has none.

    BatchNorm lets the output of a row depend on the other rows of its micro-batch, so that
    accumulation cannot be exact.
    """
    names = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
    ]
    if not names:
        return None
    return (
        f"{type(model).__name__} has BatchNorm ({listed(names, 5)}), which normalizes every row by "
        "the mean and the variance of its micro-batch. The gradient of a window is then not the "
        "gradient of its rows as one batch, and depends on batch_size. Use GroupNorm or LayerNorm."
    )


def _flat_floats(features: torch.Tensor) -> torch.Tensor:
    flat = features.flatten(1)
    return flat if flat.is_floating_point() else flat.float()
