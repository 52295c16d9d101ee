"""Keeps a few of many files open for several threads to read."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from memtrain.core.errors import UserError

#: Most descriptors that are kept: far below the limit of a process, which is often 1,024.
MOST_OPEN_FILES = 64

_PAGE_BYTES = 4096


@dataclass
class _OpenFile:
    """A descriptor, and how many threads use it at the moment."""

    descriptor: int
    users: int = 0


class OpenFiles:
    """Opens files when they are first read, and closes those that were not read for the longest.

    Every file is compared with the size that it had when it was described, each time it is opened,
    and from the second time on with the file that was opened first.

    Args:
        paths: the paths of the files.
        sizes: their sizes in bytes.
        most: most descriptors that are kept while no thread uses them.
        flags: further flags of ``open(2)``, such as ``O_DIRECT``.
        advice: advice to the kernel on how the files are read, such as ``POSIX_FADV_RANDOM``; None
            for no advice.
    """

    def __init__(
        self,
        paths: Sequence[str],
        sizes: Sequence[int],
        most: int = MOST_OPEN_FILES,
        flags: int = 0,
        advice: int | None = None,
    ):
        self._paths = paths
        self._sizes = sizes
        self._most = most
        self._flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags
        self._advice = advice
        self._first_opened: dict[int, tuple[int, ...]] = {}
        self._open: OrderedDict[int, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for opened in self._open.values():
                os.close(opened.descriptor)
            self._open.clear()

    @contextmanager
    def descriptor(self, file: int) -> Iterator[int]:
        """Yield the descriptor of a file, which stays open for as long.

        Args:
            file: number of the file.

        Raises:
            UserError: where the file is gone, cannot be opened, or has another size.
        """
        with self._lock:
            opened = self._open.get(file)
            if opened is None:
                self._make_room()
                opened = self._open[file] = _OpenFile(self._opened(file))
            self._open.move_to_end(file)
            opened.users += 1
        try:
            yield opened.descriptor
        finally:
            with self._lock:
                opened.users -= 1

    def read(self, file: int, place: int, target: memoryview, needed: int | None = None) -> None:
        """Fill memory with the bytes of a file, by as many reads as it takes.

        Args:
            file: number of the file.
            place: the first byte.
            target: the memory to fill.
            needed: number of bytes that must be read, since the file may end before the memory is
                full; all if not given.

        Raises:
            UserError: naming the file and the byte, where it cannot be read or ends too early.
        """
        missing = len(target) if needed is None else needed
        with self.descriptor(file) as descriptor:
            while missing > 0:
                try:
                    count = os.preadv(descriptor, [target], place)
                except OSError as error:
                    raise failed_read(self._paths[file], place, error) from None
                if count == 0:
                    raise self._nothing_at(file, place, os.fstat(descriptor).st_size)
                target, place, missing = target[count:], place + count, missing - count

    def give_up(self, file: int, place: int, size: int) -> None:
        """Tell the kernel that bytes of a file need not stay in the page cache.

        Pages that a process has mapped stay there.

        Args:
            file: number of the file.
            place: the first byte.
            size: number of bytes; all pages that they touch are given up.
        """
        start = place - place % _PAGE_BYTES
        end = -(-(place + size) // _PAGE_BYTES) * _PAGE_BYTES
        # It is advice: a file system that does not take it is no reason to stop.
        with self.descriptor(file) as descriptor, suppress(OSError):
            os.posix_fadvise(descriptor, start, end - start, os.POSIX_FADV_DONTNEED)

    def require_size(self, file: int) -> None:
        """Raise an error if a file has become shorter since it was described.

        Call this before mapped bytes are touched: touching bytes that are gone ends the process
        with SIGBUS, and the rest of the last page reads as zeros.

        Args:
            file: number of the file.

        Raises:
            UserError: naming the file and both sizes.
        """
        with self.descriptor(file) as descriptor:
            self.require_open_size(file, descriptor)

    def require_open_size(self, file: int, descriptor: int) -> None:
        """Raise the error of ``require_size`` for a file whose descriptor is at hand."""
        size = os.fstat(descriptor).st_size
        if size < self._sizes[file]:
            raise self._nothing_at(file, size, size)

    def require_sizes(self, files: Iterable[int]) -> None:
        """Raise an error if one of many files has become shorter since it was described.

        The files are found by their names and are not opened, which would take ten times as long.

        Args:
            files: numbers of the files.

        Raises:
            UserError: naming the file and both sizes.
        """
        for file in files:
            try:
                size = os.stat(self._paths[file]).st_size
            except OSError as error:
                raise self._cannot_be_opened(file, error) from None
            if size < self._sizes[file]:
                raise self._nothing_at(file, size, size)

    def _opened(self, file: int) -> int:
        try:
            descriptor = os.open(self._paths[file], self._flags)
        except OSError as error:
            raise self._cannot_be_opened(file, error) from None
        try:
            self._require_same(file, os.fstat(descriptor))
            if self._advice is not None:
                os.posix_fadvise(descriptor, 0, 0, self._advice)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _require_same(self, file: int, found: os.stat_result) -> None:
        """Refuse a file of another size than was described, or another file than was opened."""
        described = self._sizes[file]
        if found.st_size != described:
            state = "cut short" if found.st_size < described else "larger than that"
            raise UserError(
                f"{self._paths[file]}: it has {found.st_size:,} bytes, but it had {described:,} "
                f"bytes when its rows were described; it is {state}. Bring it back as it was; or, "
                "if the change was meant, describe the rows again (the workflow does, when it is "
                "run again)."
            )
        identity = file_identity(found)
        if self._first_opened.setdefault(file, identity) != identity:
            raise UserError(
                f"{self._paths[file]}: it was replaced or written while it was read. Bring it back "
                "as it was, and do not change it while it is read."
            )

    def _cannot_be_opened(self, file: int, error: OSError) -> UserError:
        remedy = (
            "Make it readable for the user who runs this, and the folders above it passable"
            if isinstance(error, PermissionError)
            else "Bring it back as it was; or, if it was meant to go, take it out of the "
            "configuration"
        )
        return UserError(
            f"{self._paths[file]}: this file cannot be opened any more "
            f"({error.strerror or error}). {remedy}."
        )

    def _nothing_at(self, file: int, place: int, size: int) -> UserError:
        return UserError(
            f"{self._paths[file]}: there is nothing at byte {place:,}; the file has {size:,} "
            f"bytes, but it had {self._sizes[file]:,} when it was opened. Write it again, and do "
            "not change it while it is read."
        )

    def _make_room(self) -> None:
        """Close files that no thread uses, until one more can be opened."""
        for file in list(self._open):
            if len(self._open) < self._most:
                return
            if self._open[file].users == 0:
                os.close(self._open.pop(file).descriptor)


def file_identity(found: os.stat_result) -> tuple[int, ...]:
    """Return what a file is known by: it changes when the file is replaced or written."""
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def failed_read(path: str, place: int, error: OSError) -> UserError:
    """Return the error for a read at byte ``place`` of a file that failed."""
    return UserError(
        f"{path}: reading at byte {place:,} failed ({error.strerror or error}). Look at the disk "
        "and at the kernel's log; if the file system is at fault, copy the file to another one."
    )
