"""The weights that a training starts from: those of another model, by the names of its tensors."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import safetensors
import torch
from safetensors import SafetensorError
from torch import nn

from memtrain.config.initial import InitialSettings
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.wording import did_you_mean, listed
from memtrain.recipes.model_file import check_weights

Shape = tuple[int, ...]

#: Most names that a message lists.
_MOST_NAMES = 5

_log = logging.getLogger(__name__)


def shapes_of(model: nn.Module) -> dict[str, Shape]:
    """Return the shapes of all tensors of a model, by name."""
    return {
        name: tuple(part.shape)
        for name, part in model.state_dict().items()
        if isinstance(part, torch.Tensor)
    }


def shapes_in(where: str, path: str | os.PathLike) -> dict[str, Shape]:
    """Return the shapes of all tensors of a file, by name.

    Args:
        where: key of the setting that names the file, for error messages.
        path: the file, .safetensors.

    Raises:
        UserError: if the file is missing or is no safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(_unreadable(where, path, error)) from None


def chosen_keys(
    where: str, settings: InitialSettings, found: Mapping[str, Shape], needed: Mapping[str, Shape]
) -> dict[str, str]:
    """Return the key in the file of each tensor of the model that gets its value from there.

    Args:
        where: key of the setting, for error messages.
        settings: which keys go to which tensors.
        found: shapes of the tensors in the file, by key.
        needed: shapes of the tensors of the model, by name.

    Raises:
        UserError: with every key that has no tensor to go to, every tensor that gets no value
            although it should, and every shape that differs.
    """
    problems: list[str] = []
    chosen: dict[str, str] = {}
    left = [key for key in found if not settings.excludes(key)]
    for key, name in _pairs(where, settings, left, problems):
        if settings.excludes(name):
            continue
        if name in chosen:
            problems.append(
                f"{where}: both {chosen[name]} and {key} of {settings.source} go to {name}. Let "
                "one of them go elsewhere, or exclude it."
            )
        chosen[name] = key
    problems += _unfit(where, settings, chosen, found, needed)
    raise_problems(problems)
    return chosen


def start_from(
    where: str, settings: InitialSettings, path: str | os.PathLike, model: nn.Module
) -> None:
    """Give a model the weights of a file.

    Args:
        where: key of the setting, for error messages.
        settings: which weights are taken.
        path: the file, .safetensors.
        model: a model with new weights, on the CPU.

    Raises:
        UserError: if the file is missing or damaged, does not fit the model, or holds numbers that
            the model would round.
    """
    if settings.split is not None:
        check_weights(path)
    needed = shapes_of(model)
    keys = chosen_keys(where, settings, shapes_in(where, path), needed)
    state = model.state_dict()
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(key) for name, key in keys.items()}
    except (SafetensorError, OSError) as error:
        raise UserError(_unreadable(where, path, error)) from None
    raise_problems(_rounded(where, settings, tensors, state))
    model.load_state_dict(state | tensors)
    own = [name for name in needed if name not in tensors]
    kept = f"; from the seed: {listed(own, _MOST_NAMES)}" if own else ""
    _log.info(f"initial weights: {len(tensors)} tensors of {settings.source}{kept}")


def initial_path(settings: InitialSettings, base: Path | None) -> Path:
    """Return the file of the weights that a training starts from.

    Args:
        settings: where they come from.
        base: the model of the split that the settings name; None where it is not known.

    Raises:
        UserError: if the model of the split is not known.
    """
    if settings.path is not None:
        return Path(settings.path)
    if base is None:
        raise UserError(
            f"training.initial: the training starts from the model of {settings.split}, but "
            "its path is not known. Name it for train.py by --initial."
        )
    return base


def _pairs(
    where: str, settings: InitialSettings, keys: list[str], problems: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield the keys that are taken, each with the tensor that it goes to."""
    if settings.keys is None:
        yield from ((key, key) for key in keys)
        return
    taken: dict[str, str] = {}
    for pattern, name in settings.keys.items():
        matches = [(key, text) for key in keys if (text := _star(pattern, key)) is not None]
        if not matches:
            problems.append(
                f"{where}.keys: {pattern!r} matches no key of {settings.source}, which has "
                f"{listed(keys, _MOST_NAMES)}.{did_you_mean(pattern, keys)}"
            )
        for key, text in matches:
            if key in taken:
                problems.append(
                    f"{where}.keys: {key} of {settings.source} matches both {taken[key]!r} and "
                    f"{pattern!r}. Let one of them match."
                )
            taken[key] = pattern
            yield key, name.replace("*", text)


def _star(pattern: str, key: str) -> str | None:
    """Return the text that the * of a pattern stands for in a key; None where it does not match."""
    start, star, end = pattern.partition("*")
    if not star:
        return "" if key == pattern else None
    fits = len(key) >= len(start) + len(end) and key.startswith(start) and key.endswith(end)
    return key[len(start) : len(key) - len(end)] if fits else None


def _unfit(
    where: str,
    settings: InitialSettings,
    chosen: Mapping[str, str],
    found: Mapping[str, Shape],
    needed: Mapping[str, Shape],
) -> Iterator[str]:
    """Yield a problem for each key and each tensor that does not fit."""
    unknown = [name for name in chosen if name not in needed]
    for name in unknown:
        yield (
            f"{where}: {chosen[name]} of {settings.source} would go to {name}, which this model "
            f"does not have.{did_you_mean(name, needed)} Exclude it, or name by `keys` where it "
            "goes."
        )
    for name, key in chosen.items():
        if name in needed and found[key] != needed[name]:
            yield (
                f"{where}: {key} of {settings.source} is {_shown(found[key])}, and {name} of this "
                f"model is {_shown(needed[name])}. Exclude it (`exclude: [{name}]`), or make the "
                "models alike."
            )
    if settings.keys is None:
        for name in needed:
            if name not in chosen and not settings.excludes(name):
                yield (
                    f"{where}: {name} of this model is not in {settings.source}. Exclude it, or "
                    "name by `keys` what is taken, and it keeps the weights that the seed draws."
                )


def _rounded(
    where: str,
    settings: InitialSettings,
    tensors: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
) -> Iterator[str]:
    """Yield a problem for each tensor whose numbers the dtype of the model does not hold."""
    for name, tensor in tensors.items():
        dtype = state[name].dtype
        if tensor.dtype != dtype and not torch.equal(tensor.to(dtype).to(tensor.dtype), tensor):
            of_file, of_model = (str(one).removeprefix("torch.") for one in (tensor.dtype, dtype))
            yield (
                f"{where}: {name} is {of_file} in {settings.source}, and {of_model} in this model, "
                f"which would round its numbers. Store it as {of_model}."
            )


def _shown(shape: Shape) -> str:
    return str(list(shape)) if shape else "a number"


def _unreadable(where: str, path: str | os.PathLike, error: Exception) -> str:
    return (
        f"{where}: {os.fspath(path)} cannot be read as a safetensors file ({error}). Name a file "
        "that safetensors wrote."
    )
