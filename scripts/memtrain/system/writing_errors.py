"""Says in a sentence that a file cannot be written, and what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from memtrain.core.errors import UserError

_NO_SPACE = "Free some space, or write to another disk."
_NO_RIGHT = "Choose a folder that you may write to."
_IN_THE_WAY = "Something else has this name already: remove it, or choose another name."
_REMEDIES = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "Allow larger files (ulimit -f), or write to another disk.",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.EISDIR: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


class UnwritableError(UserError, OSError):
    """A file cannot be written.

    It is an ``OSError`` as well, for programs that can go on without the file.
    """


@contextmanager
def told_in_a_sentence(path: str | os.PathLike) -> Iterator[None]:
    """Turn an ``OSError`` that occurs while a file is written into a sentence with its path.

    Raises:
        UnwritableError: in place of an ``OSError``, unless that names another file.
    """
    try:
        yield
    except UnwritableError:
        raise
    except OSError as error:
        if not _is_about(error.filename, os.path.realpath(path)):
            raise
        remedy = _REMEDIES.get(error.errno or 0, "Its disk, or the way to it, may be broken.")
        reason = error.strerror or str(error)
        raise UnwritableError(f"{path}: this file cannot be written ({reason}). {remedy}") from None


def _is_about(named: object, target: str) -> bool:
    """Return whether an error names a file, its temporary file, or a folder above.

    An error of an open file names no path.
    """
    if not isinstance(named, str | bytes | os.PathLike):
        return True
    folder, name = os.path.split(os.path.realpath(os.fsdecode(named)))
    is_above = f"{target}/".startswith(f"{os.path.join(folder, name).rstrip('/')}/")
    return is_above or os.path.join(folder, name).startswith(
        os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.")
    )
