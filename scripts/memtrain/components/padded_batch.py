"""How models and losses see rows that vary in length; see ``data.padding`` for their batches."""

import torch
from torch import nn

from memtrain.config.objects import argument_names
from memtrain.data.padding import lengths_name, mask_name

Batch = dict[str, torch.Tensor]


def call_model(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the outputs of a model for the features of a batch.

    Where the features of the rows vary in length, ``forward`` gets ``lengths`` and ``mask`` as well
    if it has arguments of these names. A model that never looks ahead needs neither of them, since
    padding comes after the last element.

    Args:
        model: model that maps features to outputs.
        batch: "features", (rows, ...), and what stands beside them.
    """
    features = batch["features"]
    if mask_name("features") not in batch:
        return model(features)
    beside = {"lengths": batch[lengths_name("features")], "mask": batch[mask_name("features")]}
    taken = argument_names(model.forward)
    return model(features, **{name: value for name, value in beside.items() if name in taken})


def target_mask(batch: Batch) -> torch.Tensor | None:
    """Return where the targets of a batch have elements, bool (rows, longest); None: everywhere."""
    return batch.get(mask_name("target"))


def elements_there(
    outputs: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the outputs and the targets of the elements that are there, without padding.

    Args:
        outputs: outputs of the model, (rows, longest, ...).
        target: targets, (rows, longest, ...).
        mask: bool (rows, longest).

    Returns:
        (elements, ...) each. Where a target is one value and an output is an axis of one, the
        target is (elements, 1).

    Raises:
        ValueError: if the model does not give outputs for every element.
    """
    if outputs.shape[:2] != mask.shape:
        raise ValueError(
            f"the model gives the shape {tuple(outputs.shape)}, but the target has an element at "
            f"each of {tuple(mask.shape)} places; its outputs must be (rows, longest, ...)"
        )
    outputs, target = outputs[mask], target[mask]
    is_column = target.dim() == 1 and outputs.shape[1:] == (1,)
    return outputs, target[:, None] if is_column else target


def without_padding(outputs: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return outputs with zeros in place of what a model gives for padding.

    Args:
        outputs: outputs of the model, (rows, longest, ...); others are returned as they are.
        mask: where the targets have elements, bool (rows, longest); None: everywhere.
    """
    if mask is None or outputs.shape[:2] != mask.shape:
        return outputs
    there = mask.reshape(*mask.shape, *[1] * (outputs.dim() - 2))
    return outputs.where(there, torch.zeros((), dtype=outputs.dtype, device=outputs.device))


def padded_further(batch: Batch, places: int) -> Batch:
    """Return a batch with more padding.

    Args:
        batch: the batch.
        places: number of places that come behind the longest row of every field that varies.
    """
    longer = dict(batch)
    for field in batch:
        if mask_name(field) in batch:
            for name in (field, mask_name(field)):
                value = batch[name]
                padding = value.new_zeros((len(value), places, *value.shape[2:]))
                longer[name] = torch.cat([value, padding], 1)
    return longer


def count_elements(batch: Batch, field: str) -> int:
    """Return how many elements the rows of a batch have.

    Args:
        batch: the batch.
        field: the field that is counted. Where its rows do not vary in length, a row has as many
            elements as its first axis has places, and a single value is one element.
    """
    lengths = batch.get(lengths_name(field))
    if lengths is not None:
        return int(lengths.sum())
    shape = batch[field].shape
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def varies_in_length(batch: Batch) -> bool:
    """Return whether the features or the targets of a batch are padded."""
    return any(mask_name(field) in batch for field in ("features", "target"))
