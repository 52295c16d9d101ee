"""Chooses how rows are brought from the disk, anew for every epoch.

The choice changes the speed and no batch: all readers give the same bytes. ``auto`` is

======  ==========================================================================================
pread   on network file systems;
mmap    where the rows fit into the memory that is free: the page cache keeps them for the next
        epoch, and they are used where they are;
direct  where they do not fit, and the file system allows direct reads. The page cache could only
        keep a part of the rows, and finding pages to give up takes more time than reading.
======  ==========================================================================================
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memtrain.core.byte_sizes import format_bytes
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.streams.stored_field import StoredField
from memtrain.loading.field_files import one_path_each
from memtrain.loading.readers import READERS, direct_refusal
from memtrain.system.file_systems import FileSystem, file_system_of
from memtrain.system.memory import available_memory

#: Share of the free memory that rows may fill. The rest is for what nobody can tell beforehand:
#: libraries, and other programs on the machine.
_SHARE_OF_FREE_MEMORY = 0.9

#: Epochs that begin within this time of a choice keep it: looking takes a millisecond, and an epoch
#: of a few rows takes less.
_SECONDS_OF_A_CHOICE = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReaderChoice:
    """How the rows of an epoch are read.

    Attributes:
        name: mmap, pread or direct.
        reason: why, in words for a log.
        keeps_pages: whether pages of the files stay in the page cache once their rows were used.
            False where the rows do not fit into memory: pages that are given up at once cost less
            than pages that the kernel has to find.
    """

    name: str
    reason: str
    keeps_pages: bool = True

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


class ReaderChooser:
    """Chooses the reader for the rows of a loader.

    Args:
        setting: auto, mmap, pread or direct.
        fields: the stored fields of the rows.
        ranges: the rows of an epoch.
        other_bytes: memory that the loader and the training take beside the page cache.

    Attributes:
        rows_bytes: bytes of the rows that come from a disk.
        choice: the choice that was made last.

    Raises:
        UserError: for any other setting; for ``direct``, where direct reads are refused.
    """

    def __init__(
        self,
        setting: str,
        fields: Sequence[StoredField],
        ranges: Sequence[Range],
        other_bytes: int = 0,
    ):
        if setting != "auto" and setting not in READERS:
            raise UserError(f"reader: found {setting!r}; known are auto, mmap, pread and direct.")
        self._setting = setting
        self._other_bytes = other_bytes
        self._systems: dict[str, FileSystem] = {}
        self.rows_bytes = 0
        for field in fields:
            systems = {path: file_system_of(path) for path in one_path_each(field)}
            self._systems |= systems
            if not all(system.is_in_memory for system in systems.values()):
                self.rows_bytes += _stored_bytes(field, ranges)
        if setting == "direct" and self._are_all_refusing(refusals := self._refusals()):
            raise UserError(f"{refusals[0]}. Use `reader: pread`, or auto.")
        self._epoch: int | None = None
        self._chosen_at = 0.0
        self.choice = self._choose()

    @property
    def may_be_direct(self) -> bool:
        """Whether any epoch may be read by direct reads."""
        is_on_network = any(system.is_network for system in self._systems.values())
        return self._setting == "direct" or (self._setting == "auto" and not is_on_network)

    def of_epoch(self, epoch: int) -> ReaderChoice:
        """Return the choice for an epoch, made when the epoch is first asked for.

        A change of the reader is told in the log.

        Args:
            epoch: the number of the epoch, from 0.
        """
        is_recent = time.monotonic() - self._chosen_at < _SECONDS_OF_A_CHOICE
        if epoch != self._epoch and not is_recent:
            before, self.choice = self.choice, self._choose()
            if self.choice.name != before.name:
                _log.info(f"epoch {epoch + 1:,}: reader: {self.choice}")
        self._epoch = epoch
        return self.choice

    def _choose(self) -> ReaderChoice:
        """Return the reader that suits the memory that is free now."""
        self._chosen_at = time.monotonic()
        memory = available_memory()
        free_bytes = max(0, int(memory.bytes * _SHARE_OF_FREE_MEMORY) - self._other_bytes)
        fits = self.rows_bytes <= free_bytes
        if self._setting != "auto":
            return ReaderChoice(self._setting, "as set", fits)
        for path, system in self._systems.items():
            if system.is_network:
                where = _place(path, system)
                return ReaderChoice("pread", f"{where}: a network or parallel file system", fits)
        sizes = (
            f"{format_bytes(self.rows_bytes)} of rows, {format_bytes(free_bytes)} of memory is "
            "free for them"
        )
        if fits:
            return ReaderChoice("mmap", "; ".join([*self._local_place(), sizes]))
        refusals = self._refusals()
        if self._are_all_refusing(refusals):
            return ReaderChoice("mmap", f"{sizes}; {refusals[0]}", keeps_pages=False)
        reason = f"reads with O_DIRECT: {sizes}, by {memory.source}"
        return ReaderChoice("direct", "; ".join([reason, *refusals[:1]]), keeps_pages=False)

    def _local_place(self) -> list[str]:
        """Return where the first files lie; nothing if there are no files."""
        return [
            f"{_place(path, system)}: a local file system" for path, system in self._systems.items()
        ][:1]

    def _refusals(self) -> list[str]:
        """Return where direct reads are refused, and why; one file of each folder is tried."""
        found = ((path, direct_refusal(path)) for path in self._systems)
        return [
            f"{_place(path, self._systems[path])}, which refuses direct reads ({reason})"
            for path, reason in found
            if reason is not None
        ]

    def _are_all_refusing(self, refusals: list[str]) -> bool:
        return bool(refusals) and len(refusals) == len(self._systems)


def _stored_bytes(field: StoredField, ranges: Sequence[Range]) -> int:
    """Return how many bytes of a field's files the rows of some ranges lie in."""
    bounds = np.array([(piece.start, piece.end) for piece in ranges if piece.rows], np.int64)
    starts, ends = field.addresses.spans(*bounds.reshape(-1, 2).T)
    return int((ends - starts).sum()) * field.stream.element_bytes


def _place(path: str, system: FileSystem) -> str:
    return f"{path} lies on {system.kind}, mounted at {system.mount_point}"
