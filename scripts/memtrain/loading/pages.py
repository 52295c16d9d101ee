"""Pages of memory: allocation, the page cache, and advice to the Linux kernel."""

import ctypes
import mmap
import os
import sys
from functools import cache
from typing import Any

import numpy as np

from memtrain.core.errors import UserError

#: The page size that blocks, direct reads and advice to the kernel are aligned to.
PAGE_BYTES = 4096

#: The usual size of a huge page.
HUGE_PAGE_BYTES = 2 << 20

# Constants of Linux that Python's mmap module lacks.
MAP_FIXED = 0x10
MAP_NORESERVE = 0x4000
MADV_POPULATE_READ = 22


def require_linux(what: str) -> None:
    """Refuse to go on where the kernel is not Linux.

    Args:
        what: name of the class or function that needs Linux, for the message.

    Raises:
        UserError: on any other system.
    """
    if sys.platform != "linux":
        raise UserError(
            f"{what} needs Linux (madvise, mincore, posix_fadvise, O_DIRECT), but this system is "
            f"{sys.platform}. Use a torch.utils.data.DataLoader over the MemmapDataset, which "
            "works on any system."
        )


def aligned_bytes(size: int) -> np.ndarray:
    """Return page-aligned memory, uint8 (size,); a page is allocated when it is first written."""
    area = mmap.mmap(-1, max(1, size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # Rows are gathered from all over this memory, and the processor finds large pages faster.
        area.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(area, np.uint8)[:size]


def huge_page_bytes(size: int) -> np.ndarray:
    """Return memory, uint8 (size,), that begins on a huge page, where the kernel has one to give.

    To the disk, a huge page is one piece of memory, and each small page is another one.
    """
    whole_pages = -(-size // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
    memory = aligned_bytes(whole_pages + HUGE_PAGE_BYTES)
    start = -address_of(memory) % HUGE_PAGE_BYTES
    return memory[start : start + size]


class MappedRange:
    """A range of addresses that files can be mapped into; unmapped when nothing uses it any more.

    Args:
        size: the number of bytes.

    Attributes:
        address: the first address.
    """

    def __init__(self, size: int):
        self.size = size
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        self.address = _map(None, size, mmap.PROT_READ, flags, -1)

    def map_file(self, place: int, size: int, descriptor: int) -> None:
        """Map a whole file; writing to the mapped bytes does not change it.

        Args:
            place: where it begins in the range, a multiple of the size of a page.
            size: its size in bytes.
            descriptor: the open file, which can be closed afterwards.

        Raises:
            OSError: if the kernel refuses.
        """
        # A private mapping is writable: writing to a tensor over read-only memory would end the
        # process. MAP_NORESERVE sets no memory aside for copies that nobody makes.
        flags = mmap.MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        _map(self.address + place, size, protection, flags, descriptor)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "typestr": "|u1",
            "shape": (self.size,),
            "data": (self.address, False),
        }

    def __del__(self) -> None:
        if hasattr(self, "address"):
            _libc().munmap(ctypes.c_void_p(self.address), ctypes.c_size_t(self.size))


def _map(address: int | None, size: int, protection: int, flags: int, descriptor: int) -> int:
    """Call ``mmap(2)``, and return the address of the new mapping."""
    found = _libc().mmap(
        ctypes.c_void_p(address),
        ctypes.c_size_t(size),
        protection,
        flags,
        descriptor,
        ctypes.c_long(0),
    )
    if found in (None, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def address_of(array: np.ndarray) -> int:
    """Return the address at which the memory of an array begins."""
    return array.__array_interface__["data"][0]


def are_resident(address: int, size: int) -> bool:
    """Return whether mapped bytes are in memory, so that touching them need not wait for the disk.

    Args:
        address: an address of mapped memory.
        size: the number of bytes from there on.
    """
    start = address - address % mmap.PAGESIZE
    length = address + size - start
    pages = np.zeros(-(-length // mmap.PAGESIZE), np.uint8)
    failed = _libc().mincore(
        ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_void_p(address_of(pages))
    )
    # The kernel sets the lowest bit of a byte for every page; the other bits are reserved.
    return not failed and bool((pages & 1).all())


def advise(advice: int, address: int, size: int) -> None:
    """Tell the kernel how mapped bytes will be used, by ``madvise``.

    ``mmap.mmap.madvise`` is not used, since it holds Python's global lock while it waits for the
    disk, and so stops all other threads.

    Args:
        advice: a number such as ``mmap.MADV_WILLNEED``.
        address: an address of mapped memory.
        size: the number of bytes from there on.

    Raises:
        OSError: if the kernel refuses, or cannot read the pages.
    """
    start = address - address % mmap.PAGESIZE
    length = address + size - start
    if _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), advice):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _libc() -> Any:
    # Loaded at the first use: this module can be imported on systems that have no such library.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    return libc
