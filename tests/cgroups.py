"""Runs programs in a memory cgroup, where a process that exceeds the limit is killed."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from memtrain.system.memory import V2, MemoryCgroup, memory_cgroups

_SECONDS_TO_EMPTY = 10.0


class UnavailableError(Exception):
    """No memory cgroup can be made here, for the reasons that the message gives."""


class LimitedMemory:
    """A memory cgroup with a limit.

    Args:
        folder: folder of the cgroup's files.
    """

    #: Names of the files of the peak and of the events, and the key of anonymous memory.
    _peak: str
    _events: str
    _anonymous: str

    def __init__(self, folder: Path):
        self.folder = folder

    def inside(self, argv: Sequence[str | os.PathLike]) -> list[str]:
        """Return the arguments of a process that enters the cgroup and then becomes ``argv``."""
        enter = 'echo $$ > "$0" && exec "$@"'
        return ["sh", "-c", enter, str(self.folder / "cgroup.procs"), *map(str, argv)]

    def run(self, argv: Sequence[str | os.PathLike], **options: Any) -> subprocess.CompletedProcess:
        """Run a program in the cgroup.

        Args:
            argv: the program and its arguments.
            options: options of ``subprocess.run``.

        Returns:
            The completed process; a kill for memory is the return code -9.
        """
        return subprocess.run(self.inside(argv), **options)

    @property
    def peak_bytes(self) -> int:
        """Peak memory so far, including cached pages of files.

        Raises:
            FileNotFoundError: for cgroups of version 2 before Linux 5.19.
        """
        return int((self.folder / self._peak).read_text())

    @property
    def oom_kills(self) -> int:
        """Number of processes that were killed for memory so far."""
        return self._number(self._events, "oom_kill")

    @property
    def anonymous_bytes(self) -> int:
        """Memory that processes in the cgroup hold now, without cached pages of files."""
        return self._number("memory.stat", self._anonymous)

    def limit(self, limit_bytes: int) -> None:
        """Set the limit, and allow no swap beyond it."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kill all processes in the cgroup."""
        for process in (self.folder / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)

    def remove(self) -> None:
        """Kill all processes in the cgroup, and remove it once it is empty.

        Raises:
            OSError: if the cgroup is not empty after 10 seconds.
        """
        deadline = time.monotonic() + _SECONDS_TO_EMPTY
        while True:
            self.kill()
            try:
                return self.folder.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.02)

    def _number(self, file: str, key: str) -> int:
        return int(re.search(rf"^{key} (\d+)", (self.folder / file).read_text(), re.MULTILINE)[1])

    def _write(self, file: str, number: int) -> None:
        (self.folder / file).write_text(f"{number}\n")


class _LimitedByV1(LimitedMemory):
    _peak = "memory.max_usage_in_bytes"
    _events = "memory.oom_control"
    _anonymous = "total_rss"

    def limit(self, limit_bytes: int) -> None:
        self._write("memory.limit_in_bytes", limit_bytes)
        if (self.folder / "memory.memsw.limit_in_bytes").exists():
            self._write("memory.memsw.limit_in_bytes", limit_bytes)


class _LimitedByV2(LimitedMemory):
    _peak = "memory.peak"
    _events = "memory.events"
    _anonymous = "anon"

    def limit(self, limit_bytes: int) -> None:
        self._write("memory.max", limit_bytes)
        if (self.folder / "memory.swap.max").exists():
            self._write("memory.swap.max", 0)


@contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[LimitedMemory]:
    """Make a memory cgroup, and remove it afterwards with all processes that still run in it.

    The cgroup lies within that of this process, or within the nearest one above that allows it.

    Args:
        limit_bytes: memory that the processes in the cgroup may hold.

    Raises:
        UnavailableError: if no cgroup above this process allows it.
    """
    cgroup = _make(limit_bytes)
    try:
        yield cgroup
    finally:
        cgroup.remove()


def _make(limit_bytes: int) -> LimitedMemory:
    reasons = []
    for parent in memory_cgroups():
        try:
            return _make_within(parent, limit_bytes)
        except OSError as error:
            reasons.append(f"{error.filename or parent.folder}: {error.strerror}")
    raise UnavailableError(
        "no memory cgroup can be made: " + ("; ".join(reasons) or "none is mounted")
    )


def _make_within(parent: MemoryCgroup, limit_bytes: int) -> LimitedMemory:
    if parent.version is V2:
        _enable_memory(parent.folder)
    kind = _LimitedByV2 if parent.version is V2 else _LimitedByV1
    cgroup = kind(Path(tempfile.mkdtemp(prefix="memtrain-", dir=parent.folder)))
    try:
        cgroup.limit(limit_bytes)
        # With version 2, a user may be allowed to make a cgroup, but not to move a process into it.
        if cgroup.run(["true"], stderr=subprocess.DEVNULL).returncode:
            raise PermissionError(None, "no process may enter it", str(cgroup.folder))
    except OSError:
        cgroup.remove()
        raise
    return cgroup


def _enable_memory(folder: Path) -> None:
    if "memory" not in (folder / "cgroup.controllers").read_text().split():
        raise OSError(None, "it has no memory controller", str(folder))
    enabled = folder / "cgroup.subtree_control"
    if "memory" not in enabled.read_text().split():
        enabled.write_text("+memory")
