"""Stage-in: copies the rows of a training and its validations to the disk of its node.

The copy has the layout of the whole record file (of rows in many files, that of a record file of
the same rows; see ``staged_copy``), with holes in place of the rows that the training does not use.
Row numbers stay what they are, and a ``MemmapDataset`` opens the copy as it opens the file. Rows
are compared with the digests of the recipe while they are copied. All processes of a node that
train on the same rows share one copy, and the last one removes it (``shared_file``).
"""

import errno
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from memtrain.config.running import Stage
from memtrain.core.byte_sizes import format_bytes
from memtrain.core.ranges import merge_ranges
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import read_layout
from memtrain.data.record_file import bytes_of_rows
from memtrain.data.row_chunks import Chunk, ChunkReader
from memtrain.data.row_digests import chunks_have_digest
from memtrain.recipes.integrity import corrupt_rows_error
from memtrain.recipes.recipe import Piece, Recipe
from memtrain.system import canonical_json
from memtrain.system.file_systems import FileSystem, file_system_of
from memtrain.system.memory import AvailableMemory, available_memory
from memtrain.system.shared_file import shared_file
from memtrain.system.threaded_selection import select_in_threads
from memtrain.training.staged_copy import StagedCopy, copy_of
from memtrain.training.stopping import StopRequests, TrainingStopped

#: Share of the disk that a copy leaves free for others.
_RESERVED_SHARE = 0.05

#: Share of the free memory that a copy and the training may take together. The rest is for what
#: nobody can tell beforehand: libraries, and other trainings on the same node.
_SHARE_OF_MEMORY = 1 / 2

_COPYING_THREADS = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StagedRows:
    """Where a training reads its rows.

    Attributes:
        path: path of the copy, or of the data file itself.
        is_copy: whether it is the copy; the rows of a copy have been compared with their digests.
        layout: the layout of rows in many files in their copy; None for other rows.
    """

    path: str
    is_copy: bool
    layout: FilesLayout | None = None

    @property
    def data(self) -> str | FilesLayout:
        """What a ``MemmapDataset`` opens to read the rows."""
        return self.layout or self.path


@contextmanager
def staged(
    data: str | os.PathLike,
    recipe: Recipe,
    stage: Stage,
    nodes: int,
    stop: StopRequests,
    steps_done: int = 0,
) -> Iterator[StagedRows]:
    """Yield where to read the training rows of a recipe: from a copy on this node, if that pays.

    If there is no room for a copy, or the operating system refuses it for any other reason, the
    rows are read where they are.

    Args:
        data: path of the record file.
        recipe: recipe of the split.
        stage: the setting ``loading.stage``.
        nodes: number of nodes that train together; each makes a copy of its own.
        stop: requests to stop, which end the copying early.
        steps_done: optimizer steps that earlier runs of the training have done.

    Raises:
        UserError: naming the shards whose bytes are not those that were indexed.
        TrainingStopped: if a stop is requested while rows are copied.
    """
    folder = staging_folder()
    sizes = recipe.training.sizes
    epochs = (sizes.steps - steps_done) / sizes.steps_per_epoch
    reason = reason_against_copy(
        stage, file_system_of(data), file_system_of(folder), epochs=epochs, nodes=nodes
    )
    with ExitStack() as stack:
        rows = StagedRows(os.fspath(data), is_copy=False)
        if reason is None:
            staging = _Staging(data, recipe, folder, stop)
            try:
                copy = stack.enter_context(staging.shared_copy())
                rows = StagedRows(os.fspath(copy), True, staging.layout_in(copy))
            except OSError as error:
                reason = f"no copy in {folder}: {error.strerror or error}"
        where = f"from a copy, {rows.path}" if rows.is_copy else f"where they are: {reason}"
        _log.info(f"rows are read {where}")
        yield rows


def staging_folder() -> str:
    """Return the folder of the node's own disk: ``SLURM_TMPDIR``, or ``TMPDIR``, or /tmp."""
    return os.environ.get("SLURM_TMPDIR") or tempfile.gettempdir()


def reason_against_copy(
    stage: Stage, source: FileSystem, local: FileSystem, *, epochs: float, nodes: int
) -> str | None:
    """Return why it does not pay to copy the rows; None where it does.

    In an epoch, every row crosses the network once, however many nodes share the epoch. When copies
    are made, every row crosses it once for each node.

    Args:
        stage: the setting ``loading.stage``.
        source: file system of the data file.
        local: file system that the copy would lie on.
        epochs: number of epochs that the training still has to do.
        nodes: number of nodes that train together.
    """
    if stage == "always":
        return None
    if stage == "never":
        return "stage: never"
    if not source.is_network:
        return f"{source.kind} is a file system of this machine"
    if local.is_network or local.is_in_memory:
        return f"the folder for copies, below {local.mount_point}, is {local.kind}, not a disk"
    if epochs <= nodes:
        copying = "a copy" if nodes == 1 else f"the copies of {nodes} nodes"
        return f"epochs left: {epochs:.3g}, which read no more rows than {copying} would"
    return None


def disk_shortage(copy_bytes: int, *, free_bytes: int, disk_bytes: int) -> str | None:
    """Return why a disk has no room for a copy; None where it has.

    Args:
        copy_bytes: size of the copy.
        free_bytes: free space on the disk.
        disk_bytes: size of the disk, a share of which is left to others.
    """
    reserve = int(disk_bytes * _RESERVED_SHARE)
    if copy_bytes + reserve <= free_bytes:
        return None
    return (
        f"{format_bytes(copy_bytes)} are needed and {format_bytes(reserve)} are left to others, "
        f"but {format_bytes(free_bytes)} are free"
    )


