"""Faults at the calls that Python reports itself, for machines without a C compiler.

Python tells an audit hook (PEP 578) before it opens, renames or removes a file, but not before it
writes or syncs one, and nothing of what libraries do by themselves. So this counts fewer calls than
interposer.c; the plans are the same.
"""

import mmap
import os
import signal
import sys
from pathlib import Path

from campaigns.interposer import KINDS, Plan

_EVENTS = {
    "os.rename": ("rename", 1),
    "os.remove": ("remove", 0),
    "os.rmdir": ("remove", 0),
    "os.mkdir": ("make-folder", 0),
    "os.truncate": ("resize", 0),
    "os.chmod": ("change-mode", 0),
    "os.link": ("link", 1),
    "os.symlink": ("link", 1),
}


def arm(path: Path) -> None:
    """Let a plan count the calls of this process from now on; it cannot be undone."""
    with open(path, "r+b") as file:
        plan = Plan.from_buffer(mmap.mmap(file.fileno(), 0))
    folder = plan.folder.decode()

    def hook(event: str, arguments: tuple) -> None:
        kind, file = _call(event, arguments)
        if kind and file.startswith(folder):
            _count(plan, kind, file)

    sys.addaudithook(hook)


def _call(event: str, arguments: tuple) -> tuple[str, str]:
    """Return the kind of a call and the absolute path of its file; empty if it is of no kind."""
    if event == "open" and isinstance(arguments[0], str | bytes):
        path, _, flags = arguments
        is_read = (flags & os.O_ACCMODE) == os.O_RDONLY and not flags & os.O_CREAT
        return "open-to-read" if is_read else "open-to-write", os.path.abspath(os.fsdecode(path))
    if event in _EVENTS:
        kind, at = _EVENTS[event]
        if not isinstance(arguments[at], int):
            return kind, os.path.abspath(os.fsdecode(arguments[at]))
    return "", ""


def _count(plan: Plan, kind: str, file: str) -> None:
    """Count a call; fail or kill if it is the chosen one."""
    bit, line = KINDS.index(kind), f"{KINDS.index(kind)} {file}\n".encode()
    start = plan.log_used
    plan.log_used += len(line)
    plan.log = plan.log[:start] + line
    plan.by_kind[bit] += 1
    is_chosen = False
    if plan.kinds >> bit & 1:
        plan.counted += 1
        is_chosen = plan.counted == plan.at and plan.action != 0
    if is_chosen:
        plan.is_hit, plan.hit_path = 1, file.encode()
        if plan.action != 1:
            os.kill(os.getpid(), signal.SIGKILL)
    if is_chosen or (plan.is_hit and plan.later_kinds >> bit & 1):
        raise OSError(plan.error, os.strerror(plan.error), file)
