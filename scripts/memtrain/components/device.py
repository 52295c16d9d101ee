"""The device of this process, and whether PyTorch has to compute the same bits every time."""

import os

import torch


def choose_device(setting: str) -> torch.device:
    """Return the device of this process.

    If several processes run on one machine, each of them gets a GPU of its own.

    Args:
        setting: "cpu", "cuda", or "auto" for a GPU if there is one.
    """
    kind = setting
    if setting == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cpu":
        return torch.device(kind)
    return torch.device(kind, int(os.environ.get("LOCAL_RANK", 0)))


def set_deterministic(deterministic: bool, compiled: bool = False) -> None:
    """Let PyTorch compute the same bits every time, and refuse operations that cannot.

    Args:
        deterministic: whether the same bits are needed.
        compiled: whether the model is compiled. Then the compiler is told as well, which takes a
            second to import.
    """
    if compiled:
        torch.use_deterministic_algorithms(deterministic)
    else:
        torch.set_deterministic_debug_mode("error" if deterministic else "default")
    # Do not fill memory that is about to be written anyway.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module, which type checkers cannot see
