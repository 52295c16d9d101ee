"""``BlockLoader``: moves the bytes. Blocks from the disk, batches out, at the speed of the disk."""

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from itertools import islice, repeat
from typing import Any

import numpy as np
import torch

from memtrain.config.training import ShuffleSettings
from memtrain.core.byte_sizes import format_bytes
from memtrain.core.errors import TransientError
from memtrain.core.ranges import Range, self_overlaps
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.row_decoding import Batch
from memtrain.loading.batch_gatherer import BatchGatherer, gathering_memory_bytes
from memtrain.loading.readers import PAGE_BYTES, READERS, RowFile, choose_reader
from memtrain.loading.row_order import BufferOrder, row_order
from memtrain.loading.shuffle_buffer import (
    BUFFERS,
    BUFFERS_OF_VIEWS,
    BufferFiller,
    memory_of_filling,
)
from memtrain.system import canonical_json
from memtrain.system.memory import available_memory

#: The share of the memory that is free which a loader may take unless it is told otherwise.
_SHARE_OF_FREE_MEMORY = 2 / 3

_STATE_VERSION = 1

_NO_ROWS = np.empty(0, np.int64)


@dataclass
class Position:
    """Where a loader is.

    Attributes:
        epoch: 0, 1, ...
        batches: of this epoch, those that were handed out.
        end: the epoch that the iteration ends before.
    """

    epoch: int
    batches: int
    end: int


