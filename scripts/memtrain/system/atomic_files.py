"""Files that are either whole or absent: written under another name, synced, and renamed.

The other name of NAME is ``.NAME.XXXXXXXX.part``. Its writer holds a lock on it, which ends
with the writer, however that ends. So whoever writes into the folder next knows the leftovers of
killed programs, and removes them.
"""

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from memtrain.core.errors import UserError
from memtrain.system.file_systems import file_system_of
from memtrain.system.writing_errors import UnwritableError, told_in_a_sentence

_TEMPORARY_NAME = re.compile(r"\.(?P<name>.+)\.\w{8}\.part", re.DOTALL)

#: Seconds after its last write from which a file counts as left over, where locks tell nothing.
_ABANDONED_SECONDS = 3600

#: Paths that lead to what a program has open already.
_OPEN_FILES = ("/dev/fd/", "/dev/std", "/proc/")


@contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file, open for reading and writing, that appears at ``path`` when it is whole.

    Until then the file lies in the folder of ``path`` under a temporary name; the folder is created
    if it is missing. When the ``with`` block ends, the file is synced and renamed, and the folder
    is synced. If the ``with`` block raises, the file is removed, and ``path`` stays as it was.

    Where ``path`` is a link, the file that it leads to is replaced, and the link stays. A device, a
    pipe or an output of this program is not replaced: the whole content is written into it.

    Raises:
        UnwritableError: if the file cannot be written.
    """
    with told_in_a_sentence(path):
        if _is_stream(path):
            with tempfile.TemporaryFile() as file:
                yield file
                _copy_into(file, path)
            return
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise UnwritableError(f"{path}: this is a folder. Choose the name of a file.")
        with temporary_file(target) as (file, temporary):
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, target)
            _sync_folder(target.parent)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic_file(path) as file:
        file.write(content)


def write_text(path: str | os.PathLike, content: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    write_bytes(path, content.encode())


def reserve_space(file: BinaryIO, size_bytes: int, path: str | os.PathLike) -> None:
    """Allocate space for a file before it is written.

    So a disk that is too full is noticed before the first row is written, and not halfway.

    Args:
        file: the open file.
        size_bytes: size that the file will have.
        path: path that the file will have, for the message.

    Raises:
        UserError: naming the space that is needed and the space that is free.
    """
    folder = Path(path).parent
    # Under a quota or a limit on file sizes, an allocation fails although there is free space.
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    try:
        if size_bytes > free:
            raise OSError("not enough space")
        os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError as error:
        raise UserError(
            f"{path}: {size_bytes:,} bytes are needed and {free:,} are free in {folder} ({error}). "
            "Free some space, use fewer rows, or put the results on another disk."
        ) from None


def _is_stream(path: str | os.PathLike) -> bool:
    """Return whether a path is to be written into, and not to be replaced."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    is_open_file = os.path.abspath(path).startswith(_OPEN_FILES)
    return is_open_file or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _copy_into(file: BinaryIO, path: str | os.PathLike) -> None:
    # Append: where standard output is a file, what was printed before stays.
    try:
        # Without O_NONBLOCK, this would wait for ever for the reader of a pipe that has none.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise UnwritableError(f"{path}: this is a pipe or a socket that nobody reads.") from None
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as stream:
        file.seek(0)
        shutil.copyfileobj(file, stream)


@contextmanager
def temporary_file(target: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Yield a new file in the folder of another, which is created, and the path of the new file.

    Its permissions are those that the umask leaves.

    The caller may rename it; otherwise it is removed at the end. Leftovers of killed programs are
    removed first.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    while True:
        descriptor, temporary = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=".part", dir=target.parent
        )
        with suppress(OSError):  # A file system without locks.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Before it was locked, another process may have taken it for a leftover.
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)
    try:
        os.fchmod(descriptor, 0o666 & ~_umask())
        with os.fdopen(descriptor, "w+b") as file:
            yield file, temporary
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def is_left_over(path: str | os.PathLike) -> bool:
    """Return whether a file was being written by a program that was killed."""
    if not _TEMPORARY_NAME.fullmatch(os.path.basename(path)):
        return False
    try:
        with _locked_if_left_over(os.fspath(path), is_same_name=False) as is_over:
            return is_over
    except OSError:
        return False


def _remove_leftovers(target: Path) -> None:
    """Remove what killed programs left in the folder of a file."""
    for path, name in _temporaries(target.parent):
        with suppress(OSError):
            _remove_if_left_over(path, is_same_name=name == target.name)


@lru_cache(maxsize=256)
def _temporaries(folder: Path) -> list[tuple[str, str]]:
    """Return the temporary files in a folder, each with the name that it was to get.

    A folder is looked through once: what lies there later was written while this process lives, and
    thousands of files may be written into one folder.
    """
    with os.scandir(folder) as entries:
        found = ((entry.path, _TEMPORARY_NAME.fullmatch(entry.name)) for entry in entries)
        return [(path, match["name"]) for path, match in found if match]


def _remove_if_left_over(path: str, *, is_same_name: bool) -> None:
    """Remove a temporary file that no process writes any more."""
    with _locked_if_left_over(path, is_same_name=is_same_name) as is_over:
        if is_over:
            os.unlink(path)  # While the lock is held, so that no new writer takes the file.


@contextmanager
def _locked_if_left_over(path: str, *, is_same_name: bool) -> Iterator[bool]:
    """Yield whether no process writes a temporary file any more; it is locked meanwhile.

    Locks may not reach other machines, so that over a network a file of another name, which another
    machine may be writing, also has to be old.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        is_over = time.time() - os.fstat(descriptor).st_mtime > _ABANDONED_SECONDS
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_over = is_over or is_same_name or not file_system_of(path).is_network
        except BlockingIOError:
            is_over = False
        except OSError:
            pass  # A file system without locks: only the age tells.
        yield is_over
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
