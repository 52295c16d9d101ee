"""Keeps a few of many files open for several threads to read."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from memtrain.core.errors import UserError

#: Most descriptors that are kept: far below the limit of a process, which is often 1,024.
MOST_OPEN_FILES = 64


@dataclass
class _OpenFile:
    """A descriptor, and how many threads use it at the moment."""

    descriptor: int
    users: int = 0


class OpenFiles:
    """Opens files when they are first read, and closes those that were not read for the longest.

    Every file is compared with the size that it had when it was described, each time it is opened.

    Args:
        paths: the paths of the files.
        sizes: their sizes in bytes.
        most: most descriptors that are kept while no thread uses them.
        flags: further flags of ``open(2)``, such as ``O_DIRECT``.
    """

    def __init__(
        self,
        paths: Sequence[str],
        sizes: Sequence[int],
        most: int = MOST_OPEN_FILES,
        flags: int = 0,
    ):
        self._paths = paths
        self._sizes = sizes
        self._most = most
        self._flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags
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
                opened = self._open[file] = _OpenFile(self._opened(file))
            self._open.move_to_end(file)
            opened.users += 1
            self._close_unused()
        try:
            yield opened.descriptor
        finally:
            with self._lock:
                opened.users -= 1

    def read(self, file: int, place: int, target: memoryview) -> None:
        """Fill memory with the bytes of a file, by as many reads as it takes.

        Args:
            file: number of the file.
            place: the first byte.
            target: the memory to fill.

        Raises:
            UserError: naming the file and the byte, where it cannot be read or ends too early.
        """
        with self.descriptor(file) as descriptor:
            while target:
                try:
                    count = os.preadv(descriptor, [target], place)
                except OSError as error:
                    raise UserError(
                        f"{self._paths[file]}: reading at byte {place:,} failed "
                        f"({error.strerror or error}). Look at the disk and at the kernel's log; "
                        "if the file system is at fault, copy the file to another one."
                    ) from None
                if count == 0:
                    raise self._other_size(file, os.fstat(descriptor).st_size)
                target, place = target[count:], place + count

    def _opened(self, file: int) -> int:
        path = self._paths[file]
        try:
            descriptor = os.open(path, self._flags)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"{path}: this file cannot be opened any more ({reason}). Bring it back as it was; "
                "or, if it was meant to go, take it out of the configuration."
            ) from None
        size = os.fstat(descriptor).st_size
        if size != self._sizes[file]:
            os.close(descriptor)
            raise self._other_size(file, size)
        return descriptor

    def _other_size(self, file: int, size: int) -> UserError:
        described = int(self._sizes[file])
        state = f"it ends at byte {size:,}" if size < described else f"it has {size:,} bytes"
        return UserError(
            f"{self._paths[file]}: {state}, but it had {described:,} bytes when the rows were "
            "described. Bring it back as it was; or, if the change was meant, run the workflow "
            "again, which describes the rows anew."
        )

    def _close_unused(self) -> None:
        for file in list(self._open):
            if len(self._open) <= self._most:
                return
            if self._open[file].users == 0:
                os.close(self._open.pop(file).descriptor)