class BlockLoader:
    """Batches of the rows of a dataset, shuffled by blocks or in order.

    An iteration runs through one epoch (or ``epochs``), each in an order of its own::

        loader = BlockLoader(MemmapDataset("data.npy"), batch_size=256, seed=1)
        for epoch in range(3):
            for batch in loader:
                ...

    A batch is what a ``DataLoader`` over the dataset would give: a tensor (rows, ...) for a plain
    file, a dict of tensors for records, with the dataset's transform applied (where that declares
    ``batched = True``, to the batch; where it also declares ``row_wise = True``, possibly to
    several batches at once).

    **How long a batch may be used:** batches are gathered into memory that is used again. One
    stays as it is while the next ``accumulation_steps`` batches are taken; what is kept for longer
    must be cloned, or asked for with ``copy=True``. Batches of rows in order, without a transform,
    may be views of the file: writing to them changes no file, but they should not be written to. On
    a CUDA device a batch is the caller's own.

    The order of the rows is a function of ``seed``, the epoch, the rows and the sizes given here
    (see ``row_order``), never of the machine. Which reader moves the bytes changes none of them.

    Threads and files are open while an iteration runs, and closed when it ends, fails or is
    dropped.

    Args:
        dataset: whose rows are taken.
        batch_size: rows of a batch; the last ones of an epoch may be shorter.
        shuffle: True for the default sizes, settings, or False for rows in order.
        seed: 0 or more.
        ranges: rows of the dataset ``[start, end)``, none in two ranges; all unless given.
        accumulation_steps: batches of an accumulation window.
        slots: the batches of every window that this process takes; all unless given. (Each then
            reads what it needs of an order that all processes share.)
        epochs: that one iteration runs through, reading on over their borders.
        drop_last_window: leaves out the last window of an epoch where it is short.
        reader: auto, mmap, pread or direct; see ``block_readers``.
        memory_budget: bytes that buffers, batches and readers may take together; None for two
            thirds of what the memory cgroup or the machine leaves free.
        device: where batches go; None leaves them on the CPU.
        copy: gives batches that the caller owns.
        gather_ahead: gathers the next window in a thread while one is used; for a processor with
            a core to spare.
        tell_rows: keeps in ``rows`` which rows were handed out last.

    Raises:
        ValueError: for sizes or ranges that make no sense.
        UserError: where the budget is too small (TransientError), or the file is not what the
            dataset opened.
    """

    def __init__(
        self,
        dataset: MemmapDataset,
        batch_size: int = 1,
        shuffle: bool | ShuffleSettings | None = True,
        seed: int = 0,
        *,
        ranges: Sequence[tuple[int, int]] | None = None,
        accumulation_steps: int = 1,
        slots: range | None = None,
        epochs: int = 1,
        drop_last_window: bool = False,
        reader: str = "auto",
        memory_budget: int | None = None,
        device: torch.device | str | None = None,
        copy: bool = False,
        gather_ahead: bool = False,
        tell_rows: bool = False,
    ):
        self.dataset = dataset
        self.order = row_order(
            _rows_of_file(dataset, ranges),
            dataset.layout.row_bytes,
            batch_size,
            accumulation_steps,
            ShuffleSettings() if shuffle is True else shuffle or None,
            seed,
        )
        self.slots = range(accumulation_steps) if slots is None else slots
        if not (self.slots and self.slots.step == 1 and max(self.slots) < accumulation_steps):
            raise ValueError(f"slots: found {slots} of {accumulation_steps} accumulation steps")
        self._windows = self.order.full_windows if drop_last_window else self.order.windows
        self._epochs = epochs
        self.reader, self.reader_reason = choose_reader(reader, dataset.filename)
        self._device = torch.device(device or "cpu")
        self._copy, self._gathers_ahead, self._tells_rows = copy, gather_ahead, tell_rows
        #: The rows of the batch or the window that was handed out last, int64 (rows,).
        self.rows = _NO_ROWS
        self.memory_bytes = self._memory_needed()
        self._check_budget(memory_budget)
        self._position, self._resumes = Position(0, 0, epochs), False

    def __len__(self) -> int:
        """The batches of one iteration."""
        return self._epochs * self._batches_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """Run through the epochs, batch by batch."""
        return self._counted(self._iterate(by_window=False))

    def windows(self) -> Iterator[list[Batch]]:
        """Run through the epochs, window by window: the batches of one optimizer step.

        A loader whose state was taken within a window begins with what is left of it.
        """
        windows = self._iterate(by_window=True)
        return self._counted(_gathered_ahead(windows) if self._gathers_ahead else windows)

    def describe(self) -> str:
        """Return what is read and how, in one line a fact, for a log."""
        order = self.order
        lines = [f"reader: {self.reader} ({self.reader_reason})"]
        if not order.shuffled:
            lines.append("order: that of the file")
        elif order.in_one_buffer:
            lines.append("order: all rows permuted as a whole")
        else:
            lines.append(
                f"order: blocks of {order.rows_per_block:,} rows permuted, and the rows of "
                f"{order.blocks_per_buffer:,} blocks at a time"
            )
        lines.append(f"memory of the loader: at most {format_bytes(self.memory_bytes)}")
        return "\n".join(lines)

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is: enough to go on from here in another process.

        Of batches, those count that were handed out.
        """
        return {"version": _STATE_VERSION, "order": self._fingerprint(), **asdict(self._position)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on where another loader of the same order was.

        Nothing is read, and nothing is counted off, to get there.

        Raises:
            ValueError: for the state of another order, or one that is none.
        """
        if state.get("version") != _STATE_VERSION:
            raise ValueError(f"state of version {state.get('version')}, not {_STATE_VERSION}")
        if state["order"] != self._fingerprint():
            raise ValueError(
                f"this state belongs to another order of rows ({state['order']}) than this "
                f"loader's ({self._fingerprint()}); rows, sizes, seed and slots must be the same"
            )
        position = Position(state["epoch"], state["batches"], state["end"])
        if not (0 <= position.epoch < position.end and position.batches >= 0):
            raise ValueError(f"there is no such place in an epoch: {position}")
        if position.batches > self._batches_per_epoch:
            raise ValueError(f"{position}, but an epoch has {self._batches_per_epoch} batches")
        self._position, self._resumes = position, True

    def start_at(self, epoch: int, window: int) -> None:
        """Let the next iteration begin with a window of an epoch, and end where it would have.

        Unlike a state, a window is the same place for any number of processes.
        """
        batches = self.order.micro_batches(self.slots, window)
        self._position, self._resumes = Position(epoch, batches, self._epochs), True

    @property
    def epoch(self) -> int:
        """The epoch of the batch that was handed out last, or of the next one after an end."""
        return self._position.epoch

    @property
    def _lifetime(self) -> int:
        """How many more batches may be gathered before one is written over."""
        return len(self.slots) * (2 if self._gathers_ahead else 1)

    @property
    def _batches_per_epoch(self) -> int:
        return self.order.micro_batches(self.slots, self._windows)

    def _counted(self, steps: Iterator[tuple[int, int, np.ndarray, Any]]) -> Iterator[Any]:
        """Hand out batches or windows, and keep the position at what was handed out."""
        try:
            for epoch, count, self.rows, content in steps:
                if epoch != self.epoch:
                    self._position = Position(epoch, 0, self._position.end)
                self._position.batches += count
                yield content
        finally:
            steps.close()
        end = self._position.end
        self._position = Position(end, 0, end + self._epochs)

    def _iterate(
        self, by_window: bool
    ) -> Iterator[tuple[int, int, np.ndarray, Batch | list[Batch]]]:
        """Yield batches or windows, each with its epoch, how many batches it is, and its rows."""
        if not self._resumes:
            self._position = Position(self.epoch, 0, self.epoch + self._epochs)
        self._resumes = False
        with ExitStack() as stack:
            for epoch, batches, counts, ends, rows in self._buffers(
                copy.copy(self._position), stack
            ):
                done = len(ends) - 1 - sum(counts)
                for count in counts if by_window else repeat(1, sum(counts)):
                    content = list(islice(batches, count)) if by_window else next(batches)
                    yield epoch, count, rows[ends[done] : ends[done + count]], content
                    done += count

    def _buffers(
        self, start: Position, stack: ExitStack
    ) -> Iterator[tuple[int, Iterator[Batch], list[int], np.ndarray, np.ndarray]]:
        """Yield every buffer's epoch and batches, how many each window has, ends and rows."""
        file = RowFile(self.dataset.filename, self.dataset.layout, not self.order.shuffled)
        stack.callback(file.close)
        reader = READERS[self.reader](file)
        stack.callback(reader.close)
        filler = BufferFiller(file, reader, self.order.rows_per_block, self._buffer_count)
        stack.callback(filler.close)
        gatherer = BatchGatherer(
            self.dataset,
            batch_size=self.order.batch_size,
            lifetime=self._lifetime,
            rows_per_block=self.order.rows_per_block,
            views=self._lie_on_pages,
            device=self._device,
        )
        plan = list(self._plan(start))
        for (epoch, number), filled in zip(plan, filler.fill_all(self._orders(plan)), strict=True):
            before = self.order.micro_batches(self.slots, number * self.order.windows_per_buffer)
            skipped = max(0, start.batches - before) if epoch == start.epoch else 0
            look = file.require_size if filled.is_mapped else _nothing
            batches = gatherer.batches(filled, look, skipped)
            counts = self._counts(filled.order, skipped)
            yield epoch, self._owned(batches), counts, *self._rows_of(filled.order)

    def _plan(self, start: Position) -> Iterator[tuple[int, int]]:
        """Yield epoch and number of every buffer from a position on."""
        windows_per_buffer = self.order.windows_per_buffer
        for epoch in range(start.epoch, start.end):
            for number in range(-(-self._windows // windows_per_buffer)):
                last = min(self._windows, (number + 1) * windows_per_buffer)
                ends_after = self.order.micro_batches(self.slots, last)
                if epoch > start.epoch or ends_after > start.batches:
                    yield epoch, number

    def _orders(self, plan: list[tuple[int, int]]) -> Iterator[Callable[[], BufferOrder]]:
        epoch_order = lru_cache(maxsize=1)(self.order.epoch)
        for epoch, number in plan:
            yield lambda epoch=epoch, number=number: epoch_order(epoch).buffer(number, self.slots)

    def _counts(self, order: BufferOrder, skipped: int) -> list[int]:
        """Return the batches of every window of a buffer, less those that are skipped."""
        windows = order.sizes[: self._windows - order.first_window]
        counts = np.count_nonzero(windows, axis=1)
        done = np.clip(skipped - (np.cumsum(counts) - counts), 0, counts)
        return [count for count in (counts - done).tolist() if count]

    def _rows_of(self, order: BufferOrder) -> tuple[np.ndarray, np.ndarray]:
        """Return where every batch of a buffer ends, a zero before, and the rows if wanted."""
        sizes = order.sizes[: self._windows - order.first_window].ravel()
        ends = np.concatenate([[0], np.cumsum(sizes[sizes > 0])])
        return ends, order.rows() if self._tells_rows else _NO_ROWS

    def _owned(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        return map(_clone, batches) if self._copy else batches

    @property
    def _lie_on_pages(self) -> bool:
        """Whether rows lie to the pages of memory alike, wherever they are read to."""
        layout, order = self.dataset.layout, self.order
        block_bytes = order.rows_per_block * layout.row_bytes
        return not (order.shuffled or block_bytes % PAGE_BYTES or layout.offset % PAGE_BYTES)

    @property
    def _buffer_count(self) -> int:
        if self.order.buffers == 1:
            return 1
        return BUFFERS if self.order.shuffled else BUFFERS_OF_VIEWS

    def _memory_needed(self) -> int:
        order, row_bytes = self.order, self.dataset.layout.row_bytes
        rows = order.rows_per_buffer
        if order.in_lanes:
            rows = -(-rows * len(self.slots) // order.accumulation_steps)
        runs = rows // order.rows_per_block + 2 * (len(order.ranges) + len(self.slots))
        filling = memory_of_filling(rows, min(rows, runs), row_bytes, self._buffer_count)
        return filling + gathering_memory_bytes(self.dataset, order.batch_size, self._lifetime)

    def _check_budget(self, budget: int | None) -> None:
        why = "as set"
        if budget is None:
            available = available_memory()
            budget = int(available.bytes * _SHARE_OF_FREE_MEMORY)
            why = f"two thirds of what {available.source} leaves free"
        if self.memory_bytes <= budget:
            return
        share = budget / self.memory_bytes
        buffer = self.order.rows_per_buffer * self.dataset.layout.row_bytes
        raise TransientError(
            f"memory_budget: {format_bytes(self.memory_bytes)} are needed for buffers of "
            f"{format_bytes(buffer)} and the batches of a window, but the budget is "
            f"{format_bytes(budget)} ({why}). Allow a memory_budget of "
            f"{format_bytes(self.memory_bytes)}, or set shuffle.buffer_bytes to about "
            f"{format_bytes(max(1, int(buffer * share * 0.9)))} (which changes the order of the "
            "rows); a window of batch_size x accumulation_steps rows must fit into it."
        )

    def _fingerprint(self) -> str:
        parts = {field.name: getattr(self.order, field.name) for field in fields(self.order)}
        parts |= {"slots": list(self.slots), "windows": self._windows}
        return canonical_json.digest(parts | {"ranges": [list(part) for part in parts["ranges"]]})


def _gathered_ahead(windows: Iterator) -> Iterator:
    """Take one more than was asked for, in a thread."""
    try:
        with ThreadPoolExecutor(1, "memtrain batches") as thread:
            following = thread.submit(next, windows, None)
            while (window := following.result()) is not None:
                following = thread.submit(next, windows, None)
                yield window
    finally:
        windows.close()


def _rows_of_file(
    dataset: MemmapDataset, ranges: Sequence[tuple[int, int]] | None
) -> tuple[Range, ...]:
    """Return ranges of a dataset's rows as ranges of its file's."""
    pieces = [Range(*pair) for pair in ([(0, len(dataset))] if ranges is None else ranges)]
    for piece in pieces:
        if not 0 <= piece.start <= piece.end <= len(dataset):
            raise ValueError(f"ranges: {piece} does not lie within the {len(dataset)} rows")
    for common in self_overlaps(pieces):
        raise ValueError(f"ranges: the rows {common} stand in two of them")
    first = dataset.start_index
    return tuple(
        Range(first + piece.start, first + piece.end) for piece in pieces if piece.rows > 0
    )


def _clone(batch: Batch) -> Batch:
    if isinstance(batch, dict):
        return {name: value.clone() for name, value in batch.items()}
    return batch.clone()


def _nothing() -> None:
    """Look at nothing."""
