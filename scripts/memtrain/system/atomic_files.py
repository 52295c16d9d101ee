"""Files that are whole or not there: written aside, synced, and renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from memtrain.core.errors import UserError


@contextmanager
def written_aside(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file, open for reading and writing, that becomes ``path`` on success.

    The file lies in the folder of ``path`` (made where it is missing) under a temporary name. When
    the block ends it is synced and renamed, and the folder is synced; when the block raises it is
    removed, and whatever stood at ``path`` before still does.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a whole file at once."""
    with written_aside(path) as file:
        file.write(content)


def write_text(path: str | os.PathLike, content: str) -> None:
    """Write a whole UTF-8 text file at once."""
    write_bytes(path, content.encode())


def reserve_space(file: BinaryIO, size_bytes: int, path: str | os.PathLike) -> None:
    """Allocate ``size_bytes`` for a file that is about to be written as ``path``.

    A disk that is too full is found out here, before the first row is written, and not by a
    half-written file.

    Raises:
        UserError: naming the space needed and the space there.
    """
    folder = Path(path).parent
    # Behind a quota or a limit on file sizes the free space says yes and the allocation says no.
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    try:
        if size_bytes > free:
            raise OSError("not enough space")
        os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError as error:
        raise UserError(
            f"{path}: {size_bytes:,} bytes are needed and {free:,} are free in {folder} ({error}). "
            "Free some space, ask for fewer rows, or put the results on another disk."
        ) from None


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
