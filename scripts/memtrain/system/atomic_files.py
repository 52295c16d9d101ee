"""Files that are either whole or absent: written under another name, synced, and renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from memtrain.core.errors import UserError


@contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file, open for reading and writing, that appears at ``path`` when it is whole.

    Until then the file lies in the folder of ``path`` under a temporary name; the folder is created
    if it is missing. When the ``with`` block ends, the file is synced and renamed, and the folder
    is synced. If the ``with`` block raises, the file is removed, and ``path`` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=".part", dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
