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
from collections.abc import Callable, Iterable

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.streams.open_files import OpenFiles, failed_read
from memtrain.loading.field_files import FieldFiles
from memtrain.loading.pages import (
    MADV_POPULATE_READ,
    PAGE_BYTES,
    address_of,
    advise,
    aligned_bytes,
)
from memtrain.system.file_systems import file_system_of


class CopyingReader(ABC):
    """Reads blocks into the caller's memory.

    Args:
        field: the files to read.
    """

    def __init__(self, field: FieldFiles):
        self._files = field.files

    @abstractmethod
    def load(self, file: int, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the bytes of a file from byte ``place`` on.

        Raises:
            UserError: if a read fails or ends too early.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what the reader holds."""


class PreadReader(CopyingReader):
    """Reads blocks through the page cache."""

    def load(self, file: int, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the bytes of a file from byte ``place`` on."""
        self._files.read(file, place, target.data)

    def close(self) -> None:
        """Release nothing: the descriptors belong to the field."""


class DirectReader(CopyingReader):
    """Reads blocks with O_DIRECT, past the page cache.

    Such reads need memory addresses, places in the file and sizes that are multiples of a page. For
    any other block, all pages that it touches are read into aligned scratch memory, and the block
    is copied from there.

    Args:
        field: the files to read.

    Raises:
        UserError: if the file system has no O_DIRECT.
    """

    def __init__(self, field: FieldFiles):
        super().__init__(field)
        self._scratch = threading.local()
        stream = field.field.stream
        path = stream.paths[0]
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT))
        except OSError as error:
            raise UserError(
                f"{path}: this file cannot be opened for direct reads "
                f"({error.strerror}); its file system is {file_system_of(path).kind}. Use "
                "`reader: pread`, or auto."
            ) from None
        self._direct = OpenFiles(
            stream.paths, stream.sizes.tolist(), most=field.most_open, flags=os.O_DIRECT
        )
        if len(stream.paths) == 1:
            # Once it is open, the file can be replaced by another one.
            self._direct.require_size(0)

    def load(self, file: int, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the bytes of a file from byte ``place`` on."""
        if not (place % PAGE_BYTES or len(target) % PAGE_BYTES or address_of(target) % PAGE_BYTES):
            self._direct.read(file, place, target.data)
            return
        start = place - place % PAGE_BYTES
        end = place + len(target)
        scratch = self._scratch_memory(-(-(end - start) // PAGE_BYTES) * PAGE_BYTES)
        self._direct.read(file, start, scratch.data, needed=end - start)
        target[:] = scratch[place - start : end - start]

    def close(self) -> None:
        """Close the files."""
        self._direct.close()

    def _scratch_memory(self, size: int) -> np.ndarray:
        """Return ``size`` bytes of this thread's scratch memory."""
        memory = getattr(self._scratch, "memory", None)
        if memory is None or len(memory) < size:
            memory = aligned_bytes(size)
            self._scratch.memory = memory
        return memory[:size]


class MmapReader:
    """Brings blocks into the page cache, so that their rows can be used where they are mapped.

    Files that cannot be mapped are read instead; see ``stream_mapping``.

    Args:
        field: the files to read.
    """

    def __init__(self, field: FieldFiles):
        self._field = field
        self._can_populate = True

    def will_need(self, file: int, place: int, size: int) -> None:
        """Tell the kernel to start reading ``size`` bytes from byte ``place`` of a file on."""
        advise(mmap.MADV_WILLNEED, self._field.mapped().address(file, place), size)

    def wait_for(self, file: int, place: int, size: int) -> None:
        """Wait until ``size`` bytes from byte ``place`` of a file on are in memory.

        Raises:
            UserError: if they cannot be read, or are gone.
        """
        files = self._field.files
        files.require_size(file)
        try:
            if self._can_populate:
                advise(MADV_POPULATE_READ, self._field.mapped().address(file, place), size)
                return
        except OSError as error:
            if error.errno != errno.EINVAL:
                files.require_size(file)
                raise failed_read(self._field.field.stream.paths[file], place, error) from None
            # Linux before 5.14 does not know this advice.
            self._can_populate = False
        # An ordinary read also waits for the disk and reports errors.
        files.read(file, place, memoryview(bytearray(size)))

    def dont_need(self, file: int, place: int, size: int) -> None:
        """Tell the kernel that this process does not need these bytes any more."""
        advise(mmap.MADV_DONTNEED, self._field.mapped().address(file, place), size)

    def close(self) -> None:
        """Release nothing: the mapping belongs to the field."""


Reader = CopyingReader | MmapReader

READERS: dict[str, Callable[[FieldFiles], Reader]] = {
    "mmap": MmapReader,
    "pread": PreadReader,
    "direct": DirectReader,
}


def open_reader(name: str, field: FieldFiles) -> Reader:
    """Return the reader of a name; one that reads where files cannot be mapped."""
    is_unmappable = name == "mmap" and not field.can_be_mapped
    return PreadReader(field) if is_unmappable else READERS[name](field)


def choose_reader(setting: str, paths: Iterable[str]) -> tuple[str, str]:
    """Return the name of the reader for some files, and the reason for the choice.

    Args:
        setting: auto, mmap, pread or direct.
        paths: a path in each folder of the files.

    Raises:
        UserError: for any other setting.
    """
    if setting != "auto":
        if setting not in READERS:
            raise UserError(f"reader: found {setting!r}; known are auto, mmap, pread and direct.")
        return setting, "as set"
    where = ""
    for path in paths:
        system = file_system_of(path)
        where = f"{path} lies on {system.kind}, mounted at {system.mount_point}"
        if system.is_network:
            return "pread", f"{where}: a network or parallel file system"
    return "mmap", f"{where}: a local file system"
