"""Runs Python programs in forked children of this process, which has their imports done.

PyTorch takes a second to import and a program of ours a tenth of one to run, so that a campaign of
hundreds of runs would mostly import. A child runs the file of the script as ``__main__``, in a
session of its own, with limits on its memory and on the files it writes.
"""

import atexit
import contextlib
import ctypes
import importlib
import io
import os
import resource
import runpy
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from campaigns import audit_hook, interposer

_GIB = 1 << 30
#: Address space that a child may add to that of this process, and the largest file it may write.
_MEMORY_BYTES = _GIB
_FILE_BYTES = 1 << 28
#: A child that waits hangs after so many times the processor time that it may use.
_PATIENCE = 6


@dataclass(frozen=True)
class Ended:
    """A program that has ended.

    Attributes:
        status: its exit status; None if a signal ended it.
        signal: the number of the signal that ended it; None for none.
        is_hung: whether it was killed because it had taken too long.
        output: what it printed, standard error included.
    """

    status: int | None
    signal: int | None
    is_hung: bool
    output: str


#: What a child does: a script with its arguments, or a function that returns an exit status.
Work = Sequence[str] | Callable[[], int]


class Child:
    """A program that runs in a forked child.

    Args:
        work: the script and its arguments, or a function that returns an exit status.
        folder: the working directory.
        plan: a plan of ``interposer``; None for none.
        before: called in the child before the script.
        variables: environment variables for the child.
    """

    def __init__(
        self,
        work: Work,
        folder: Path,
        *,
        plan: Path | None = None,
        before: Callable[[], None] | None = None,
        variables: dict[str, str] | None = None,
    ):
        self._output = os.memfd_create("output")
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.environ.update(variables or {})
            _be_child(work, folder, self._output, plan, before)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the child."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds: float = 20) -> Ended:
        """Return how the child has ended; kill it where it hangs.

        Args:
            seconds: processor time that a child may use. One that mostly waits hangs after
                ``_PATIENCE`` times as long: on a busy machine, little may take long.
        """
        is_hung = not self._ends_within(seconds)
        if is_hung:
            self.kill()
        _, status = os.waitpid(self.pid, 0)
        # Whatever the child has started and left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(status)
        size = os.lseek(self._output, 0, os.SEEK_END)
        output = os.pread(self._output, min(size, 1 << 20), 0).decode(errors="replace")
        os.close(self._output)
        return Ended(
            status=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            is_hung=is_hung,
            output=output,
        )

    def _ends_within(self, seconds: float) -> bool:
        descriptor = os.pidfd_open(self.pid)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        start = time.monotonic()
        try:
            while not poll.poll(500):
                if _processor_seconds(self.pid) > seconds:
                    return False
                if time.monotonic() - start > _PATIENCE * seconds:
                    return False
            return True
        finally:
            os.close(descriptor)


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process and of its children that have ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return sum(psutil.Process(pid).cpu_times()[:4])
    return 0


def run_forked(work: Work, folder: Path, **options) -> Ended:
    """Run a program in a forked child to its end; for the options see ``Child``."""
    seconds = options.pop("seconds", 20)
    return Child(work, folder, **options).wait(seconds)


def import_what(work: Work, folder: Path) -> Ended:
    """Run a program in a forked child, and import here what the child has imported."""
    names = os.memfd_create("modules")
    before = set(sys.modules)

    def write_names() -> None:
        added = [name for name in list(sys.modules) if name not in before]
        os.write(names, "\n".join(added).encode())

    def at_end() -> None:
        atexit.register(write_names)

    ended = run_forked(work, folder, before=at_end, seconds=120)
    size = os.lseek(names, 0, os.SEEK_END)
    for name in os.pread(names, size, 0).decode().split("\n"):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    os.close(names)
    return ended


def drop_privileges() -> None:
    """Let the permissions of files count for this process, even if it is the superuser's.

    The process gives up the capabilities that pass over permissions; see capset(2).
    """
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    ctypes.CDLL(None, use_errno=True).capset(header, data)


def _be_child(
    work: Work,
    folder: Path,
    output: int,
    plan: Path | None,
    before: Callable[[], None] | None,
) -> None:
    """Do the work, and leave this process."""
    status = 1
    try:
        os.setsid()
        _end_with_parent()
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = _text_stream(1)
        sys.stderr = _text_stream(2, errors="backslashreplace", line_buffering=True)
        # What this program has registered is to be done at its own end.
        atexit._clear()
        _limit()
        if before:
            before()
        if plan:
            (interposer if interposer.is_loaded() else audit_hook).arm(plan)
        status = _run(work)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _text_stream(descriptor: int, **options: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(os.fdopen(descriptor, "wb", closefd=False), **options)


def _end_with_parent() -> None:
    """Let this process be killed when the campaign ends; see PR_SET_PDEATHSIG in prctl(2)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _limit() -> None:
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY_BYTES, used + _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run(work: Work) -> int:
    """Run a script as Python would, or a function; return the exit status."""
    status = 0
    try:
        if callable(work):
            status = work()
        else:
            sys.argv = list(work)
            runpy.run_path(work[0], run_name="__main__")
    except SystemExit as leaving:
        status = status_of(leaving)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return 120
    return status


def status_of(leaving: SystemExit) -> int:
    """Return the exit status that Python ends with; a message goes to standard error."""
    if leaving.code is None or isinstance(leaving.code, int):
        return (leaving.code or 0) & 0xFF
    sys.stderr.write(f"{leaving.code}\n")
    return 1
