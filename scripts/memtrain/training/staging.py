"""Stage-in: the rows of a training, copied to the disk of the node that it runs on.

The copy has the layout of the whole file, with holes where there are rows of no use: row numbers
stay what they are, and a ``MemmapDataset`` is opened on either. Rows are compared with the digests
of the recipe while they are copied. All processes of a node share one copy, trainings of the same
rows too; it has no name, and is gone with the last of them (``shared_file``).
"""

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np

from memtrain.core.byte_sizes import format_bytes
from memtrain.data.record_file import RecordLayout, dtype_to_json, read_layout
from memtrain.data.row_chunks import read_chunks_from
from memtrain.data.row_digests import chunks_have_digest
from memtrain.recipes.integrity import corrupt_rows
from memtrain.recipes.recipe import Piece, Recipe
from memtrain.system import canonical_json
from memtrain.system.display_names import called
from memtrain.system.file_systems import FileSystem, file_system_of
from memtrain.system.memory import AvailableMemory, available_memory
from memtrain.system.shared_file import shared_file
from memtrain.system.threaded_selection import selected
from memtrain.training.stopping import StopRequests, TrainingStopped

#: What is left free on the disk for others, as a share of the disk.
_RESERVE = 0.05

#: Kinds of file systems whose files are memory, which is counted as that of the job.
_KINDS_IN_MEMORY = {"tmpfs", "ramfs"}

#: Of the memory that is left, what a copy may take beside what the recipe says that the training
#: needs: libraries, and trainings beside this one, take more than can be said before they have.
_SHARE_OF_MEMORY = 1 / 2

_THREADS = 2


@dataclass(frozen=True)
class StagedRows:
    """Where a training reads its rows.

    Attributes:
        path: of the copy, or of the data file itself.
        is_copy: which of both; the digests of a copy's rows have been compared.
    """

    path: str
    is_copy: bool


@contextmanager
def staged(
    data: str | os.PathLike,
    recipe: Recipe,
    stage: Literal["never", "auto", "always"],
    nodes: int,
    stop: StopRequests,
    quiet: bool = False,
    steps_done: int = 0,
) -> Iterator[StagedRows]:
    """Yield where to read the training rows of a recipe: in a copy on this node, where that pays.

    Where a copy cannot be made, because of the room or for any other reason of the disk's, rows are
    read where they are. Messages call the copy by the data file and the folder.

    Args:
        data: the record file.
        recipe: of the split.
        stage: as set under ``loading``.
        nodes: that train together; each makes a copy of its own.
        stop: ends the copying before its end.
        quiet: whether another process tells where rows are read. What was copied tells who did.
        steps_done: of the training, by earlier runs.

    Raises:
        UserError: naming the shards whose bytes are not what was indexed.
        TrainingStopped: where a stop was asked for.
    """
    folder, sizes = staging_folder(), recipe.training.sizes
    epochs = (sizes.steps - steps_done) / sizes.steps_per_epoch
    reason = why_not(stage, file_system_of(data), file_system_of(folder), epochs, nodes)
    with ExitStack() as stack:
        rows = StagedRows(os.fspath(data), is_copy=False)
        if reason is None:
            staging = _Staging(data, recipe, folder, stop)
            try:
                copy = stack.enter_context(staging.copy())
                stack.enter_context(called(copy, f"the copy of {rows.path} in {folder}"))
                rows = StagedRows(copy, is_copy=True)
            except OSError as error:
                reason = f"no copy in {folder}: {error.strerror or error}"
        if not quiet:
            where = f"in a copy in {folder}" if rows.is_copy else f"where they are: {reason}"
            print(f"rows are read {where}", flush=True)
        yield rows


def staging_folder() -> str:
    """Return the folder of the node's own disk: ``SLURM_TMPDIR``, or ``TMPDIR``, or /tmp."""
    return os.environ.get("SLURM_TMPDIR") or tempfile.gettempdir()


def why_not(
    stage: Literal["never", "auto", "always"],
    source: FileSystem,
    local: FileSystem,
    epochs: float,
    nodes: int,
) -> str | None:
    """Return why rows are not worth a copy; None where they are.

    An epoch takes every row across the network once, whatever the number of nodes that share it;
    making a copy takes every row once a node.

    Args:
        stage: as set under ``loading``.
        source: that the data file lies on.
        local: that the copy would lie on.
        epochs: that are left of the training.
        nodes: that train together.
    """
    if stage == "always":
        return None
    if stage == "never":
        return "stage: never"
    if not source.is_network:
        return f"{source.kind} is a file system of this machine"
    if local.is_network or local.kind in _KINDS_IN_MEMORY:
        return f"the folder for copies, below {local.mount_point}, is {local.kind}, and no disk"
    if epochs <= nodes:
        read_by = "a copy" if nodes == 1 else f"the copies of {nodes} nodes"
        return f"epochs left: {epochs:.3g} read them no more often than {read_by} would"
    return None


