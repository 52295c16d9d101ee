"""A record file, held open for several threads to read."""

import mmap
import os
from functools import cached_property

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.record_file import RecordLayout, check_size
from memtrain.loading.blocks import Runs
from memtrain.loading.pages import MAP_NORESERVE, address_of, are_resident
from memtrain.system.file_systems import file_system_of

#: Most runs of rows that are looked up in the page cache to conclude that all runs are there.
_RUNS_SAMPLED = 64


class RowFile:
    """A record file, held open for several threads to read.

    Args:
        path: the path of the file.
        layout: the layout of its rows.
        in_order: whether its rows will be read one after the other.

    Attributes:
        path, layout: as given.
        descriptor: the open file; -1 once it is closed.
        is_local: whether the file lies on a disk of this machine.

    Raises:
        UserError: if the file is missing, or its size is not what its layout says.
    """

    def __init__(self, path: str, layout: RecordLayout, in_order: bool = False):
        self.path = path
        self.layout = layout
        check_size(path, layout)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Without this advice, the kernel reads megabytes ahead of every block.
        advice = os.POSIX_FADV_SEQUENTIAL if in_order else os.POSIX_FADV_RANDOM
        os.posix_fadvise(self.descriptor, 0, 0, advice)
        self.is_local = not file_system_of(path).is_network
        self._in_order = in_order
        self._mapping: mmap.mmap | None = None

    def close(self) -> None:
        """Close the file; rows that are still in use stay mapped until they are dropped."""
        self._mapping = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    def mapped(self) -> np.ndarray:
        """Return the bytes of the file where they are mapped, uint8 (bytes,).

        Writing to these bytes does not change the file.
        """
        if self._mapping is None:
            # A private mapping is writable: writing to a tensor over read-only memory would end
            # the process. MAP_NORESERVE sets no memory aside for copies that nobody makes.
            self._mapping = mmap.mmap(
                self.descriptor,
                max(1, self.layout.file_bytes),
                flags=mmap.MAP_PRIVATE | MAP_NORESERVE,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
            )
            self._mapping.madvise(mmap.MADV_SEQUENTIAL if self._in_order else mmap.MADV_RANDOM)
        return np.frombuffer(self._mapping, np.uint8)

    def is_cached(self, runs: Runs) -> bool:
        """Return whether runs of rows lie in the page cache; many runs are checked by a sample."""
        count = len(runs.starts)
        sampled = np.linspace(0, count - 1, min(count, _RUNS_SAMPLED)).astype(np.int64)
        bounds = np.stack([runs.starts[sampled], runs.ends[sampled]], axis=1)
        byte_bounds = bounds * self.layout.row_bytes + self.layout.offset
        is_run_cached = (
            self._is_mapped_run_cached if self._can_ask_mincore else self._are_ends_cached
        )
        return all(is_run_cached(first, end) for first, end in byte_bounds.tolist())

    @cached_property
    def _can_ask_mincore(self) -> bool:
        # mincore reports every page as resident if the user neither owns the file nor may write it.
        is_owner = os.fstat(self.descriptor).st_uid == os.geteuid()
        return is_owner or os.access(self.path, os.W_OK)

    def _is_mapped_run_cached(self, first: int, end: int) -> bool:
        return are_resident(address_of(self.mapped()) + first, end - first)

    def _are_ends_cached(self, first: int, end: int) -> bool:
        byte = bytearray(1)
        try:
            # Reading a missing page starts a read-ahead, so only the ends of a run are tried.
            return all(
                os.preadv(self.descriptor, [byte], place, os.RWF_NOWAIT)
                for place in (first, end - 1)
            )
        except OSError:
            # The page is missing (EAGAIN), or the file system cannot tell.
            return False

    def require_size(self) -> None:
        """Raise an error if the file has become shorter since it was opened.

        Call this before mapped rows are touched: touching rows that are gone ends the process
        with SIGBUS, and the rest of the last page reads as zeros.

        Raises:
            UserError: naming the file and both sizes.
        """
        size = os.fstat(self.descriptor).st_size
        if size < self.layout.file_bytes:
            raise self.cut_short_error(size)

    def cut_short_error(self, place: int) -> UserError:
        """Return the error for a file from which nothing could be read at byte ``place``."""
        size = os.fstat(self.descriptor).st_size
        return UserError(
            f"{self.path}: there is nothing at byte {place:,}; the file has {size:,} "
            f"bytes, but it had {self.layout.file_bytes:,} when it was opened. Write it again, and "
            "do not change it while it is read."
        )

    def failed_read_error(self, place: int, error: OSError) -> UserError:
        """Return the error for a read at byte ``place`` that failed."""
        return UserError(
            f"{self.path}: reading at byte {place:,} failed ({error.strerror or error}). "
            "Look at the disk and at the kernel's log; if the file system is at fault, copy the "
            "file to another one."
        )
