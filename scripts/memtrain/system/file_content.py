"""Reads a small file whole, and never waits for what is no file."""

import os
import stat
from pathlib import Path

from memtrain.core.errors import UserError


def read_content_of_file(path: str | os.PathLike) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        FileNotFoundError: if there is none.
        UserError: if it is a folder, a pipe or a device, or cannot be read.
    """
    try:
        # Asked before it is opened: opening a pipe would wait for its writer.
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise UserError(f"{path}: this is {kind}. Give a file.")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: this file cannot be read ({reason}).") from None
