"""What a training goes on from, in a form that shows whether anything has changed in between.

PyTorch counts the changes of a tensor in its version, but not those through ``.data`` or through
an array of NumPy that shares its memory. So the bytes are compared as well, by a checksum.
"""

import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from memtrain.components.build import TrainingParts
from memtrain.components.global_state import global_settings

_SCALARS = (bool, int, float, complex, str, bytes, type(None))

#: Dictionaries of ``nn.Module`` whose parts have traces of their own.
_PARTS_OF_LAYERS = ("_parameters", "_buffers")

Traces = dict[str, object]


@dataclass(frozen=True)
class _Same:
    """Stands for an object that is equal to itself alone. It is kept, so that no other is there."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


class TrainingTraces:
    """Takes traces of all that a training goes on from.

    Args:
        parts: the parts of the training.
        modules: names of the user's own modules that compute. Functions and numbers in them count.
    """

    def __init__(self, parts: TrainingParts, modules: Iterable[str] = ()):
        self._parts = parts
        self._modules = [name for name in modules if name in sys.modules]

    def take(self) -> Traces:
        """Return a trace of each thing, by its name for a message."""
        parts, seen = self._parts, _Seen()
        traces = {**global_settings()}
        for what, module in (("model", parts.model), ("loss", parts.loss)):
            if isinstance(module, nn.Module):
                traces |= dict(_traces_of_module(what, module, seen))
        for what, value in (("optimizer", parts.optimizer), ("schedule", parts.scheduler)):
            if value is not None:
                traces |= dict(_traces_of_attributes(f"the {what}", vars(value), seen))
        for name in self._modules:
            for key, value in vars(sys.modules[name]).copy().items():
                plain = value if isinstance(value, _SCALARS) else _Same(value)
                traces[f"{name}.{key}"] = repr(plain) if isinstance(plain, float) else plain
        return traces


def changed(before: Traces, after: Traces) -> list[str]:
    """Return the names of what has changed, has gone, or is new; names of modules may be new."""
    gone = [name for name in before if name not in after]
    other = [name for name, trace in after.items() if name in before and before[name] != trace]
    new = [name for name in after if name not in before and " " in name]
    return [*other, *gone, *new]


class _Seen:
    """Takes traces of values, of each tensor once."""

    def __init__(self) -> None:
        self._tensors: dict[int, tuple] = {}
        self._open: set[int] = set()

    def trace(self, value: Any) -> object:
        """Return the trace of a value: its content where it is plain, else the object itself."""
        if isinstance(value, float | complex):
            return repr(value)  # NaN is equal to itself in this form
        if isinstance(value, _SCALARS):
            return type(value), value
        if isinstance(value, torch.Tensor):
            return self._trace_of_tensor(value)
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return value.shape, zlib.crc32(value.tobytes())
        if isinstance(value, nn.Module) or id(value) in self._open:
            return _Same(value)
        self._open.add(id(value))
        try:
            return self._trace_of_collection(value)
        finally:
            self._open.discard(id(value))

    def _trace_of_collection(self, value: Any) -> object:
        if isinstance(value, Mapping):
            return [(_key(key), self.trace(part)) for key, part in list(value.items())]
        if isinstance(value, list | tuple):
            return [type(value), *map(self.trace, value)]
        if isinstance(value, LRScheduler):
            return [_Same(value), self.trace(vars(value))]
        return _Same(value)

    def _trace_of_tensor(self, tensor: torch.Tensor) -> tuple:
        if id(tensor) not in self._tensors:
            self._tensors[id(tensor)] = (
                _Same(tensor),
                tensor._version,
                tensor.requires_grad,
                tuple(tensor.shape),
                _checksum(tensor),
                _Same(tensor.grad) if tensor.is_leaf else None,
                tuple(tensor._backward_hooks or ()),
                tuple(getattr(tensor, "_post_accumulate_grad_hooks", None) or ()),
            )
        return self._tensors[id(tensor)]


def _traces_of_module(what: str, module: nn.Module, seen: _Seen) -> Iterator[tuple[str, object]]:
    """Yield the traces of a model or a loss: its tensors, and all else that its layers have."""
    for kind, tensors in (
        ("parameter", module.named_parameters(remove_duplicate=False)),
        ("buffer", module.named_buffers(remove_duplicate=False)),
    ):
        for name, tensor in tensors:
            yield f"the {kind} {name} of the {what}", seen.trace(tensor)
    for name, layer in module.named_modules():
        where = f"the layer {name} of the {what}" if name else f"the {what}"
        yield f"the function `forward` of {where}", _Same(type(layer).forward)
        yield from _traces_of_attributes(where, vars(layer), seen)


def _traces_of_attributes(
    where: str, attributes: Mapping[str, Any], seen: _Seen
) -> Iterator[tuple[str, object]]:
    for name, value in attributes.items():
        if name not in _PARTS_OF_LAYERS:
            yield f"the attribute {name} of {where}", seen.trace(value)


def _key(key: Any) -> object:
    return key if isinstance(key, _SCALARS) else _Same(key)


def _checksum(tensor: torch.Tensor) -> int | None:
    """Return a checksum of the bytes of a tensor; None for one that has no bytes of its own."""
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        return None
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return zlib.crc32(flat.view(torch.uint8).numpy().data) if flat.numel() else 0
