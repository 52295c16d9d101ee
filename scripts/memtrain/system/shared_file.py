"""A temporary file that processes of one machine share, and that none of them leaves behind.

The file has no name: the kernel frees it when the last process that holds it ends, however it ends,
by SIGKILL too. A lock file beside it says under which number which process holds it, so that others
reach it through ``/proc/<process>/fd``. Who has locked the lock file may fill a new file; whoever
wants the same one waits, and fills another where it cannot see into the process that holds it. The
last one removes the lock file; one that a killed process left, a few bytes, is removed by whoever
comes next.
"""

import errno
import fcntl
import glob
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_SECONDS_BETWEEN_TRIES = 0.05


@contextmanager
def shared_file(
    folder: str | os.PathLike,
    key: str,
    fill: Callable[[BinaryIO], None],
    wait: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Yield the path of a file that all processes with the same key share while they use it.

    Args:
        folder: of the disk that the file is to lie on.
        key: what the file holds: letters and digits.
        fill: writes a new file; not called where a process holds one already. What it raises is
            raised here, and the next process that waits is to fill one.
        wait: called every now and then while another process fills the file; may raise.

    Raises:
        OSError: where the folder cannot be used, or ``/proc`` leads to no file of this process.
    """
    prefix = Path(folder) / _prefix()
    _remove_abandoned(prefix)
    with _locked(Path(f"{prefix}{key}.lock"), wait) as lock:
        held = lock.open_held()
        file = held or tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        try:
            # Looked at first: nothing is filled that cannot be reached.
            path = _path_that_leads_to(file)
            if held is None:
                fill(file)
            lock.add(file)
        except BaseException:
            file.close()
            lock.remove_if_abandoned()
            raise
    with file:
        try:
            yield path
        finally:
            # Without the folder there is nothing to be tidied up in it.
            with suppress(OSError), _locked(lock.path) as lock:
                lock.remove(file)


class _Lock:
    """A locked lock file: a line for every process that holds the file."""

    def __init__(self, path: Path, descriptor: int):
        self.path, self._descriptor = path, descriptor

    def open_held(self) -> BinaryIO | None:
        """Open the file that another process holds; None where there is none."""
        for line in self._lines():
            if file := _open_as(line):
                return file
        return None

    def add(self, file: BinaryIO) -> None:
        """Say that this process holds the file."""
        self._write([*self._held_lines(), _line_of(file)])

    def remove(self, file: BinaryIO) -> None:
        """Say that this process no longer holds the file; with the last of them the lock goes."""
        self._write([line for line in self._held_lines() if line != _line_of(file)])
        self.remove_if_abandoned()

    def remove_if_abandoned(self) -> None:
        """Remove the lock file where no process that is alive holds the file."""
        if not self._held_lines():
            self.path.unlink(missing_ok=True)

    def _held_lines(self) -> list[str]:
        held = []
        for line in self._lines():
            if file := _open_as(line):
                file.close()
                held.append(line)
        return held

    def _lines(self) -> list[str]:
        size = os.fstat(self._descriptor).st_size
        return os.pread(self._descriptor, size, 0).decode(errors="replace").splitlines()

    def _write(self, lines: list[str]) -> None:
        content = "".join(f"{line}\n" for line in lines).encode()
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))


@contextmanager
def _locked(path: Path, wait: Callable[[], None] = lambda: None) -> Iterator[_Lock]:
    """Hold the lock of a file, made where it is missing."""
    while True:
        with _opened(path, os.O_CREAT) as descriptor:
            while not _try_lock(descriptor):
                wait()
                time.sleep(_SECONDS_BETWEEN_TRIES)
            if _stands_at(path, descriptor):
                yield _Lock(path, descriptor)
                return


@contextmanager
def _opened(path: Path, flags: int = 0) -> Iterator[int]:
    """Open a lock file, in a folder that all may write to: no links, none of another user's."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to another user")
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stands_at(path: Path, descriptor: int) -> bool:
    """Return whether a lock file is still there: the last process removes it, and others wait."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_abandoned(prefix: Path) -> None:
    for path in map(Path, glob.glob(f"{glob.escape(str(prefix))}*.lock")):
        # Others sweep as well, and one that is not ours may have any name.
        with suppress(OSError), _opened(path) as descriptor:
            if _try_lock(descriptor) and _stands_at(path, descriptor):
                _Lock(path, descriptor).remove_if_abandoned()


def _prefix() -> str:
    # In another namespace (a container), the same number is another process.
    namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"memtrain-{os.geteuid()}-{namespace}-"


def _path_of(process: int, descriptor: int) -> str:
    return f"/proc/{process}/fd/{descriptor}"


def _path_that_leads_to(file: BinaryIO) -> str:
    path = _path_of(os.getpid(), file.fileno())
    # In a namespace of processes without a /proc of its own, our number there is another process.
    with suppress(OSError):
        if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
            return path
    raise OSError(errno.ENXIO, f"{path} does not lead to the file that this process has open there")


def _line_of(file: BinaryIO) -> str:
    return f"{os.getpid()} {file.fileno()} {_identity_of(file.fileno())}"


def _identity_of(descriptor: int) -> str:
    # Numbers of processes, descriptors and files are given again; not all with the same time.
    status = os.fstat(descriptor)
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def _open_as(line: str) -> BinaryIO | None:
    """Open the file that a line speaks of, where the process still holds it."""
    try:
        process, descriptor, identity = line.split()
        path = _path_of(int(process), int(descriptor))
        # Not blocking: by now it may be another process, and a pipe.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", 0)
    except (OSError, ValueError):
        return None
    if _identity_of(file.fileno()) != identity:
        file.close()
        return None
    return file
