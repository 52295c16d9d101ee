"""Identifies a process among all others, so that another process can see whether it has ended."""

import os
from pathlib import Path

_UNKNOWN = "unknown"


def process_identity(pid: int | None = None) -> str:
    """Return the identity of a process: boot, pid namespace, pid and start time.

    Args:
        pid: the process, in the pid namespace of this one; None for this one.
    """
    pid = os.getpid() if pid is None else pid
    return ":".join([*_pid_namespace(), str(pid), _start_time(pid) or _UNKNOWN])


def has_ended(identity: str) -> bool:
    """Return whether a process has certainly ended.

    Args:
        identity: the identity that ``process_identity`` returned in that process.

    Returns:
        Whether it has ended. False also for a process on another machine or in another container,
        which this process cannot see. (Host names are not compared, since two containers may have
        the same one.)
    """
    if not is_of_this_machine(identity):
        return False
    *_, pid, start_time = identity.split(":")
    return _start_time(int(pid)) != start_time


def is_of_this_machine(identity: str) -> bool:
    """Return whether a process belongs to this boot and container, so that we can see its end."""
    if identity.count(":") < 2:
        return False
    *namespace, pid, start_time = identity.split(":")
    return namespace == _pid_namespace() and pid.isdecimal() and start_time != _UNKNOWN


def _pid_namespace() -> list[str]:
    """Return the boot and the pid namespace, within which a pid names one process at a time."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return [boot, str(os.stat("/proc/self/ns/pid").st_ino)]
    except OSError:
        return [_UNKNOWN, _UNKNOWN]


def _start_time(pid: int) -> str | None:
    """Return when a process was started, in clock ticks since boot; None if it has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the program stands in parentheses, and may contain parentheses itself. A zombie is
    # a process that has ended.
    state, *numbers = status.rpartition(")")[2].split()
    return None if state == "Z" else numbers[18]
