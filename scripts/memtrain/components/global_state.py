"""What code can change for all other code of its process, and a training computes by.

Code of the user's own that is only to look at a training draws random numbers from the same
generators, and runs under the same settings of PyTorch.
"""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.modules import module as layers

#: Signals that stop a training in good order.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

#: Hooks of PyTorch that are called for every layer.
_GLOBAL_HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)


def global_settings() -> dict[str, object]:
    """Return the settings of this process that a training computes by, by their names."""
    cuda, cudnn, mkldnn = (torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn)
    return {
        "torch.default_dtype": torch.get_default_dtype(),
        "torch.default_device": torch.get_default_device(),
        "torch.num_threads": torch.get_num_threads(),
        "torch.deterministic_debug_mode": torch.get_deterministic_debug_mode(),
        "torch.float32_matmul_precision": torch.get_float32_matmul_precision(),
        "torch.grad_enabled": torch.is_grad_enabled(),
        "torch.inference_mode": torch.is_inference_mode_enabled(),
        "torch.anomaly_enabled": torch.is_anomaly_enabled(),
        "torch.autocast of the CPU": torch.is_autocast_enabled("cpu"),
        "torch.autocast of the GPU": torch.is_autocast_enabled("cuda"),
        "torch.set_flush_denormal": bool(torch.tensor([1e-40]).mul(1.0).eq(0)),
        "torch.backends.cuda.matmul": (
            cuda.matmul.allow_tf32,
            cuda.matmul.allow_fp16_reduced_precision_reduction,
            cuda.matmul.allow_bf16_reduced_precision_reduction,
        ),
        "torch.backends.cuda's attention": (
            cuda.flash_sdp_enabled(),
            cuda.mem_efficient_sdp_enabled(),
            cuda.math_sdp_enabled(),
            cuda.cudnn_sdp_enabled(),
        ),
        "torch.backends.cudnn": (
            cudnn.enabled,
            cudnn.benchmark,
            cudnn.deterministic,
            cudnn.allow_tf32,
        ),
        "torch.backends.mkldnn.enabled": mkldnn.enabled,  # type: ignore[attr-defined]  # a property of the module
        **{f"torch's {name.strip('_')}": _keys(getattr(layers, name)) for name in _GLOBAL_HOOKS},
        "numpy.geterr": tuple(sorted(np.geterr().items())),
        "the working directory": os.getcwd(),
        **{f"the handler of {number.name}": signal.getsignal(number) for number in _SIGNALS},
    }


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed the generators of PyTorch that a model draws from, on the CPU and on a device.

    ``torch.manual_seed`` seeds those of all devices, and notes for each kind that is not there from
    where it was called, which takes 80 microseconds: as much as a small micro-batch.

    Args:
        seed: the seed.
        device: device of the model.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@contextmanager
def borrowed_generators(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of PyTorch, NumPy and Python meanwhile, and restore their states.

    Args:
        seed: seed of all of them.
        device: device of the training.
    """
    of_numpy, of_python = np.random.get_state(), random.getstate()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


def _keys(hooks: dict[int, object]) -> tuple[int, ...]:
    return tuple(hooks)