def memory_shortage(copy_bytes: int, training_bytes: int, memory: AvailableMemory) -> str | None:
    """Return why there is too little memory for a copy in memory; None where there is enough.

    Args:
        copy_bytes: size of the copy.
        training_bytes: memory that the training itself needs.
        memory: memory that is available to both.
    """
    room = max(0, int(memory.bytes * _SHARE_OF_MEMORY) - training_bytes)
    if copy_bytes <= room:
        return None
    return (
        f"a copy there takes memory of the job: {format_bytes(copy_bytes)} are needed, but "
        f"{memory.source} leaves {format_bytes(room)} for it beside the training"
    )


class _Staging:
    """Copies the rows that a training reads."""

    def __init__(self, data: str | os.PathLike, recipe: Recipe, folder: str, stop: StopRequests):
        self._data = data
        self._folder = folder
        self._stop = stop
        self._pieces = recipe.training.pieces
        self._grid = recipe.grid
        estimate = recipe.resource_estimate
        self._training_bytes = estimate.loading_bytes + estimate.model_bytes
        self._layout = read_layout(data)
        self._copy = copy_of(data, self._layout)

    def shared_copy(self) -> AbstractContextManager[Path]:
        """Return a context with the path of a copy, which this or another process has made."""
        name = f"{_identity_of_rows(self._copy, self._pieces)}.npy"
        return shared_file(self._folder, name, self._fill, self._raise_if_stopped)

    def layout_in(self, copy: Path) -> FilesLayout | None:
        """Return the layout of rows in many files in their copy; None for other rows."""
        return self._copy.layout(copy)

    def _fill(self, copy: BinaryIO) -> None:
        """Copy the header and the rows into an empty file."""
        start = time.perf_counter()
        self._refuse([piece for piece in self._pieces if piece.end > self._layout.rows])
        copied_bytes = self._reserve(copy.fileno())
        _write(copy.fileno(), self._copy.header(), 0)
        with ChunkReader(self._data, self._layout) as source:
            self._refuse(self._copy_pieces(source, copy))
        seconds = time.perf_counter() - start
        _log.info(
            f"{format_bytes(copied_bytes)} of rows were copied to {self._folder} and their digests "
            f"compared in {seconds:.1f} seconds, {copied_bytes / 1e6 / seconds:,.0f} MB/s"
        )

    def _refuse(self, corrupt: list[Piece]) -> None:
        """Raise the error that names corrupt pieces, if there are any."""
        if corrupt:
            raise corrupt_rows_error(self._data, corrupt, self._grid)

    def _reserve(self, copy: int) -> int:
        """Allocate the space for all rows before the first is copied; return the bytes to copy."""
        rows = merge_ranges(piece.rows for piece in self._pieces)
        spans = [span for part in rows for span in self._copy.spans(part)]
        copy_bytes = len(self._copy.header()) + sum(end - start for start, end in spans)
        if shortage := self._shortage(copy_bytes):
            raise OSError(errno.ENOSPC, shortage)
        os.ftruncate(copy, self._copy.file_bytes)
        for start, end in spans:
            os.posix_fallocate(copy, start, end - start)
        return copy_bytes

    def _shortage(self, copy_bytes: int) -> str | None:
        disk = os.statvfs(self._folder)
        shortage = disk_shortage(
            copy_bytes,
            free_bytes=disk.f_bavail * disk.f_frsize,
            disk_bytes=disk.f_blocks * disk.f_frsize,
        )
        if shortage is None and file_system_of(self._folder).is_in_memory:
            return memory_shortage(copy_bytes, self._training_bytes, available_memory())
        return shortage

    def _copy_pieces(self, source: ChunkReader, copy: BinaryIO) -> list[Piece]:
        """Copy all pieces, and return those whose bytes do not have the digest of the recipe."""

        def copy_and_compare(piece: Piece) -> bool:
            copied = self._copied(piece, source, copy.fileno())
            return not chunks_have_digest(copied, piece.digest)

        return select_in_threads(self._pieces, copy_and_compare, _COPYING_THREADS)

    def _copied(self, piece: Piece, source: ChunkReader, copy: int) -> Iterator[Chunk]:
        """Yield the rows of a piece in chunks, each after it has been copied."""
        first = piece.start
        for rows in source.chunks(piece.rows):
            self._raise_if_stopped()
            for place, values in self._copy.writes(first, rows):
                _write(copy, bytes_of_rows(values), place)
            first += len(rows)
            yield rows

    def _raise_if_stopped(self) -> None:
        if self._stop.reason:
            raise TrainingStopped(f"{self._stop.reason}: stopped before its rows were copied")


def _identity_of_rows(copy: StagedCopy, pieces: Sequence[Piece]) -> str:
    """Return a digest that two trainings share if their copies are the same bytes."""
    digest = hashlib.sha256(canonical_json.dumps(copy.identity()).encode())
    for piece in pieces:
        digest.update(f"\n{piece.start} {piece.end} {piece.digest}".encode())
    return digest.hexdigest()[:32]


def _write(descriptor: int, content: bytes | memoryview, place: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, place)
        content, place = content[written:], place + written
