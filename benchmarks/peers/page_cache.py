"""The page cache: dropping files from it, and looking what is left there."""

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

_libc = ctypes.CDLL(None, use_errno=True)


def drop(files: Iterable[Path]) -> None:
    """Drop the pages of files; those that were not written yet are written first."""
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_bytes(files: Iterable[Path]) -> int:
    """Return how many bytes of files are in the page cache, in whole pages."""
    return sum(_cached_pages(file) for file in files) * mmap.PAGESIZE


def _cached_pages(file: Path) -> int:
    size = file.stat().st_size
    if not size:
        return 0
    # Mapped and never touched: mincore tells of pages of the file, and not of this mapping.
    mapped = np.memmap(file, np.uint8, "r")
    resident = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
    if _libc.mincore(_pointer(mapped), ctypes.c_size_t(size), _pointer(resident)):
        raise OSError(ctypes.get_errno(), f"mincore of {file}")
    return int(np.count_nonzero(resident & 1))


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
