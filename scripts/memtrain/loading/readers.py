"""Three ways to bring blocks of rows from the disk: a mapping, reads, or direct reads.

======  ==========================================================================================
reader  what it does
======  ==========================================================================================
mmap    Rows are used where they are mapped. The kernel is told which blocks will be needed, a
        reader thread waits for them, and the kernel is told afterwards that this process does not
        need them any more.
pread   Blocks are copied into the loader's memory. On a network file system, a mapping would fetch
        one page after the other, and a file cut short by another machine would end the process.
direct  As pread, but with O_DIRECT, which leaves the page cache to other programs.
======  ==========================================================================================

All give the same bytes, or an error that names the file and the byte. Where the page cache cannot
keep the rows, mmap and pread give up pages as soon as their rows are in memory or were used.
"""

import errno
import logging
import mmap
import os
import threading
from abc import ABC, abstractmethod

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
    huge_page_bytes,
)
from memtrain.system.file_systems import file_system_of

#: Parts of scratch memory that are allocated together: most loaders have as many reader threads.
_SCRATCH_PARTS = 8

_log = logging.getLogger(__name__)


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
    """Reads blocks through the page cache.

    Args:
        field: the files to read.
        keeps_pages: whether the page cache may keep what was read.
    """

    def __init__(self, field: FieldFiles, keeps_pages: bool = True):
        super().__init__(field)
        self._keeps_pages = keeps_pages

    def load(self, file: int, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the bytes of a file from byte ``place`` on."""
        self._files.read(file, place, target.data)
        if not self._keeps_pages:
            self._files.give_up(file, place, len(target))

    def close(self) -> None:
        """Release nothing: the descriptors belong to the field."""


class DirectReader(CopyingReader):
    """Reads blocks with O_DIRECT, past the page cache.

    Such reads need memory addresses, places in the file and sizes that are multiples of a page. For
    any other block, all pages that it touches are read into aligned scratch memory, and the block
    is copied from there. Files that refuse direct reads are read through the page cache, which does
    not keep them.

    Args:
        field: the files to read.
    """

    def __init__(self, field: FieldFiles):
        super().__init__(field)
        self._scratch = _Scratch()
        self._paths = field.field.stream.paths
        self._buffered = PreadReader(field, keeps_pages=False)
        self._refusing: set[int] = set()
        self._told: set[str] = set()
        sizes = field.field.stream.sizes.tolist()
        self._direct = OpenFiles(self._paths, sizes, most=field.most_open, flags=os.O_DIRECT)
        if len(self._paths) == 1:
            # Once it is open, the file can be replaced by another one.
            try:
                self._direct.require_size(0)
            except UserError:
                if direct_refusal(self._paths[0]) is None:
                    raise

    def load(self, file: int, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the bytes of a file from byte ``place`` on."""
        if file not in self._refusing:
            try:
                self._load_directly(file, place, target)
                return
            except UserError:
                refusal = direct_refusal(self._paths[file])
                if refusal is None:
                    raise
                self._note_refusal(file, refusal)
        self._buffered.load(file, place, target)

    def _load_directly(self, file: int, place: int, target: np.ndarray) -> None:
        if not (place % PAGE_BYTES or len(target) % PAGE_BYTES or address_of(target) % PAGE_BYTES):
            self._direct.read(file, place, target.data)
            return
        start = place - place % PAGE_BYTES
        end = place + len(target)
        scratch = self._scratch.memory(-(-(end - start) // PAGE_BYTES) * PAGE_BYTES)
        self._direct.read(file, start, scratch.data, needed=end - start)
        target[:] = scratch[place - start : end - start]

    def _note_refusal(self, file: int, refusal: str) -> None:
        """Note that a file refuses direct reads, and tell it once for its file system."""
        self._refusing.add(file)
        mount_point = file_system_of(self._paths[file]).mount_point
        if mount_point not in self._told:
            self._told.add(mount_point)
            _log.info(
                f"{self._paths[file]}: files below {mount_point} are read through the page cache, "
                f"since direct reads are refused there ({refusal})"
            )

    def close(self) -> None:
        """Close the files."""
        self._direct.close()


class _Scratch:
    """Memory for every thread to read whole pages into: parts of huge pages."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._lock = threading.Lock()
        self._unused = np.empty(0, np.uint8)

    def memory(self, size: int) -> np.ndarray:
        """Return memory of this thread, uint8 (size,), that begins on a page.

        Args:
            size: number of bytes, a multiple of the size of a page.
        """
        memory = getattr(self._own, "memory", None)
        if memory is None or len(memory) < size:
            memory = self._own.memory = self._part(size)
        return memory[:size]

    def _part(self, size: int) -> np.ndarray:
        """Return memory that no thread has yet, uint8 (size,)."""
        with self._lock:
            if len(self._unused) < size:
                self._unused = huge_page_bytes(size * _SCRATCH_PARTS)
            part, self._unused = self._unused[:size], self._unused[size:]
        return part


class MmapReader:
    """Brings blocks into the page cache, so that their rows can be used where they are mapped.

    Files that cannot be mapped are read instead; see ``stream_mapping``.

    Args:
        field: the files to read.
        keeps_pages: whether the page cache may keep pages whose rows were used.
    """

    def __init__(self, field: FieldFiles, keeps_pages: bool = True):
        self._field = field
        self._keeps_pages = keeps_pages
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
        if not self._keeps_pages:
            self._field.files.give_up(file, place, size)

    def close(self) -> None:
        """Release nothing: the mapping belongs to the field."""


Reader = CopyingReader | MmapReader

READERS = ("mmap", "pread", "direct")


class FieldReaders:
    """The readers of a field.

    Args:
        field: the files to read.
        may_be_direct: whether direct reads may be asked for. The file is opened for them at once,
            so that it is the same file whenever they begin.
    """

    def __init__(self, field: FieldFiles, may_be_direct: bool):
        self._field = field
        self._direct = DirectReader(field) if may_be_direct else None

    def reader(self, name: str, keeps_pages: bool) -> Reader:
        """Return a reader; one that reads where files cannot be mapped.

        Args:
            name: mmap, pread or direct.
            keeps_pages: whether the page cache may keep what goes through it.
        """
        if name == "direct":
            assert self._direct is not None, "direct reads were not announced"
            return self._direct
        if name == "mmap" and self._field.can_be_mapped:
            return MmapReader(self._field, keeps_pages)
        return PreadReader(self._field, keeps_pages)

    def close(self) -> None:
        """Close the files that are open for direct reads."""
        if self._direct is not None:
            self._direct.close()


def direct_refusal(path: str) -> str | None:
    """Return why direct reads of a file are refused; None if they are not, or it cannot be opened.

    One page is read: some file systems allow the flag and refuse the reads.
    """
    page = aligned_bytes(PAGE_BYTES)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_DIRECT)
        try:
            os.preadv(descriptor, [page.data], 0)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, PermissionError):
        return None
    except OSError as error:
        return error.strerror or str(error)
    return None
