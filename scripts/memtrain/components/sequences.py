"""The outputs of models that give classes for every element of a row, such as every token."""

import math

import torch

from memtrain.components.padded_batch import elements_there
from memtrain.core.errors import UserError


def outputs_of_elements(outputs: torch.Tensor, elements: int) -> torch.Tensor:
    """Return what a model gives for every element of some rows, (rows * elements, classes).

    Args:
        outputs: outputs of the model, (rows, elements, classes), or (rows, classes, elements) as
            losses and convolutions of PyTorch have it. Where there are as many classes as elements,
            they are taken for (rows, elements, classes).
        elements: elements of a row.

    Raises:
        ValueError: if the outputs have another shape.
    """
    if outputs.dim() == 3 and outputs.shape[1] == elements:
        return outputs.reshape(-1, outputs.shape[2])
    if outputs.dim() == 3 and outputs.shape[2] == elements:
        return outputs.transpose(1, 2).reshape(-1, outputs.shape[1])
    raise ValueError(
        f"the model gives the shape {tuple(outputs.shape)} for rows of {elements} elements, each "
        "of a class; let it return (rows, elements, classes) or (rows, classes, elements)"
    )


def checked_elements(
    where: str, outputs: torch.Tensor, elements: int, classes: int
) -> torch.Tensor:
    """Return what a model gives for every element, after checking that it fits the classes.

    Args:
        where: key of the setting, for error messages.
        outputs: outputs of the model.
        elements: elements of a row.
        classes: classes of the target. A model may give more, which are then never right.

    Raises:
        UserError: if the outputs have another shape, or too few classes.
    """
    try:
        flat = outputs_of_elements(outputs, elements)
    except ValueError as error:
        raise UserError(f"{where}: {error}.") from None
    _check_classes(where, flat, classes)
    return flat


def checked_padded(
    where: str, outputs: torch.Tensor, target: torch.Tensor, mask: torch.Tensor, classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs and targets of the elements that are there, after checking that they fit.

    Args:
        where: key of the setting, for error messages.
        outputs: outputs of the model for rows that vary in length.
        target: their targets, (rows, longest, ...).
        mask: the elements that are there, bool (rows, longest).
        classes: outputs that every element needs.

    Raises:
        UserError: if the outputs have another shape, or too few values for an element.
    """
    try:
        outputs, target = elements_there(outputs, target, mask)
    except ValueError as error:
        raise UserError(f"{where}: {error}.") from None
    _check_classes(where, outputs, classes)
    return outputs, target


def _check_classes(where: str, outputs: torch.Tensor, classes: int) -> None:
    found = math.prod(outputs.shape[1:])
    if found < classes:
        raise UserError(
            f"{where}: the model gives {found:,} outputs for every element, and the target has "
            f"{classes:,} classes. Let it return (rows, elements, classes); the classes are filled "
            "in where its class takes `out_features`."
        )
