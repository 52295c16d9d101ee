"""One training at a time per folder of checkpoints: a lock, and a note that says who holds it.

The lock is ``flock`` on the file ``lock`` in that folder. The kernel gives it up when its holder
ends, however it ends. Some shared file systems keep such locks on one node only, or have none. So
the holder also touches the file every few seconds: a training on another node that finds the file
touched again and again knows that its holder lives. No clocks are compared.
"""

import errno
import fcntl
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.system.process_identity import has_ended, is_of_this_machine, process_identity

LOCK_FILE = "lock"

#: Seconds between two signs of life of a holder.
_SECONDS_BETWEEN_TOUCHES = 5.0

#: Seconds without a sign of life after which a holder on another machine is gone.
SECONDS_UNTIL_GONE = 30.0

_WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LockHolder:
    """The training that holds a lock.

    Attributes:
        host: name of its machine.
        pid: its process.
        process: identity of this process; see ``process_identity``.
        parent: identity of the process that started it.
        recipe: digest of the training part of its recipe.
        job: id of its Slurm job; "" outside Slurm.
        started_at: local time at which it took the lock.
    """

    host: str
    pid: int
    process: str
    parent: str
    recipe: str
    job: str
    started_at: str

    @classmethod
    def of_this_process(cls, recipe: str) -> "LockHolder":
        """Return the note of this process."""
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            process=process_identity(),
            parent=process_identity(os.getppid()),
            recipe=recipe,
            job=os.environ.get("SLURM_JOB_ID", ""),
            started_at=datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        )

    @classmethod
    def read(cls, descriptor: int) -> "LockHolder | None":
        """Return the note in an open lock file; None if it is empty or damaged."""
        try:
            holder = cls(**json.loads(os.pread(descriptor, 1 << 16, 0)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        types = (str, int, str, str, str, str, str)
        are_right = all(map(isinstance, asdict(holder).values(), types))
        return holder if are_right else None

    def explain(self, folder: Path, recipe: str) -> str:
        """Return who trains already and what a user can do, for the training that has to leave."""
        other = "" if self.recipe == recipe else ", by another recipe"
        orphan = ""
        if has_ended(self.parent):
            orphan = " It is left over: the process that started it, Snakemake perhaps, was killed."
        stop = f"`scancel {self.job}`" if self.job else f"`kill {self.pid}` on {self.host}"
        return (
            f"{folder}: this split is being trained already{other}, by process {self.pid} on "
            f"{self.host} since {self.started_at}.{orphan} Wait until it has ended, or stop it "
            f"with {stop}: it saves its state, and the next training goes on from there."
        )


@contextmanager
def training_lock(folder: Path | None, recipe: str) -> Iterator[None]:
    """Hold the lock of a folder of checkpoints; at the end of the context it is given up.

    The lock of a holder that is gone is taken over. Where that holder ran on another machine, this
    is known after ``SECONDS_UNTIL_GONE`` without a sign of life.

    Args:
        folder: folder of the checkpoints, created if it is missing; None to lock nothing.
        recipe: digest of the training part of the recipe.

    Raises:
        UserError: if another training holds it, naming that training; if the lock cannot be made.
    """
    if folder is None:
        yield
        return
    path = folder / LOCK_FILE
    try:
        descriptor = _open_and_lock(path, recipe)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be made ({error.strerror}), so that nothing would keep a second "
            "training from writing into this folder. Make the folder writable, free space on its "
            "disk, or choose another --state."
        ) from None
    ended = threading.Event()
    toucher = threading.Thread(target=_touch, args=(descriptor, ended), daemon=True)
    toucher.start()
    try:
        yield
    finally:
        ended.set()
        toucher.join()
        with suppress(OSError):
            if _is_file_at(path, descriptor):
                path.unlink()
                # Holds nothing if the training failed before its first step.
                folder.rmdir()
        os.close(descriptor)


def training_in(folder: Path) -> str | None:
    """Return who trains in a folder of checkpoints, and what can be done; None if nobody does.

    Where the holder of the lock ran on another machine, this takes ``SECONDS_UNTIL_GONE``.

    Raises:
        UserError: if the lock cannot be read.
    """
    path = folder / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: it cannot be read ({error.strerror}).") from None
    try:
        _take(descriptor, path, "")
    except UserError as held:
        return str(held)
    finally:
        os.close(descriptor)
    return None


def _open_and_lock(path: Path, recipe: str) -> int:
    """Return the descriptor of the lock file, once this process holds the lock."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue  # The former holder has just removed the folder.
        try:
            gone = _take(descriptor, path, recipe)
            if gone is not None:
                _log.warning(
                    f"{path}: the lock of process {gone.pid} on {gone.host}, which is gone, is "
                    "taken over."
                )
            if _is_file_at(path, descriptor):
                note = json.dumps(asdict(LockHolder.of_this_process(recipe)))
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, note.encode(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The former holder removed the file between our opening and locking it.
        os.close(descriptor)


def _take(descriptor: int, path: Path, recipe: str) -> LockHolder | None:
    """Lock the open file, and return its holder that is gone, if there was one.

    Raises:
        UserError: if another training has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_locked = True
    except BlockingIOError:
        raise _held(LockHolder.read(descriptor), path, recipe) from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        is_locked = False
    holder = LockHolder.read(descriptor)
    if holder is None:
        return None
    if is_of_this_machine(holder.process):
        if not is_locked and not has_ended(holder.process):
            raise _held(holder, path, recipe)
    elif _is_touched(descriptor, holder):
        raise _held(holder, path, recipe)
    return holder


def _held(holder: LockHolder | None, path: Path, recipe: str) -> UserError:
    if holder is None:
        return UserError(
            f"{path.parent}: another process that does not say its name trains this split "
            f"already. `fuser {path}` names it; wait until it has ended, or stop it."
        )
    return UserError(holder.explain(path.parent, recipe))


def _is_touched(descriptor: int, holder: LockHolder) -> bool:
    """Watch whether a holder on another machine gives a sign of life."""
    _log.info(
        f"process {holder.pid} on {holder.host} has left a lock; looking for "
        f"{SECONDS_UNTIL_GONE:.0f} seconds whether it is alive"
    )
    seen = os.fstat(descriptor).st_mtime_ns
    end = time.monotonic() + SECONDS_UNTIL_GONE
    while time.monotonic() < end:
        time.sleep(min(1.0, SECONDS_UNTIL_GONE / 10))
        if os.fstat(descriptor).st_mtime_ns != seen:
            return True
    return False


def _touch(descriptor: int, ended: threading.Event) -> None:
    """Give signs of life until the training has ended."""
    while not ended.wait(_SECONDS_BETWEEN_TOUCHES):
        with suppress(OSError):
            os.utime(descriptor)


def _is_file_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False
