"""The page cache: drops files from it, and counts what is left there."""

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

_libc = ctypes.CDLL(None, use_errno=True)


def drop(files: Iterable[Path]) -> None:
    """Drop the pages of files, after pages that are not on the disk yet are written."""
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_bytes(files: Iterable[Path]) -> int:
    """Return the bytes of files in the page cache, in whole pages."""
    return sum(_cached_pages(file) for file in files) * mmap.PAGESIZE


def _cached_pages(file: Path) -> int:
    size = file.stat().st_size
    if not size:
        return 0
    # The mapping is never touched, so that mincore reports what was in the page cache before.
    mapped = np.memmap(file, np.uint8, "r")
    resident = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
    if _libc.mincore(_pointer(mapped), ctypes.c_size_t(size), _pointer(resident)):
        raise OSError(ctypes.get_errno(), f"mincore of {file}")
    return int(np.count_nonzero(resident & 1))


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
