"""Computes as an evaluation does, in a process that belongs to somebody else."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from memtrain.components.device import set_exactness
from memtrain.config.training import TrainingSettings

#: What PyTorch may round on a GPU, as attributes that ``set_exactness`` sets.
_ROUNDING = (
    (torch.backends.cuda.matmul, "allow_tf32"),
    (torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction"),
    (torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction"),
    (torch.backends.cudnn, "allow_tf32"),
)


@contextmanager
def computing_as_evaluated(settings: TrainingSettings) -> Iterator[None]:
    """Let PyTorch compute as it does in the evaluation of a split, and then as before.

    The state of PyTorch's generators is that of before, too.

    Args:
        settings: settings of the training.
    """
    gpus = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    rounding = [(owner, name, getattr(owner, name)) for owner, name in _ROUNDING]
    memory = torch.utils.deterministic
    fills = memory.fill_uninitialized_memory  # type: ignore[attr-defined]  # a property of the module, which type checkers cannot see
    try:
        with torch.random.fork_rng(gpus):
            torch.set_num_threads(settings.threads)
            set_exactness(settings.reduction == "reproducible")
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        for owner, name, before in rounding:
            setattr(owner, name, before)
        memory.fill_uninitialized_memory = fills  # type: ignore[attr-defined]  # as above
