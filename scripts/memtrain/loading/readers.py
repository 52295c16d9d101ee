"""Three ways to bring blocks of rows from the disk: a mapping, reads, or direct reads.

======  ==========================================================================================
reader  what it does
======  ==========================================================================================
mmap    Rows are used where they are mapped. The kernel is told which blocks will be needed, a
        reader thread waits for them, and the kernel is told afterwards that it may drop them.
pread   Blocks are copied into the loader's memory. On a network file system, a mapping would fetch
        one page after the other, and a file cut short by another machine would end the process.
direct  As pread, but with O_DIRECT, which leaves the page cache to other programs.
======  ==========================================================================================

All give the same bytes, or an error that names the file and the byte.
"""

import errno
import mmap
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from memtrain.core.errors import UserError
from memtrain.loading.pages import (
    MADV_POPULATE_READ,
    PAGE_BYTES,
    address_of,
    advise,
    aligned_bytes,
)
from memtrain.loading.row_file import RowFile
from memtrain.system.file_systems import file_system_of


class CopyingReader(ABC):
    """Reads blocks into the caller's memory.

    Args:
        file: the file to read.
    """

    def __init__(self, file: RowFile):
        self._file = file

    @abstractmethod
    def load(self, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the file's bytes from byte ``place`` on.

        Raises:
            UserError: if a read fails or ends too early.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what the reader holds."""


class PreadReader(CopyingReader):
    """Reads blocks through the page cache."""

    def load(self, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the file's bytes from byte ``place`` on."""
        _fill(self._file, self._file.descriptor, place, target)

    def close(self) -> None:
        """Release nothing: the descriptor belongs to the file."""


class DirectReader(CopyingReader):
    """Reads blocks with O_DIRECT, past the page cache.

    Such reads need memory addresses, places in the file and sizes that are multiples of a page. For
    any other block, all pages that it touches are read into aligned scratch memory, and the block
    is copied from there.

    Args:
        file: the file to read.

    Raises:
        UserError: if the file system has no O_DIRECT.
    """

    def __init__(self, file: RowFile):
        super().__init__(file)
        self._scratch = threading.local()
        try:
            self._descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
        except OSError as error:
            raise UserError(
                f"{file.path}: this file cannot be opened for direct reads "
                f"({error.strerror}); its file system is {file_system_of(file.path).kind}. Use "
                "`reader: pread`, or auto."
            ) from None

    def load(self, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the file's bytes from byte ``place`` on."""
        if not (place % PAGE_BYTES or len(target) % PAGE_BYTES or address_of(target) % PAGE_BYTES):
            _fill(self._file, self._descriptor, place, target)
            return
        start = place - place % PAGE_BYTES
        end = place + len(target)
        scratch = self._scratch_memory(-(-(end - start) // PAGE_BYTES) * PAGE_BYTES)
        _fill(self._file, self._descriptor, start, scratch, needed=end - start)
        target[:] = scratch[place - start : end - start]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _scratch_memory(self, size: int) -> np.ndarray:
        """Return ``size`` bytes of this thread's scratch memory."""
        memory = getattr(self._scratch, "memory", None)
        if memory is None or len(memory) < size:
            memory = aligned_bytes(size)
            self._scratch.memory = memory
        return memory[:size]


class MmapReader:
    """Brings blocks into the page cache, so that their rows can be used where they are mapped.

    Args:
        file: the file to read.
    """

    def __init__(self, file: RowFile):
        self._file = file
        self._address = address_of(file.mapped())
        self._can_populate = True

    def will_need(self, place: int, size: int) -> None:
        """Tell the kernel to start reading ``size`` bytes from byte ``place`` on."""
        advise(mmap.MADV_WILLNEED, self._address + place, size)

    def wait_for(self, place: int, size: int) -> None:
        """Wait until ``size`` bytes from byte ``place`` on are in memory.

        Raises:
            UserError: if they cannot be read, or are gone.
        """
        self._file.require_size()
        try:
            if self._can_populate:
                advise(MADV_POPULATE_READ, self._address + place, size)
                return
        except OSError as error:
            if error.errno != errno.EINVAL:
                self._file.require_size()
                raise self._file.failed_read_error(place, error) from None
            # Linux before 5.14 does not know this advice.
            self._can_populate = False
        # An ordinary read also waits for the disk and reports errors.
        _fill(self._file, self._file.descriptor, place, np.empty(size, np.uint8))

    def dont_need(self, place: int, size: int) -> None:
        """Tell the kernel that this process does not need these bytes any more."""
        advise(mmap.MADV_DONTNEED, self._address + place, size)

    def close(self) -> None:
        """Release nothing: the mapping belongs to the file."""


Reader = CopyingReader | MmapReader

READERS: dict[str, Callable[[RowFile], Reader]] = {
    "mmap": MmapReader,
    "pread": PreadReader,
    "direct": DirectReader,
}


def choose_reader(setting: str, path: str) -> tuple[str, str]:
    """Return the name of the reader for a file, and the reason for the choice.

    Args:
        setting: auto, mmap, pread or direct.
        path: the path of the file.

    Raises:
        UserError: for any other setting.
    """
    if setting != "auto":
        if setting not in READERS:
            raise UserError(f"reader: found {setting!r}; known are auto, mmap, pread and direct.")
        return setting, "as set"
    system = file_system_of(path)
    where = f"{path} lies on {system.kind}, mounted at {system.mount_point}"
    if system.is_network:
        return "pread", f"{where}: a network or parallel file system"
    return "mmap", f"{where}: a local file system"


def _fill(
    file: RowFile, descriptor: int, place: int, target: np.ndarray, needed: int | None = None
) -> None:
    """Fill memory with the bytes of a file, by as many reads as it takes.

    Args:
        file: the file, for errors.
        descriptor: the open file to read.
        place: the first byte.
        target: the memory to fill, uint8 (bytes,).
        needed: number of bytes that must be read, since the file may end before the memory is
            full; all if not given.
    """
    left = target.data
    missing = len(target) if needed is None else needed
    while missing > 0:
        try:
            read = os.preadv(descriptor, [left], place)
        except OSError as error:
            raise file.failed_read_error(place, error) from None
        if read == 0:
            raise file.cut_short_error(place)
        left = left[read:]
        place += read
        missing -= read
