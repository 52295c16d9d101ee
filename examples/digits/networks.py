"""Small networks for images of 8 x 8 pixels with a brightness of 0 to 16."""

import torch
from torch import nn

_BRIGHTEST = 16.0


class Convolutional(nn.Module):
    """Two convolutions that each halve the image, and a linear map to the classes.

    GroupNorm normalizes every image by itself. BatchNorm would make the gradient of a row depend on
    the other rows of its micro-batch, and accumulation would not be exact.

    Args:
        out_features: number of classes.
        channels: channels of the first convolution; the second has twice as many.
        dropout: share of the last hidden values that is dropped in training.
    """

    def __init__(self, out_features: int, channels: int = 16, dropout: float = 0.25):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.GroupNorm(4, channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.GroupNorm(4, 2 * channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels * 4, out_features),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images, uint8 (rows, 64), to logits (rows, out_features)."""
        return self.layers(images.reshape(-1, 1, 8, 8) / _BRIGHTEST)


class Autoencoder(nn.Module):
    """Encodes an image in a few numbers, and reconstructs it from them.

    Args:
        in_features: number of pixels.
        code: how many numbers encode an image.
    """

    def __init__(self, in_features: int, code: int = 8):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(in_features, 64), nn.ReLU(), nn.Linear(64, code), nn.Tanh()
        )
        self.decoder = nn.Sequential(nn.Linear(code, 64), nn.ReLU(), nn.Linear(64, in_features))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images, uint8 (rows, pixels), to images of brightness of about 0 to 1."""
        return self.decoder(self.encoder(images / _BRIGHTEST))
