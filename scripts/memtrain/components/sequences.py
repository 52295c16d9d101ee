"""The outputs of models that give classes for every element of a row, such as every token."""

import torch

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
    if flat.shape[1] < classes:
        raise UserError(
            f"{where}: the model gives {flat.shape[1]:,} outputs for every element, and the target "
            f"has {classes:,} classes. Let it return (rows, elements, classes); the classes are "
            "filled in where its class takes `out_features`."
        )
    return flat
