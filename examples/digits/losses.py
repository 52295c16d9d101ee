"""A custom loss: the difference between an image and its reconstruction by an autoencoder."""

import torch
from torch import nn


def reconstruction(
    model: nn.Module, batch: dict[str, torch.Tensor], brightest: float = 16.0
) -> torch.Tensor:
    """Return the squared errors of all pixels, summed over the rows. The labels are not used.

    Args:
        model: the autoencoder.
        batch: rows of a micro-batch; its "features" are images, uint8 (rows, pixels).
        brightest: brightness that the model's output calls 1.
    """
    images = batch["features"]
    return (model(images) - images / brightest).square().sum()
