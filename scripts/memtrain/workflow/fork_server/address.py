"""Names the fork server that a job can come from, by all that its process starts with.

A fork has the environment, the limits, the folder and much else of the process that it was forked
from. So a server is only asked for jobs whose processes would start as it did itself: its address
is a digest of all this. A job that starts otherwise has another address, and another server.

The address is an abstract one of Linux: it is no file, and goes with the server, however that ends.
This file is read by every job. It imports nothing that has to be installed, and little else.
"""

import hashlib
import os
import resource
import signal
import sys

#: Variables that may differ from job to job: folders of temporary files. A job tells them.
TEMPORARY_FOLDERS = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")

_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")

_CODE = os.path.dirname(os.path.abspath(__file__))

_LIMITS = [getattr(resource, name) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")]


def owner_of_jobs() -> "str | None":
    """Return the process that starts the jobs, as "PID-START": the nearest parent that is no shell.

    Returns:
        The id of the process and its start in clock ticks since boot; None if it cannot be seen.
    """
    pid = os.getppid()
    while pid > 1:
        name, parent, start = _facts(pid)
        if name not in _SHELLS:
            return f"{pid}-{start}"
        pid = parent
    return None


def is_running(owner: str) -> bool:
    """Return whether the process that starts the jobs still runs."""
    pid, _, start = owner.partition("-")
    try:
        return _facts(int(pid))[2] == start
    except OSError:
        return False


def addresses(owner: str) -> str:
    """Return the beginning of the addresses of all servers for the jobs of a process."""
    return f"memtrain-jobs/{os.getuid()}/{owner}/"


def address(owner: str) -> str:
    """Return the address of the server for the jobs of a process that start as this process did."""
    digest = hashlib.sha256(repr(_starting_state()).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{addresses(owner)}{digest[:32]}"


def running_servers(owner: str) -> int:
    """Return the number of servers that run for the jobs of a process."""
    beginning = f"@{addresses(owner)}"
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
        names = [line.split()[-1] for line in table]
    return len({name for name in names if name.startswith(beginning)})


def _facts(pid: int) -> "tuple[str, int, str]":
    """Return the name of a process, the id of its parent, and its start in ticks since boot."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        beginning, _, rest = file.read().rpartition(")")
    numbers = rest.split()
    return beginning.partition("(")[2], int(numbers[1]), numbers[19]


def _starting_state() -> "list[object]":
    """Return what a process has from its start, and its forks have from it."""
    umask = os.umask(0)
    os.umask(umask)
    signals = sorted(signal.valid_signals())
    return [
        sys.executable,
        os.stat(sys.executable).st_mtime_ns,
        [(path, os.stat(path).st_mtime_ns) for path in _code()],
        os.getcwd(),
        umask,
        (os.getresuid(), os.getresgid(), sorted(os.getgroups())),
        (os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0))),
        [(limit, resource.getrlimit(limit)) for limit in _LIMITS],
        [int(number) for number in signals if signal.getsignal(number) is signal.SIG_IGN],
        sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
        [_text(f"/proc/self/{name}") for name in ("cgroup", "oom_score_adj")],
        [os.readlink(entry.path) for entry in sorted(os.scandir("/proc/self/ns"), key=str)],
        sorted(pair for pair in os.environ.items() if pair[0] not in TEMPORARY_FOLDERS),
    ]


def _code() -> "list[str]":
    """Return the files of the server's own code."""
    return sorted(entry.path for entry in os.scandir(_CODE) if entry.name.endswith(".py"))


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
