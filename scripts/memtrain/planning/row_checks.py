"""Checks what the parts of a training give for a few rows: mistakes that raise no error themselves.

A transform that draws random numbers makes other results each time, and a loss that gives a mean is
scaled wrongly in every short micro-batch. Both train without a word.
"""

from typing import Any

import torch
from torch import nn

from memtrain.components.custom_losses import CustomLoss
from memtrain.components.losses import Loss
from memtrain.components.padded_batch import (
    call_model,
    padded_further,
    target_mask,
    without_padding,
)
from memtrain.core.errors import UserError
from memtrain.core.wording import listed

#: Relative difference of two sums of the same losses that rounding explains.
_ROUNDING = 1e-3

#: Places that batches are padded further, to see whether that makes a difference.
_MORE_PADDING = 3

_FIELDS = ("features", "target")


def check_rows(where: str, batch: Any, again: Any) -> None:
    """Check what the transform gives for some rows.

    Args:
        where: key of the transform.
        batch: the rows as a batch.
        again: the same rows, transformed once more.

    Raises:
        UserError: if the batch lacks a field, fields differ in their rows, or the two differ.
    """
    found = sorted(map(str, batch)) if isinstance(batch, dict) else f"a {type(batch).__name__}"
    if not isinstance(batch, dict) or not set(_FIELDS) <= batch.keys():
        raise UserError(
            f"{where}: it must return a row with {listed(_FIELDS)}, but what comes from it is "
            f"{found if isinstance(found, str) else f'a row with {listed(found)}'}. Return "
            '`row | {"features": ...}`, which keeps the other fields.'
        )
    changing = [name for name in batch if not _are_equal(batch[name], again[name])]
    if changing:
        raise UserError(
            f"{where}: it gives other {listed(changing)} for the same rows each time, so that no "
            "result could be made again. Draw random numbers in the model while it trains "
            "(`self.training`, with torch's generator, whose state is saved), or not at all."
        )


def check_outputs_are_rows(where: str, outputs: Any, rows: int) -> None:
    """Check that a model gives one tensor with a place for every row.

    Args:
        where: key of the model.
        outputs: what the model gives for some features.
        rows: number of rows.

    Raises:
        UserError: if it gives anything else.
    """
    if isinstance(outputs, torch.Tensor) and outputs.dim() and len(outputs) == rows:
        return
    found = (
        f"a tensor of shape {tuple(outputs.shape)}"
        if isinstance(outputs, torch.Tensor)
        else f"an object of type {type(outputs).__name__}"
    )
    raise UserError(
        f"{where}: the model gives {found} for {rows} rows. Let `forward` return one tensor, "
        f"(rows, outputs)."
    )


@torch.no_grad()
def check_padding_is_ignored(where: str, model: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    """Check that what comes behind the end of a row makes no difference to what a model gives.

    Which rows share a batch, and so how far a row is padded, would be part of every result else.

    Args:
        where: key of the model.
        model: the model, in evaluation mode.
        batch: some rows, of which a field varies in length.

    Raises:
        UserError: if the outputs for the rows change with the padding.
    """
    mask = target_mask(batch)
    outputs = without_padding(call_model(model, batch), mask)
    longer = padded_further(batch, _MORE_PADDING)
    again = without_padding(call_model(model, longer), target_mask(longer))
    if mask is not None and again.dim() > 1:
        again = again[:, : outputs.shape[1]]
    if outputs.shape == again.shape and torch.allclose(
        outputs, again, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True
    ):
        return
    raise UserError(
        f"{where}: the model gives other outputs for a row that is padded further. Rows vary in "
        "length, and are padded to the longest of their batch: let `forward(features, lengths, "
        "mask)` take the lengths or the mask that stand beside the features, and leave out what "
        "comes behind the end of a row."
    )


@torch.no_grad()
def check_model_repeats(where: str, loss: Loss, model: nn.Module, batch: dict[str, Any]) -> None:
    """Check that a model draws its random numbers from torch's generator alone.

    Its state is set before every micro-batch, so that a training can be made again, and be shared
    by processes. NumPy's and Python's generators know nothing of that.

    Args:
        where: key of the model.
        loss: the loss, which calls the model.
        model: the model, in training mode; its buffers change as they do in a training.
        batch: some rows.

    Raises:
        UserError: if model and loss give two results for the same rows, buffers and seed.
    """
    losses = []
    for _ in range(2):
        buffers = [(one, one.clone()) for one in model.buffers()]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                losses.append(loss(model, batch))
            except Exception:  # What fails in the training is told there.
                return
        for one, before in buffers:
            one.copy_(before)
    if not _are_equal(*losses):
        raise UserError(
            f"{where}: the model gives other outputs for the same rows each time it trains, so "
            "that no result could be made again. Draw random numbers from torch's generator alone "
            "(torch.rand, nn.Dropout), not from NumPy's or Python's."
        )


@torch.no_grad()
def check_loss_is_a_sum(
    where: str, loss: CustomLoss, model: nn.Module, batch: dict[str, torch.Tensor]
) -> None:
    """Check that a loss of the user's own is no mean.

    Whether a loss is the sum of the losses of the rows cannot be known where rows act on each other
    (in a contrastive loss, say). That it is their mean can.

    Args:
        where: key of the loss.
        loss: the loss.
        model: the model, in evaluation mode.
        batch: two rows or more.

    Raises:
        UserError: if the loss of all rows is the mean of the losses of each.
    """
    rows = len(batch["features"])
    try:
        whole = float(loss(model, batch))
        total = sum(
            float(loss(model, {name: value[row : row + 1] for name, value in batch.items()}))
            for row in range(rows)
        )
    except Exception:  # Rows may need each other; what fails in the training is told there.
        return
    is_mean = abs(whole * rows - total) <= _ROUNDING * abs(total)
    if is_mean and abs(whole - total) > _ROUNDING * abs(total):
        raise UserError(
            f"{where}: {loss.name} gives {whole:.6g} for {rows} rows whose losses are {total:.6g} "
            'in sum: it is their mean. Return the sum, with `reduction="sum"` or `.sum()`, since a '
            "mean would count the rows of short micro-batches more than others."
        )


def _are_equal(left: Any, right: Any) -> bool:
    """Return whether two results are the same, bit by bit; nothing but tensors is compared."""
    if not (isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor)):
        return True
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    both_missing = left.isnan() & right.isnan()
    return bool(((left == right) | both_missing).all())
