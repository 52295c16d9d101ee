"""Lends a model that is being trained to a validation, and takes it back as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module, device: torch.device, seed: int) -> Iterator[None]:
    """Put a model into evaluation mode, without gradients, and leave no trace of it in the end.

    The modes of all layers, the buffers (a model of the user's may count in them) and the states of
    PyTorch's generators are those of before.

    Args:
        model: model that is being trained.
        device: device of the model.
        seed: seed of PyTorch's generators meanwhile.
    """
    modes = {layer: layer.training for layer in model.modules()}
    buffers = [
        (layer, name, part, part.clone())
        for layer in modes
        for name, part in layer._buffers.items()
        if part is not None
    ]
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            torch.manual_seed(seed)
            model.eval()
            yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode
        with torch.no_grad():
            for layer, name, part, before in buffers:
                layer._buffers[name] = part.copy_(before)
