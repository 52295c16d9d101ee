"""Copies batches to a device without waiting for it."""

from collections.abc import Callable

import torch

from memtrain.data.row_decoding import Batch, map_fields


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device. Copies to a CUDA device have only begun when this returns.

    A copy from ordinary memory waits until the GPU has nothing else to do, so what is not pinned is
    copied to pinned memory first. PyTorch keeps that memory until the copy from it has ended. What
    the caller has pinned must not be written to before; see ``torch.cuda.Event``.

    Args:
        batch: tensors on the CPU.
        device: where they go.
    """
    if device.type != "cuda":
        return map_fields(lambda tensor: tensor.to(device), batch)
    return map_fields(lambda tensor: _pinned(tensor).to(device, non_blocking=True), batch)


def same_stream(device: torch.device) -> Callable[[], None]:
    """Return a function that lets another thread queue its copies where this thread computes.

    A stream is chosen by thread. On a stream of its own, a copy could still be under way while the
    batch is used.

    Args:
        device: where batches go; for the CPU, the function does nothing.
    """
    if device.type != "cuda":
        return lambda: None
    stream = torch.cuda.current_stream(device)
    return lambda: torch.cuda.set_stream(stream)


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.is_pinned() else tensor.pin_memory()
