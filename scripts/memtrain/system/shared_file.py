"""A temporary file that processes of one machine share while any of them uses it.

Every process that uses the file holds a shared lock on it (``flock``). A process that fills it
holds an exclusive lock, and the file is called ``.part`` until it is whole. The last process that
leaves removes the file. The kernel releases the locks of a process when it ends, by SIGKILL too, so
a file that nobody has locked was left by processes that were killed. Such a file is not used, since
the machine may have crashed in between; whoever comes next removes it.

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

    First, whatever killed processes of the user have left in the folder is removed.

    Args:
        folder: folder that the file lies in; other users may write there too.
        name: name of the file. It has to tell what the file holds, since processes that give the
            same name get the same file. "memtrain-" and the user's number are put before it.
        fill: function that writes the content of a new file. It is not called where another process
            has filled the file. What it raises is raised here, and one of the processes that wait
            fills the file.
        wait: function that is called every now and then while another process fills the file. It
            may raise, to give up.

    Raises:
        OSError: where the folder cannot be used, or another user has taken the name.
    """
    prefix = Path(folder, f"memtrain-{os.geteuid()}-")
    _remove_abandoned(prefix)
    path = Path(f"{prefix}{name}")
    with _held(path, fill, wait) as file:
        try:
            yield path
        finally:
            # Where the folder itself has been removed, nothing is left to do.
            with suppress(OSError):
                _remove_if_free(path, file)


def _held(path: Path, fill: Callable[[BinaryIO], None], wait: Callable[[], None]) -> BinaryIO:
    """Return the whole file, open and with a shared lock."""
    part = Path(f"{path}.part")
    while True:
        file = _joined(path) or _filled(path, part, fill)
        if file is not None:
            return file
        wait()
        time.sleep(_SECONDS_BETWEEN_TRIES)
        # The process that fills the file may have been killed.
        _remove_abandoned(part)


def _joined(path: Path) -> BinaryIO | None:
    """Return the file that other processes use; None where there is none."""
    try:
        file = _open(path)
    except FileNotFoundError:
        return None
    return _shared(path, file)


def _filled(path: Path, part: Path, fill: Callable[[BinaryIO], None]) -> BinaryIO | None:
    """Return a new file; None where another process fills one."""
    try:
        file = _open(part, os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return None
    with ExitStack() as stack:
        stack.enter_context(file)
        if not _is_locked(fcntl.LOCK_EX, file, part):
            # Another process took it for an abandoned one, before it was locked.
            return None
        stack.callback(part.unlink)
        if path.exists():
            # Another process has filled the file since it was looked for.
            return None
        fill(file)
        part.rename(path)
        stack.pop_all()
    return _shared(path, file)


def _shared(path: Path, file: BinaryIO) -> BinaryIO | None:
    """Return the file with a shared lock; close it where another process fills or removes it."""
    # flock(2) replaces an exclusive lock by a shared one in two steps. A process that removes
    # abandoned files may come between them; then the file is filled again.
    if _is_locked(fcntl.LOCK_SH, file, path):
        return file
    file.close()
    return None


def _remove_abandoned(prefix: Path) -> None:
    """Remove the files whose paths begin with the prefix and that no process has locked."""
    for path in map(Path, glob.glob(f"{glob.escape(str(prefix))}*")):
        # Other processes remove them as well, and other users may have put anything there.
        with suppress(OSError), _open(path) as file:
            _remove_if_free(path, file)


def _remove_if_free(path: Path, file: BinaryIO) -> None:
    """Remove a file unless another process has locked it."""
    if _is_locked(fcntl.LOCK_EX, file, path):
        path.unlink()


def _open(path: Path, flags: int = 0) -> BinaryIO:
    """Open a file in a folder where others may write: no links, and no file of another user's."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    if os.fstat(descriptor).st_uid != os.geteuid():
        file.close()
        raise PermissionError(f"{path} belongs to another user")
    return file


def _is_locked(kind: int, file: BinaryIO, path: Path) -> bool:
    """Lock a file, and return whether this was possible and the file still lies at the path."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(file.fileno()))
    except (BlockingIOError, FileNotFoundError):
        return False
