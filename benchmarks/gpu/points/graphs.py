"""What a CUDA graph of a slot would bring to small networks, where calls take the time.

memtrain records no CUDA graphs. It computes several slots in one call where that gives the bits of
one by one, which kernels of a GPU often do not. A graph of one slot has the same kernels as the
slot, and so the same bits; this measures what it would save.
"""

import time
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from benchmarks.gpu.findings import NEEDS_A_GPU, Finding, Setting, right
from memtrain.components.device import set_exactness

_FEATURES, _HIDDEN, _ROWS, _SLOTS = 20, 64, 16, 8

#: Seconds that each way is measured for.
_SECONDS = 2.0


class Slot:
    """The gradient of one micro-batch of a small network, as a vector.

    Args:
        device: where it is computed.
    """

    def __init__(self, device: torch.device):
        generator = torch.Generator().manual_seed(0)
        self.model = nn.Sequential(nn.Linear(_FEATURES, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1))
        self.model.to(device)
        shape = (_SLOTS, _ROWS)
        self.features = torch.randn(*shape, _FEATURES, generator=generator).to(device)
        self.target = torch.randn(*shape, 1, generator=generator).to(device)
        self._parameters = list(self.model.parameters())
        self.divisor = torch.tensor(float(_ROWS * _SLOTS), dtype=torch.float64)

    def gradient(self, features: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the sum of squares, divided as in a window, (n,)."""
        loss = nn.functional.mse_loss(self.model(features), target, reduction="sum")
        parts = torch.autograd.grad(loss / self.divisor, self._parameters)
        return torch.cat([part.reshape(-1) for part in parts])

    def together(self) -> torch.Tensor:
        """Return the gradients of all slots, computed in one call, (slots, n)."""
        parameters = {name: part.detach() for name, part in self.model.named_parameters()}

        def loss(
            parameters: dict[str, torch.Tensor], features: torch.Tensor, target: torch.Tensor
        ) -> torch.Tensor:
            outputs = functional_call(self.model, parameters, (features,))
            return nn.functional.mse_loss(outputs, target, reduction="sum") / self.divisor

        parts = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, self.features, self.target)
        return torch.cat([part.reshape(_SLOTS, -1) for part in parts.values()], dim=1)


def captured(slot: Slot) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return ``slot.gradient`` as a CUDA graph, whose result the next call overwrites.

    PyTorch wants a few calls on another stream before a capture; see "CUDA Graphs" in its notes.
    """
    features, target = slot.features[0].clone(), slot.target[0].clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            slot.gradient(features, target)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        vector = slot.gradient(features, target)

    def replay(new_features: torch.Tensor, new_target: torch.Tensor) -> torch.Tensor:
        features.copy_(new_features)
        target.copy_(new_target)
        graph.replay()
        return vector

    return replay


def find(setting: Setting) -> Iterator[Finding]:
    """Yield slots per second of every way, and whether the ways give the same bits."""
    torch.set_num_threads(1)
    set_exactness(deterministic=True)
    slot = Slot(setting.device)
    alone = torch.stack([slot.gradient(*pair) for pair in _pairs(slot)])
    one_by_one = _rate(lambda: [slot.gradient(*pair) for pair in _pairs(slot)], setting)
    yield Finding("one by one", one_by_one, "slots/s", 1.0)
    rate = _rate(slot.together, setting)
    yield Finding(f"{_SLOTS} in one call (vmap)", rate, "slots/s", rate / one_by_one)
    same = torch.equal(alone, slot.together())
    yield Finding(f"{_SLOTS} in one call have the bits of one by one", "yes" if same else "no")
    if not setting.on_gpu:
        yield Finding("CUDA graph of one slot", NEEDS_A_GPU)
        return
    replay = captured(slot)
    rate = _rate(lambda: [replay(*pair) for pair in _pairs(slot)], setting)
    yield Finding("CUDA graph of one slot", rate, "slots/s", rate / one_by_one)
    replayed = torch.stack([replay(*pair).clone() for pair in _pairs(slot)])
    yield right("a CUDA graph has the bits of one by one", torch.equal(alone, replayed))


def _pairs(slot: Slot) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return zip(slot.features, slot.target, strict=True)


def _rate(window: Callable[[], object], setting: Setting) -> float:
    """Return the slots per second of a function that computes all slots of a window."""
    window()
    setting.wait()
    seconds = _SECONDS if setting.on_gpu else _SECONDS / 10
    start, windows = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        window()
        windows += 1
        setting.wait()
    return windows * _SLOTS / passed
