"""A temporary file that several processes on a machine share, and that the last one removes.

Every process that uses the file holds a shared lock on it (``flock``). A process that fills it
holds an exclusive lock, and the name of the file ends in ``.part`` until it is whole. The last
process that leaves removes the file. The kernel releases the locks of a process when it ends, even
by SIGKILL, so a file that nobody has locked was left by processes that were killed. The next
process removes such a file and does not use it, since the machine may have crashed in between.

The package ``filelock`` is not used here: its file locks are exclusive, and its lock for several
readers is a database beside the file.
"""

import fcntl
import glob
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_SECONDS_BETWEEN_TRIES = 0.05


@contextmanager
def shared_file(
    folder: str | os.PathLike,
    name: str,
    fill: Callable[[BinaryIO], None],
    wait: Callable[[], None] = lambda: None,
) -> Iterator[Path]:
    """Yield the path of a file that all processes of a user share while they use it.

    First, it removes the files that killed processes of the user have left in the folder.

    Args:
        folder: folder that the file lies in; other users may write there too.
        name: name of the file. It has to tell what the file holds, since processes that give the
            same name get the same file. "memtrain-" and the user's number are put before it.
        fill: function that writes the content of a new file. It is not called if another process
            has filled the file. If it raises, the error is raised here, and one of the waiting
            processes fills the file instead.
        wait: function that is called every now and then while another process fills the file. It
            may raise an error to give up.

    Raises:
        OSError: where the folder cannot be used, or another user has taken the name.
    """
    prefix = Path(folder, f"memtrain-{os.geteuid()}-")
    _remove_abandoned(prefix)
    path = Path(f"{prefix}{name}")
    with _acquire(path, fill, wait) as file:
        try:
            yield path
        finally:
            # Where the folder itself has been removed, nothing is left to do.
            with suppress(OSError):
                _remove_if_free(path, file)


def _acquire(path: Path, fill: Callable[[BinaryIO], None], wait: Callable[[], None]) -> BinaryIO:
    """Return the file, whole, open and with a shared lock."""
    part = Path(f"{path}.part")
    while True:
        file = _join(path) or _create(path, part, fill)
        if file is not None:
            return file
        wait()
        time.sleep(_SECONDS_BETWEEN_TRIES)
        # The process that fills the file may have been killed.
        _remove_abandoned(part)


def _join(path: Path) -> BinaryIO | None:
    """Return the file that other processes use; None if there is none."""
    try:
        file = _open(path)
    except FileNotFoundError:
        return None
    return _lock_shared(path, file)


def _create(path: Path, part: Path, fill: Callable[[BinaryIO], None]) -> BinaryIO | None:
    """Create, fill and return the file; None if another process fills it."""
    try:
        file = _open(part, os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return None
    with ExitStack() as stack:
        stack.enter_context(file)
        if not _try_to_lock(fcntl.LOCK_EX, file, part):
            # Before the lock, another process took the file for an abandoned one and removed it.
            return None
        stack.callback(part.unlink)
        if path.exists():
            # Another process has filled the file since this one tried to join.
            return None
        fill(file)
        part.rename(path)
        stack.pop_all()
    return _lock_shared(path, file)


def _lock_shared(path: Path, file: BinaryIO) -> BinaryIO | None:
    """Return the file with a shared lock; if another process fills or removes it, close it.

    Returns:
        The file, or None if it was closed.
    """
    # flock(2) replaces an exclusive lock by a shared one in two steps. A process that removes
    # abandoned files may come between them; then the file is filled again.
    if _try_to_lock(fcntl.LOCK_SH, file, path):
        return file
    file.close()
    return None


def _remove_abandoned(prefix: Path) -> None:
    """Remove all files whose paths begin with the prefix, unless a process has locked them."""
    for path in map(Path, glob.glob(f"{glob.escape(str(prefix))}*")):
        # Other processes remove abandoned files as well, and other users may own files there.
        with suppress(OSError), _open(path) as file:
            _remove_if_free(path, file)


def _remove_if_free(path: Path, file: BinaryIO) -> None:
    """Remove a file unless another process has locked it."""
    if _try_to_lock(fcntl.LOCK_EX, file, path):
        path.unlink()


def _open(path: Path, flags: int = 0) -> BinaryIO:
    """Open a file, unless it is a link or belongs to another user, who may write to the folder."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    if os.fstat(descriptor).st_uid != os.geteuid():
        file.close()
        raise PermissionError(f"{path} belongs to another user")
    return file


def _try_to_lock(kind: int, file: BinaryIO, path: Path) -> bool:
    """Lock a file; return whether this was possible and the file still lies at the path."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(file.fileno()))
    except (BlockingIOError, FileNotFoundError):
        return False
