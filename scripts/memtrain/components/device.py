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
    """Set whether PyTorch computes the same bits every time, and refuses operations that cannot.

    Args:
        deterministic: whether the same bits are needed.
        compiled: whether the model is compiled. If so, the setting is passed on to the compiler as
            well, whose import takes a second.
    """
    if compiled:
        torch.use_deterministic_algorithms(deterministic)
    else:
        torch.set_deterministic_debug_mode("error" if deterministic else "default")
    # PyTorch would otherwise fill new memory with NaN, which costs time and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module, which type checkers cannot see
