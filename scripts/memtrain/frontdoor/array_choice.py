"""What of some arrays becomes the features, and what the target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.wording import counted, did_you_mean, listed
from memtrain.frontdoor.array_files import ArrayGroup, is_number_type

#: Most names that are listed.
_MOST_NAMES = 30


@dataclass(frozen=True)
class ArrayChoice:
    """What becomes of the arrays.

    Attributes:
        settings: what stands under ``dataset: files:``, the task aside.
        features: names of the features.
        target: name of the target.
        left_out: why others are left out, by name.
    """

    settings: dict[str, Any]
    features: list[str]
    target: str
    left_out: dict[str, str] = field(default_factory=dict)


def named_arrays(groups: Sequence[ArrayGroup]) -> dict[str, str]:
    """Return what a target can be named after, with type and shape in words.

    The columns of a single matrix have numbers, and only the first and the last one are returned.
    """
    if len(groups) > 1:
        return {group.name: group.described(group.array) for group in groups}
    (group,) = groups
    names = group.headers.names()
    if names:
        return {name: group.described(name) for name in names}
    if len(group.shape) != 1 or group.shape[0] < 2:
        raise UserError(
            f"{group.headers.paths[0]}: its rows are {group.described(group.array)}, of which no "
            "part is a target of its own. Name the file of the target, too; windows of a stream "
            "and rows of different lengths are written by hand (docs/guides/files.md)."
        )
    last = group.shape[0] - 1
    return {str(place): f"{group.dtype}, a column of {last + 1}" for place in (0, last)}


def choose_arrays(groups: Sequence[ArrayGroup], target: str) -> ArrayChoice:
    """Return what becomes of the arrays, where one of them is the target.

    Raises:
        UserError: where none is called so, or none is left for the features.
    """
    if len(groups) > 1:
        return _side_by_side(groups, target)
    (group,) = groups
    names = group.headers.names()
    return _in_records(group, names, target) if names else _in_matrix(group, target)


def _check_name(target: str, names: Sequence[str]) -> None:
    if target not in names:
        raise UserError(
            f"--target: there is no field '{target}'.{did_you_mean(target, names)} The fields are "
            f"{listed(names, _MOST_NAMES)}."
        )


def _side_by_side(groups: Sequence[ArrayGroup], target: str) -> ArrayChoice:
    names = [group.name for group in groups]
    _check_name(target, names)
    shapes = {group.name: (group.dtype, group.shape) for group in groups if group.name != target}
    features, left_out = _usable(shapes)
    fields: dict[str, Any] = {}
    for group in groups:
        if group.name in features:
            fields[group.name] = {"path": group.path}
    (of_target,) = (group for group in groups if group.name == target)
    fields[target] = {"path": of_target.path, "target": True}
    return ArrayChoice({"fields": fields}, features, target, left_out)


def _in_records(group: ArrayGroup, names: Sequence[str], target: str) -> ArrayChoice:
    _check_name(target, names)
    arrays = group.headers.arrays[0]
    kinds = {
        name: (arrays[name].dtype, arrays[name].shape)
        if name in arrays
        else (group.dtype[name].base, group.dtype[name].shape)
        for name in names
        if name != target
    }
    features, left_out = _usable(kinds)
    settings = {"path": group.path, "features": features, "target": [target]}
    return ArrayChoice(settings, features, target, left_out)


def _in_matrix(group: ArrayGroup, target: str) -> ArrayChoice:
    named_arrays([group])
    columns = group.shape[0]
    if not (target.isdecimal() and int(target) < columns):
        raise UserError(
            f"--target: found '{target}'; {group.headers.paths[0]} is a matrix of "
            f"{counted(columns, 'column')} without names. Name the first or the last one: 0 or "
            f"{columns - 1}."
        )
    place = int(target)
    if place not in (0, columns - 1):
        raise UserError(
            f"--target: column {place} stands amidst the features, which are one run of columns "
            "where files are read where they lie. Add --no-in-place to import the matrix, or save "
            "the target as the first or the last column."
        )
    ends = ("1:", "0:1") if place == 0 else (f"0:{columns - 1}", f"{columns - 1}:")
    settings = {"path": group.path, "features": ends[0], "target": ends[1]}
    return ArrayChoice(settings, [ends[0]], target)


def _usable(
    kinds: dict[str, tuple[np.dtype, tuple[int, ...]]],
) -> tuple[list[str], dict[str, str]]:
    """Return the names of what can be features, and why the others are left out.

    Args:
        kinds: type and shape of a row, by name.

    Raises:
        UserError: where nothing can.
    """
    left_out = {
        name: f"a model is given numbers, and it is {dtype}"
        for name, (dtype, _) in kinds.items()
        if not is_number_type(dtype)
    }
    numbers = {name: shape for name, (_, shape) in kinds.items() if name not in left_out}
    blocks = [name for name, shape in numbers.items() if len(shape) > 1]
    if blocks and len(numbers) > 1:
        chosen = max(blocks, key=lambda name: math.prod(numbers[name]))
        why = f"{chosen} has several axes a row, and is the only field of the features then"
        left_out |= {name: why for name in numbers if name != chosen}
    features = [name for name in numbers if name not in left_out]
    if not features:
        raise UserError(
            "no array is of use as a feature. "
            + " ".join(f"'{name}' is left out: {why}." for name, why in left_out.items())
        )
    return features, left_out
