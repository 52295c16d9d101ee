"""One program at a time reads, changes and writes a file that lists things.

The lock is ``flock`` on a file beside it, which its holder removes. The kernel gives the lock up
when its holder ends, however it ends; the file of a holder that was killed is taken over.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SECONDS_BETWEEN_TRIES = 0.05
_SECONDS_BEFORE_TELLING = 1.0

_log = logging.getLogger(__name__)


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Wait until no other program changes a file, and keep others waiting in this context.

    Where no lock can be had, as in a folder that is read-only or on a file system without locks,
    nothing is locked; the file itself is still replaced whole.

    Args:
        path: the file that is to be changed. It may be missing.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = _locked(lock, path)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(lock)  # Before the lock is given up, so that it is still ours.
        os.close(descriptor)


def _locked(lock: Path, path: Path) -> int:
    """Return the descriptor of the lock file, once this process holds the lock."""
    tell_at = time.monotonic() + _SECONDS_BEFORE_TELLING
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(lock, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(lock), os.fstat(descriptor)):
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass  # Somebody holds it, or has just removed the file.
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() > tell_at:
            _log.info("%s: another program is changing this file; waiting until it ends", path)
            tell_at = float("inf")
        time.sleep(_SECONDS_BETWEEN_TRIES)
