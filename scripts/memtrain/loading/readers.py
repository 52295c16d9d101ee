"""How blocks of rows come from the disk: through a mapping, by reads, or by direct reads.

======  ==========================================================================================
reader  what it does
======  ==========================================================================================
mmap    Rows are used where they are mapped. The kernel is told what will be needed, waits for it
        in a reader thread, and is told afterwards what is not needed any more.
pread   Blocks are read into memory of our own. On network file systems a mapping would fetch page
        after page, and a file cut short by another machine would end the process.
direct  The same with O_DIRECT: the page cache is left to others.
======  ==========================================================================================

All give the same bytes, or an error that names the file and the byte.
"""

import ctypes
import mmap
import os
import threading
from collections.abc import Callable
from functools import cached_property

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.record_file import RecordLayout, check_size
from memtrain.system.file_systems import file_system_of

#: The page that addresses and sizes of direct reads, and advice to the kernel, are multiples of.
PAGE_BYTES = 4096

# Not in Python's mmap module: numbers of Linux.
_MAP_NORESERVE = 0x4000
_MADV_POPULATE_READ = 22

#: Runs of rows that are asked for whether they are in the page cache.
_RUNS_ASKED = 64

_libc = ctypes.CDLL(None, use_errno=True)


class RowFile:
    """A record file, held open for several threads to read from.

    Args:
        path: of the file.
        layout: of its rows.
        in_order: whether its rows will be read one after the other.

    Raises:
        UserError: where the file is missing or has another size than its layout says.
    """

    def __init__(self, path: str, layout: RecordLayout, in_order: bool = False):
        self.path, self.layout = path, layout
        check_size(path, layout)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Without this, the kernel reads megabytes ahead of every block.
        advice = os.POSIX_FADV_SEQUENTIAL if in_order else os.POSIX_FADV_RANDOM
        os.posix_fadvise(self.descriptor, 0, 0, advice)
        self.is_local = not file_system_of(path).is_network
        self._in_order = in_order
        self._mapping: mmap.mmap | None = None

    def close(self) -> None:
        """Close the file; rows that are still held stay mapped until they are dropped."""
        self._mapping = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    def mapped(self) -> np.ndarray:
        """Return the file's bytes where they are mapped, uint8 (bytes,).

        Whatever is written to them stays in this process.
        """
        if self._mapping is None:
            # Private, since tensors over read-only memory end the process when they are written
            # to; and without reserving memory for a copy that nobody makes.
            self._mapping = mmap.mmap(
                self.descriptor,
                max(1, self.layout.file_bytes),
                flags=mmap.MAP_PRIVATE | _MAP_NORESERVE,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
            )
            self._mapping.madvise(mmap.MADV_SEQUENTIAL if self._in_order else mmap.MADV_RANDOM)
        return np.frombuffer(self._mapping, np.uint8)

    def is_cached(self, starts: np.ndarray, ends: np.ndarray) -> bool:
        """Return whether runs of rows ``[start, end)`` lie in the page cache, asking for some."""
        asked = np.linspace(0, len(starts) - 1, min(len(starts), _RUNS_ASKED)).astype(np.int64)
        runs = np.stack([starts[asked], ends[asked]], axis=1) * self.layout.row_bytes
        ask = self._is_mapped_run_cached if self._may_ask_of_pages else self._are_ends_cached
        return all(ask(*run) for run in (runs + self.layout.offset).tolist())

    @cached_property
    def _may_ask_of_pages(self) -> bool:
        # Of a file that is neither ours nor writable, mincore says that all of it is cached.
        is_ours = os.fstat(self.descriptor).st_uid == os.geteuid()
        return is_ours or os.access(self.path, os.W_OK)

    def _is_mapped_run_cached(self, first: int, last: int) -> bool:
        start = first - first % mmap.PAGESIZE
        pages = np.zeros(-(-(last - start) // mmap.PAGESIZE), np.uint8)
        address = ctypes.c_void_p(_address(self.mapped()) + start)
        size, answer = ctypes.c_size_t(last - start), ctypes.c_void_p(_address(pages))
        return _libc.mincore(address, size, answer) == 0 and bool((pages & 1).all())

    def _are_ends_cached(self, first: int, last: int) -> bool:
        byte = bytearray(1)
        try:
            # A page that is not there is read ahead; so no more than two of a run are asked for.
            return all(
                os.preadv(self.descriptor, [byte], place, os.RWF_NOWAIT)
                for place in (first, last - 1)
            )
        except OSError:
            # Not at once (EAGAIN), or a file system that cannot tell.
            return False

    def require_size(self) -> None:
        """Raise UserError where the file has become shorter since it was opened.

        Touching mapped rows that are not there any more ends the process with SIGBUS, and the rest
        of the last page reads as zeros; so this is asked before rows are touched.
        """
        size = os.fstat(self.descriptor).st_size
        if size < self.layout.file_bytes:
            raise self.cut_short(size)

    def cut_short(self, place: int) -> UserError:
        """Return the error of a file from which nothing could be read at byte ``place``."""
        size = os.fstat(self.descriptor).st_size
        return UserError(
            f"{self.path}: there is nothing at byte {place:,}; the file has {size:,} "
            f"bytes, where it had {self.layout.file_bytes:,} when it was opened. Write it anew, "
            "and leave it alone while it is read."
        )

    def failed(self, place: int, error: OSError) -> UserError:
        """Return the error of a read at byte ``place`` that failed."""
        return UserError(
            f"{self.path}: reading at byte {place:,} failed ({error.strerror or error}). "
            "Look at the disk and at the kernel's log; if the file system is at fault, copy the "
            "file to another one."
        )


class PreadReader:
    """Reads blocks into memory of the caller's, through the page cache."""

    name = "pread"
    in_place = False

    def __init__(self, file: RowFile):
        self._file = file

    def load(self, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the file's bytes from ``place`` on.

        Raises:
            UserError: where a read fails or comes back short.
        """
        self._fill(self._file.descriptor, place, target)

    def close(self) -> None:
        """Give back what the reader holds."""

    def _fill(self, descriptor: int, place: int, target: np.ndarray, needed: int = 0) -> None:
        """Fill ``target``; of its bytes, the first ``needed`` must be there (all unless given)."""
        left, needed = memoryview(target), needed or len(target)
        while needed > 0:
            read = self._read(descriptor, left, place)
            if read == 0:
                raise self._file.cut_short(place)
            left, place, needed = left[read:], place + read, needed - read

    def _read(self, descriptor: int, target: memoryview, place: int) -> int:
        try:
            return os.preadv(descriptor, [target], place)
        except OSError as error:
            raise self._file.failed(place, error) from None


class DirectReader(PreadReader):
    """Reads blocks with O_DIRECT, past the page cache.

    Addresses and sizes of such reads are whole pages. A block that is not, or shall go to a place
    that is not, is read with its surroundings into a page-aligned scratch area, and copied.

    Raises:
        UserError: where the file system has no O_DIRECT.
    """

    name = "direct"

    def __init__(self, file: RowFile):
        super().__init__(file)
        self._scratch = threading.local()
        try:
            self._descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
        except OSError as error:
            raise UserError(
                f"{file.path}: it cannot be opened for direct reads ({error.strerror}); "
                f"its file system is {file_system_of(file.path).kind}. Use `reader: pread`, or "
                "auto."
            ) from None

    def load(self, place: int, target: np.ndarray) -> None:
        """Fill ``target``, uint8 (bytes,), with the file's bytes from ``place`` on."""
        if not (place % PAGE_BYTES or len(target) % PAGE_BYTES or _address(target) % PAGE_BYTES):
            self._fill(self._descriptor, place, target)
            return
        start = place - place % PAGE_BYTES
        end = place + len(target)
        scratch = self._scratch_of(-(-(end - start) // PAGE_BYTES) * PAGE_BYTES)
        self._fill(self._descriptor, start, scratch, needed=end - start)
        target[:] = scratch[place - start : end - start]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _scratch_of(self, size: int) -> np.ndarray:
        area = getattr(self._scratch, "area", None)
        if area is None or len(area) < size:
            area = self._scratch.area = aligned_bytes(size)
        return area[:size]


class MmapReader:
    """Brings blocks into the page cache, for their rows to be used where they are mapped."""

    name = "mmap"
    in_place = True

    def __init__(self, file: RowFile):
        self._file = file
        self._address = _address(file.mapped())
        self._populates = True

    def will_need(self, place: int, size: int) -> None:
        """Tell the kernel to begin with reading ``size`` bytes from byte ``place`` on."""
        self._advise(mmap.MADV_WILLNEED, place, size)

    def load(self, place: int, size: int) -> None:
        """Wait until ``size`` bytes from byte ``place`` on are in memory.

        Raises:
            UserError: where they cannot be read, or are not there any more.
        """
        self._file.require_size()
        try:
            if self._populates:
                self._advise(_MADV_POPULATE_READ, place, size)
                return
        except OSError as error:
            if error.errno != _EINVAL:
                self._file.require_size()
                raise self._file.failed(place, error) from None
            self._populates = False
        # Before Linux 5.14: a read waits, and tells of errors, as well.
        PreadReader(self._file).load(place, np.empty(size, np.uint8))

    def dont_need(self, place: int, size: int) -> None:
        """Tell the kernel that these bytes may go from this process's memory."""
        self._advise(mmap.MADV_DONTNEED, place, size)

    def close(self) -> None:
        """Give back what the reader holds."""

    def _advise(self, advice: int, place: int, size: int) -> None:
        # Not mmap.madvise, which keeps all other threads waiting for the disk.
        start = place - place % mmap.PAGESIZE
        pointer, length = ctypes.c_void_p(self._address + start), place + size - start
        if _libc.madvise(pointer, ctypes.c_size_t(length), advice):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


_EINVAL = 22

Reader = PreadReader | DirectReader | MmapReader
READERS: dict[str, Callable[[RowFile], Reader]] = {
    "mmap": MmapReader,
    "pread": PreadReader,
    "direct": DirectReader,
}


def choose_reader(setting: str, path: str) -> tuple[str, str]:
    """Return the name of the reader for a file, and why it was chosen.

    Args:
        setting: auto, mmap, pread or direct.
        path: of the file.
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


def aligned_bytes(size: int) -> np.ndarray:
    """Return memory that begins on a page, uint8 (size,); it is there once it is written to."""
    area = mmap.mmap(-1, max(1, size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # Rows are gathered from all over it: fewer, larger pages are found faster.
        area.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(area, np.uint8)[:size]


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
