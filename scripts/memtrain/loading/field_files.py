"""The files of a field, a few of them open, for several threads to read."""

import mmap
import os
import time
from contextlib import ExitStack
from functools import cached_property

import numpy as np

from memtrain.data.streams.open_files import MOST_OPEN_FILES, OpenFiles
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import ByteRuns
from memtrain.loading.pages import are_resident
from memtrain.loading.stream_mapping import StreamMapping, can_be_mapped
from memtrain.system.file_systems import file_system_of

#: Most runs of rows that are looked up in the page cache to conclude that all runs are there.
_RUNS_SAMPLED = 64

#: Number of mapped files whose sizes are looked at for every second since the look before: each
#: look takes one or two microseconds.
_LOOKS_PER_SECOND = 5_000


class FieldFiles:
    """The files of a field, a few of them open, for several threads to read.

    Args:
        field: the field.
        in_order: whether its rows will be read one after the other.
        most_open: most descriptors that are kept while no thread uses them.
        may_be_mapped: whether the files may be mapped; see ``mapped_files``.
        mapping: the mapping of an earlier instance for the same field; None for a new one.

    Attributes:
        field: as given.
        files: the files; no more than a few descriptors are open at a time.
        most_open: as given.
        is_local: whether all files lie on disks of this machine.
        mapping: the mapped files; None while none were needed.
    """

    def __init__(
        self,
        field: StoredField,
        in_order: bool = False,
        *,
        most_open: int = MOST_OPEN_FILES,
        may_be_mapped: bool = True,
        mapping: StreamMapping | None = None,
    ):
        self.field = field
        stream = field.stream
        self.most_open = most_open
        self._in_order = in_order
        self._may_be_mapped = may_be_mapped
        # Without advice, the kernel reads megabytes ahead of every block. A thousand files are
        # opened again and again, and advice for each costs more than it brings.
        advice = os.POSIX_FADV_SEQUENTIAL if in_order else os.POSIX_FADV_RANDOM
        is_single = len(stream.paths) == 1
        self.files = OpenFiles(
            stream.paths,
            stream.sizes.tolist(),
            most=most_open,
            advice=advice if is_single else None,
        )
        self.is_local = not any(file_system_of(path).is_network for path in one_path_each(field))
        self.mapping = mapping
        self._looked_at = time.monotonic()
        self._next_look = 0
        self._held = ExitStack()
        self._only: int | None = None
        if is_single:
            # Once it is open, the file can be replaced by another one.
            self._only = self._held.enter_context(self.files.descriptor(0))
        if mapping is not None:
            mapping.forget_changed()

    def close(self) -> None:
        """Close the files; they stay mapped as long as anything refers to the mapping."""
        self._only = None
        self._held.close()
        self.files.close()

    @cached_property
    def can_be_mapped(self) -> bool:
        """Return whether the files can be mapped, so that all elements are in one array."""
        return self._may_be_mapped and can_be_mapped(self.field)

    def mapped(self) -> StreamMapping:
        """Return the mapped files; ``can_be_mapped`` must hold."""
        if self.mapping is None:
            advice = mmap.MADV_SEQUENTIAL if self._in_order else mmap.MADV_RANDOM
            self.mapping = StreamMapping(self.field, advice)
        return self.mapping

    def is_cached(self, starts: np.ndarray, ends: np.ndarray) -> bool:
        """Return whether runs of elements lie in the page cache; many are checked by a sample.

        Args:
            starts: int64 (runs,), the first element of each run.
            ends: int64 (runs,), the element after the last of each run.
        """
        sampled = np.linspace(0, len(starts) - 1, min(len(starts), _RUNS_SAMPLED)).astype(np.int64)
        runs = self.field.stream.byte_runs(starts[sampled], ends[sampled])
        if self._can_ask_mincore:
            self.mapped().map_files(np.unique(runs.file), self.files)
        is_run_cached = (
            self._is_mapped_run_cached if self._can_ask_mincore else self._are_ends_cached
        )
        return all(is_run_cached(*run) for run in numbered_runs(runs))

    def require_sizes(self, numbers: np.ndarray) -> None:
        """Raise an error if one of some files has become shorter since it was described.

        Call this before mapped rows are touched; see ``OpenFiles.require_size``. Of many files,
        as many are looked at as cost little of the time that has passed since the last look.

        Args:
            numbers: int64 (files,), the numbers of the files, each once.
        """
        if self._only is not None:
            self.files.require_open_size(0, self._only)
            return
        affordable = int((time.monotonic() - self._looked_at) * _LOOKS_PER_SECOND)
        if affordable == 0:
            return
        self._looked_at = time.monotonic()
        count = min(len(numbers), affordable)
        looked_at = np.arange(self._next_look, self._next_look + count) % max(1, len(numbers))
        self._next_look += count
        self.files.require_sizes(numbers[looked_at].tolist())

    @cached_property
    def _can_ask_mincore(self) -> bool:
        # mincore reports every page as resident if the user neither owns the file nor may write it.
        def is_allowed(path: str) -> bool:
            try:
                is_owner = os.stat(path).st_uid == os.geteuid()
            except OSError:
                # Rows of this file may not be needed; if they are, reading them tells.
                return False
            return is_owner or os.access(path, os.W_OK)

        return self.can_be_mapped and all(map(is_allowed, one_path_each(self.field)))

    def _is_mapped_run_cached(self, file: int, place: int, size: int) -> bool:
        return are_resident(self.mapped().address(file, place), size)

    def _are_ends_cached(self, file: int, place: int, size: int) -> bool:
        byte = bytearray(1)
        try:
            # Reading a missing page starts a read-ahead, so only the ends of a run are tried.
            with self.files.descriptor(file) as descriptor:
                return all(
                    os.preadv(descriptor, [byte], at, os.RWF_NOWAIT)
                    for at in (place, place + size - 1)
                )
        except OSError:
            # The page is missing (EAGAIN), or the file system cannot tell.
            return False


def one_path_each(field: StoredField) -> list[str]:
    """Return one path of a field for every folder that its files lie in."""
    return list({os.path.dirname(path): path for path in field.stream.paths}.values())


def numbered_runs(runs: ByteRuns) -> list[tuple[int, int, int]]:
    """Return the file, the first byte and the size of every run of bytes."""
    return list(zip(runs.file.tolist(), runs.place.tolist(), runs.size.tolist(), strict=True))
