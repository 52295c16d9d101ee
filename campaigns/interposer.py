"""Faults at the n-th call that programs make on files: plans for the library interposer.c.

The library has to be loaded before the C library, so ``restart_under_library`` starts this program
again with it. A plan is a file that all processes share which take it: it says at which call what
happens, and afterwards it holds how many calls there were and which files they named.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: Environment variable that names the plan for programs that start under the library.
PLAN_VARIABLE = "CAMPAIGNS_PLAN"

#: Kinds of calls, in the order of ``enum kind`` in interposer.c.
KINDS = (
    "open-to-read",
    "open-to-write",
    "read",
    "write",
    "sync",
    "rename",
    "remove",
    "make-folder",
    "resize",
    "change-mode",
    "link",
)

#: The kinds that change something on the disk.
CHANGING = KINDS[1:2] + KINDS[3:]

_PATH_BYTES = 1024
_LOG_BYTES = 1 << 20
_SOURCE = Path(__file__).with_suffix(".c")


class Plan(ctypes.Structure):
    """The structure ``plan`` of interposer.c."""

    _fields_ = (
        ("folder", ctypes.c_char * _PATH_BYTES),
        ("kinds", ctypes.c_uint32),
        ("later_kinds", ctypes.c_uint32),
        ("action", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("at", ctypes.c_int64),
        ("counted", ctypes.c_int64),
        ("by_kind", ctypes.c_int64 * len(KINDS)),
        ("is_hit", ctypes.c_int32),
        ("hit_path", ctypes.c_char * _PATH_BYTES),
        ("log_used", ctypes.c_int64),
        ("log", ctypes.c_char * _LOG_BYTES),
    )


@dataclass(frozen=True)
class Fault:
    """What happens at one call.

    Attributes:
        action: "count" (nothing happens), "fail", "kill-process" or "kill-group".
        kinds: the kinds of calls that are counted.
        at: the number of the call at which it happens, from 1.
        error: the errno with which the call fails.
        later_kinds: the kinds of calls that fail from then on, too, as on a disk that stays full.
    """

    action: str = "count"
    kinds: tuple[str, ...] = KINDS
    at: int = 0
    error: int = 0
    later_kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calls:
    """The calls that programs made under a plan.

    Attributes:
        by_kind: number of calls by kind.
        is_hit: whether the fault happened.
        hit_path: the file of the call at which it happened.
        log: kind and file of each call, in order.
    """

    by_kind: dict[str, int]
    is_hit: bool
    hit_path: str
    log: list[tuple[str, str]]


def can_compile() -> bool:
    """Return whether this machine has a C compiler."""
    return shutil.which("cc") is not None


def is_loaded() -> bool:
    """Return whether this process runs under the library."""
    return hasattr(ctypes.CDLL(None), "interposer_arm")


def restart_under_library(folder: Path, arguments: list[str]) -> None:
    """Compile the library, and replace this process by the same program with the library loaded.

    Args:
        folder: the folder for the library.
        arguments: the arguments of Python.
    """
    library = folder / "interposer.so"
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    os.execve(
        sys.executable,
        [sys.executable, *arguments],
        os.environ | {"LD_PRELOAD": str(library)},
    )


def write_plan(path: Path, folder: Path, fault: Fault) -> None:
    """Write a plan.

    Args:
        path: the file.
        folder: only calls on files below this folder count.
        fault: what happens at which call.
    """
    plan = Plan(
        folder=f"{os.path.realpath(folder)}/".encode(),
        kinds=_bits(fault.kinds),
        later_kinds=_bits(fault.later_kinds),
        action=("count", "fail", "kill-process", "kill-group").index(fault.action),
        error=fault.error,
        at=fault.at,
    )
    path.write_bytes(bytes(plan))


def read_calls(path: Path) -> Calls:
    """Return the calls that were made under a plan."""
    plan = Plan.from_buffer_copy(path.read_bytes())
    text = plan.log.decode(errors="surrogateescape")
    pairs = [line.split(" ", 1) for line in text.splitlines()]
    return Calls(
        by_kind=dict(zip(KINDS, plan.by_kind, strict=True)),
        is_hit=bool(plan.is_hit),
        hit_path=plan.hit_path.decode(errors="surrogateescape"),
        log=[(KINDS[int(kind)], file) for kind, file in pairs],
    )


def arm(path: Path) -> None:
    """Let the plan count the calls of this process from now on.

    Raises:
        OSError: if the plan cannot be mapped.
    """
    if ctypes.CDLL(None).interposer_arm(os.fsencode(path)):
        raise OSError(f"{path}: the plan cannot be mapped")


def _bits(kinds: tuple[str, ...]) -> int:
    return sum(1 << KINDS.index(kind) for kind in kinds)
