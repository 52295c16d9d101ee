"""Opens files for reading, and never waits for what is no file."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from memtrain.core.errors import UserError


def open_file(path: str | os.PathLike) -> BufferedReader:
    """Open a regular file for reading.

    Opening a pipe by ``open`` waits for a writer, for ever where something has put the pipe in the
    place of a file.

    Raises:
        FileNotFoundError: if there is none.
        OSError: if it is a folder, a pipe or a device, or cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise OSError(errno.EINVAL, f"this is {kind}", os.fspath(path))
    return os.fdopen(descriptor, "rb")


def read_bytes(path: str | os.PathLike) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        FileNotFoundError: if there is none.
        OSError: if it is a folder, a pipe or a device, or cannot be read.
    """
    with open_file(path) as file:
        return file.read()


def text_of_file(path: str | os.PathLike) -> str | None:
    """Return the text of a file; None if there is none, or it is no text or cannot be read."""
    try:
        return read_bytes(path).decode()
    except (OSError, UnicodeDecodeError):
        return None


def read_content_of_file(path: str | os.PathLike) -> bytes:
    """Return the bytes of a regular file; tell in a sentence where it cannot be read.

    Raises:
        FileNotFoundError: if there is none.
        UserError: if it is a folder, a pipe or a device, or cannot be read.
    """
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{Path(path)}: this file cannot be read ({reason}).") from None
