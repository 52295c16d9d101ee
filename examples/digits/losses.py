"""A loss of one's own: what an autoencoder makes of an image, against the image."""

import torch
from torch import nn


def reconstruction(
    model: nn.Module, batch: dict[str, torch.Tensor], brightest: float = 16.0
) -> torch.Tensor:
    """Return the squared errors of all pixels, added up over the rows; the label is not used."""
    images = batch["features"]
    return (model(images) - images / brightest).square().sum()