def shortage(needed: int, free: int, size: int) -> str | None:
    """Return what is missing on a disk for a copy; None where there is room.

    Args:
        needed: bytes of the copy.
        free: bytes that are free on the disk.
        size: of the disk, in bytes; a share of it is left to others.
    """
    reserve = int(size * _RESERVE)
    if needed + reserve <= free:
        return None
    return (
        f"{format_bytes(needed)} are needed and {format_bytes(reserve)} are left to others, but "
        f"{format_bytes(free)} are free"
    )


def shortage_of_memory(needed: int, own: int, memory: AvailableMemory) -> str | None:
    """Return what is missing for a copy that is memory of the job; None where there is enough.

    Args:
        needed: bytes of the copy.
        own: bytes that the training itself needs.
        memory: that is left, before both.
    """
    room = max(0, int(memory.bytes * _SHARE_OF_MEMORY) - own)
    if needed <= room:
        return None
    return (
        f"it would be memory of this job: {format_bytes(needed)} are needed, but beside the "
        f"training {memory.source} leaves {format_bytes(room)} for it"
    )


class _Staging:
    """Copies the training rows of a recipe."""

    def __init__(self, data: str | os.PathLike, recipe: Recipe, folder: str, stop: StopRequests):
        self._data, self._folder, self._stop = data, folder, stop
        self._rows, self._rows_per_shard = recipe.training.rows, recipe.rows_per_shard
        estimate = recipe.resource_estimate
        self._own_bytes = estimate.loading_bytes + estimate.model_bytes
        self._layout = read_layout(data)

    def copy(self) -> AbstractContextManager[str]:
        """Return a context of the path of a copy, which another process may have made."""
        key = _key_of(self._layout, self._rows.pieces)
        return shared_file(self._folder, key, self._fill, self._leave_if_asked)

    def _fill(self, copy: BinaryIO) -> None:
        """Copy header and rows into an empty file."""
        start = time.perf_counter()
        self._refuse([piece for piece in self._rows.pieces if piece.end > self._layout.rows])
        size = self._reserve(copy.fileno())
        with open(self._data, "rb") as source:
            _write(copy.fileno(), source.read(self._layout.offset), 0)
            self._refuse(self._copy_pieces(source, copy))
        seconds = time.perf_counter() - start
        print(
            f"{format_bytes(size)} of rows were copied to {self._folder} and their digests "
            f"compared in {seconds:.1f} seconds, {size / 1e6 / seconds:,.0f} MB/s",
            flush=True,
        )

    def _refuse(self, corrupt: list[Piece]) -> None:
        if corrupt:
            raise corrupt_rows(self._data, corrupt, self._rows_per_shard)

    def _reserve(self, copy: int) -> int:
        """Take the room for all rows before the first is copied, and return how many bytes."""
        spans = [self._layout.byte_range(rows.start, rows.end) for rows in self._rows.resolved]
        size = self._layout.offset + sum(last - first for first, last in spans)
        if missing := self._shortage(size):
            raise OSError(errno.ENOSPC, missing)
        os.ftruncate(copy, self._layout.file_bytes)
        for first, last in spans:
            os.posix_fallocate(copy, first, last - first)
        return size

    def _shortage(self, size: int) -> str | None:
        disk = os.statvfs(self._folder)
        missing = shortage(size, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)
        if missing is None and file_system_of(self._folder).kind in _KINDS_IN_MEMORY:
            return shortage_of_memory(size, self._own_bytes, available_memory())
        return missing

    def _copy_pieces(self, source: BinaryIO, copy: BinaryIO) -> list[Piece]:
        """Copy all pieces, and return those that are not what their digests say."""

        def copy_and_compare(piece: Piece) -> bool:
            copied = self._copied(piece, source, copy.fileno())
            return not chunks_have_digest(copied, piece.digest)

        return selected(self._rows.pieces, copy_and_compare, _THREADS)

    def _copied(self, piece: Piece, source: BinaryIO, copy: int) -> Iterator[np.ndarray]:
        """Yield the rows of a piece in chunks, each copied."""
        place, _ = self._layout.byte_range(piece.start, piece.end)
        for rows in read_chunks_from(source, self._layout, piece.rows):
            self._leave_if_asked()
            content = rows.view(np.uint8).reshape(-1).data
            _write(copy, content, place)
            place += len(content)
            yield rows

    def _leave_if_asked(self) -> None:
        if self._stop.reason:
            raise TrainingStopped(f"{self._stop.reason}: stopped before its rows were copied")


def _key_of(layout: RecordLayout, pieces: Sequence[Piece]) -> str:
    """Return what the copies of two trainings have in common: the same rows at the same places."""
    file = {
        "dtype": dtype_to_json(layout.dtype),
        "shape": layout.shape,
        "offset": layout.offset,
    }
    digest = hashlib.sha256(canonical_json.dumps(file).encode())
    for piece in pieces:
        digest.update(f"\n{piece.start} {piece.end} {piece.digest}".encode())
    return digest.hexdigest()[:32]


def _write(descriptor: int, content: bytes | memoryview, place: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, place)
        content, place = content[written:], place + written
