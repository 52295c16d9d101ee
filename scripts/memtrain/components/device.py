"""The device of this process, and how exactly PyTorch computes on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from memtrain.core.errors import UserError


def choose_device(setting: str) -> torch.device:
    """Return the device of this process.

    If several processes run on one machine, each of them gets a GPU of its own, which becomes its
    current one: pinned memory would otherwise make every process open the first GPU as well.

    Args:
        setting: "cpu", "cuda", or "auto" for a GPU if there is one.

    Raises:
        UserError: if this process needs a GPU, and the machine has none for it.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if setting == "cpu" or (setting == "auto" and not gpus):
        return torch.device("cpu")
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    if not gpus:
        raise UserError(
            f"training.device: it is cuda, but PyTorch {torch.__version__} finds no GPU on this "
            "machine. Run this on a machine with a GPU (on Slurm, with `--profile "
            "profiles/slurm-gpu`) and a PyTorch for CUDA, or set `device: auto` or `device: cpu`."
        )
    if local_rank >= gpus:
        raise UserError(
            f"training.device: process {local_rank + 1} of this machine needs a GPU of its own, "
            f"but the machine has {gpus}. Start as many processes as there are GPUs, or set "
            "`device: cpu`."
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def set_exactness(deterministic: bool, compiled: bool = False) -> None:
    """Let PyTorch compute in full float32 and, if needed, the same bits every time.

    With ``deterministic``, an operation that cannot give the same bits is an error. On a GPU,
    PyTorch would by default round the factors of convolutions to the 10 bits of TF32, although
    these numbers are float32, and parts of a product of float16 or bfloat16 would be added in
    that dtype. Whoever wants that sets it in the module of the model, which is imported later.

    Args:
        deterministic: whether the same bits are needed.
        compiled: whether the model is compiled. If so, the setting is passed on to the compiler as
            well, whose import takes a second.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cudnn.allow_tf32 = False
    if deterministic:
        # cuBLAS reads this at its first use. Without it, matrix products may be summed in another
        # order every time.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if compiled:
        torch.use_deterministic_algorithms(deterministic)
    else:
        torch.set_deterministic_debug_mode("error" if deterministic else "default")
    # PyTorch would otherwise fill new memory with NaN, which costs time and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module, which type checkers cannot see


@contextmanager
def gpu_memory_errors(remedy: str) -> Iterator[None]:
    """Turn the error that a GPU has too little memory into one for the user.

    Args:
        remedy: what the user can do, as a sentence.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).split(" GPU ")[0]
        raise UserError(
            f"the memory of the GPU is too small, or another program uses it: {reason} {remedy}"
        ) from None
