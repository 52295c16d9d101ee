"""``BlockLoader``: reads blocks of rows and yields batches, at the speed of the disk.

The path of a row, and the module that is responsible for each part of it:

=====================  ==========================================================================
``row_order``          which rows, in which order: a pure function of seed and epoch
``schedule``           which fillings of the buffer an iteration goes through, from any position
``shuffle_buffer``     fills the next buffer in threads, while the current one is used
``readers``            bring blocks from the disk by a mapping, by reads or by direct reads
``batch_gatherer``     gathers micro-batches from a buffer, decoded and transformed
``padded_gatherer``    the same for rows that vary in length
``BlockLoader``        opens all of these, hands out batches or windows, and knows its position
=====================  ==========================================================================
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache, partial
from itertools import islice
from typing import Any

import numpy as np
import torch

from memtrain.config.training import ShuffleSettings
from memtrain.core.byte_sizes import format_bytes
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import RecordLayout
from memtrain.data.row_decoding import Batch, map_fields
from memtrain.data.streams.open_files import MOST_OPEN_FILES
from memtrain.loading.batch_gatherer import BatchGatherer
from memtrain.loading.chosen_rows import checked_slots, ranges_in_file
from memtrain.loading.device_copies import same_stream
from memtrain.loading.field_files import FieldFiles, one_path_each
from memtrain.loading.gathered_fields import stored_fields
from memtrain.loading.mapped_files import mapped_fields
from memtrain.loading.memory_estimate import batch_lifetime, loader_memory_bytes, require_memory
from memtrain.loading.one_ahead import one_ahead
from memtrain.loading.padded_gatherer import PaddedGatherer
from memtrain.loading.pages import PAGE_BYTES, require_linux
from memtrain.loading.reader_choice import ReaderChoice, ReaderChooser
from memtrain.loading.readers import FieldReaders
from memtrain.loading.row_order import BufferOrder, row_order
from memtrain.loading.schedule import Filling, Position, Schedule
from memtrain.loading.shuffle_buffer import BufferFiller, FilledBuffer, Planner, buffer_count
from memtrain.loading.stream_mapping import StreamMapping
from memtrain.system import canonical_json

_STATE_VERSION = 1

_NO_ROWS = np.empty(0, np.int64)


@dataclass(slots=True)  # not frozen, since one is made for every batch
class _Delivery:
    """A window or a single batch, as it is handed out.

    Attributes:
        epoch: the epoch of the batches.
        batches: the batches of a window, or a single batch.
        rows: int64 (rows,), the numbers of their rows in the file; empty without ``tell_rows``.
    """

    epoch: int
    batches: list[Batch]
    rows: np.ndarray


class BlockLoader:
    """Batches of the rows of a dataset, shuffled by blocks or in order.

    One iteration goes through one epoch (or ``epochs``), each in its own order::

        loader = BlockLoader(MemmapDataset("data.npy"), batch_size=256, seed=1)
        for epoch in range(3):
            for batch in loader:
                ...

    A batch is what a ``DataLoader`` over the dataset would give: a tensor (rows, ...) for a plain
    file, a dict of tensors for records, after the dataset's transform. A transform whose attribute
    ``batched`` is true gets a whole batch; if ``row_wise`` is true as well, it may get several
    batches at once.

    **How long a batch may be used:** batches are gathered into memory that is used again. A batch
    stays as it is while the next ``accumulation_steps`` batches are taken. To keep a batch longer,
    clone it, or pass ``copy=True``. Batches of rows in order, without a transform, may be views of
    the file: writing to them changes no file, but it may change later batches. On a CUDA device,
    every batch belongs to the caller.

    The order of the rows is a function of ``seed``, the epoch, the rows and the sizes given here
    (see ``row_order``), never of the machine or the reader.

    Threads and files are open while an iteration runs. They are closed when it ends, fails or is
    dropped. Files that were mapped stay mapped as long as the loader, which takes no descriptors.

    Args:
        dataset: the dataset that the rows are taken from.
        batch_size: number of rows of a batch; the last ones of an epoch may have fewer.
        shuffle: the sizes of blocks and buffer; True for the default sizes, False or None for rows
            in order.
        seed: the seed of the order, 0 or more.
        ranges: the rows to use, as ranges ``[start, end)`` of the dataset that do not overlap; all
            rows if not given.
        accumulation_steps: number of batches of an accumulation window.
        slots: places in every window whose batches this process takes; all if not given. All
            processes share one order, and each reads only its part of it.
        epochs: number of epochs of one iteration, which reads ahead from one epoch to the next.
        drop_last_window: whether to leave out the last window of an epoch if it is short.
        reader: auto, mmap, pread or direct; see ``readers``, and ``reader_choice`` for auto.
        mapped_files: number of files that are mapped at most; None for what the machine allows.
        memory_budget: number of bytes that buffers and batches may take together; None for two
            thirds of what the memory cgroup or the machine leaves free.
        device: the device that batches are moved to; None leaves them on the CPU.
        copy: whether every batch belongs to the caller.
        gather_ahead: whether ``windows`` gathers the next window in a thread while one is used,
            which saves time if a core is idle.
        tell_rows: whether the attribute ``rows`` is kept up to date.
        reserved_bytes: memory that the caller will take beside the loader, such as for gradients;
            rows that fit only without it are read as rows that do not fit.
        row_bytes: the size of a row, by which sizes of blocks and buffers are turned into numbers
            of rows; that of the dataset if not given.

    Attributes:
        dataset, slots: as given.
        order: the order of the rows, a ``RowOrder``.
        memory_bytes: the memory that the loader takes at most.
        rows: int64 (rows,), the rows in the file of the batch or window that was handed out last;
            empty without ``tell_rows``.

    Raises:
        ValueError: for ranges or slots that are out of bounds, and for ranges that overlap.
        UserError: if this system is not Linux, or the reader is unknown; while iterating, if the
            file is not the one that the dataset opened, or cannot be read.
        TransientError: a UserError, if the memory does not fit into the budget.
    """

    def __init__(
        self,
        dataset: MemmapDataset,
        batch_size: int = 1,
        *,
        shuffle: bool | ShuffleSettings | None = True,
        seed: int = 0,
        ranges: Sequence[tuple[int, int]] | None = None,
        accumulation_steps: int = 1,
        slots: range | None = None,
        epochs: int = 1,
        drop_last_window: bool = False,
        reader: str = "auto",
        mapped_files: int | None = None,
        memory_budget: int | None = None,
        device: torch.device | str | None = None,
        copy: bool = False,
        gather_ahead: bool = False,
        tell_rows: bool = False,
        reserved_bytes: int = 0,
        row_bytes: int | None = None,
    ):
        require_linux("BlockLoader")
        self.dataset = dataset
        self.order = row_order(
            ranges_in_file(dataset, ranges),
            row_bytes=dataset.layout.row_bytes if row_bytes is None else row_bytes,
            batch_size=batch_size,
            accumulation_steps=accumulation_steps,
            shuffle=ShuffleSettings() if shuffle is True else shuffle or None,
            seed=seed,
        )
        self.slots = checked_slots(self.order.slots if slots is None else slots, self.order.slots)
        windows = self.order.full_windows if drop_last_window else self.order.windows
        self._schedule = Schedule(self.order, self.slots, windows)
        self._epochs = epochs
        self._fields = stored_fields(dataset)
        paths = [path for field in self._fields for path in one_path_each(field)]
        self._are_mapped = mapped_fields(self._fields, mapped_files, paths)
        self._device = torch.device(device or "cpu")
        self._copies = copy
        self._gathers_ahead = gather_ahead
        self._tells_rows = tell_rows
        self.rows = _NO_ROWS
        self.memory_bytes = loader_memory_bytes(
            dataset, self.order, slots=self.slots, gather_ahead=gather_ahead
        )
        buffer_bytes = self.order.rows_per_buffer * dataset.layout.row_bytes
        require_memory(self.memory_bytes, memory_budget, buffer_bytes)
        self._reading = ReaderChooser(
            reader, self._fields, self.order.ranges, self.memory_bytes + reserved_bytes
        )
        #: The mapped files of every field, between two iterations.
        self._mappings: dict[str, StreamMapping] = {}
        self._position = Position(epoch=0, batches=0, end=epochs)
        #: Whether the next iteration begins at the position, instead of at the start of its epoch.
        self._resumes = False

    def __len__(self) -> int:
        """The batches of one iteration."""
        return self._epochs * self._schedule.batches_per_epoch

    def __iter__(self) -> Iterator[Any]:
        """Go through the epochs batch by batch."""
        return self._handed_out(self._deliveries(by_window=False), by_window=False)

    def windows(self) -> Iterator[list[Any]]:
        """Go through the epochs window by window: the batches of one optimizer step at a time.

        After loading a state from within a window, the first item is the rest of that window.
        """
        deliveries = self._deliveries(by_window=True)
        if self._gathers_ahead:
            deliveries = one_ahead(deliveries, same_stream(self._device))
        return self._handed_out(deliveries, by_window=True)

    def describe(self) -> str:
        """Return what is read and how, as lines for a log."""
        return (
            f"reader: {self.reading}\n"
            f"order: {self.order.describe()}\n"
            f"memory of the loader: at most {format_bytes(self.memory_bytes)}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the loader, from which another process can continue.

        Only batches that were handed out count, not those that were read ahead.
        """
        return {"version": _STATE_VERSION, "order": self._fingerprint(), **asdict(self._position)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration continue where another loader of the same order was.

        The position is found directly: no rows are read or counted to reach it.

        Args:
            state: what ``state_dict`` returned.

        Raises:
            ValueError: if the state is of another order, of another version, or damaged.
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
            raise ValueError(f"an epoch has no such position: {position}")
        if position.batches > self._schedule.batches_per_epoch:
            raise ValueError(
                f"{position}, but an epoch has {self._schedule.batches_per_epoch} batches"
            )
        self._position = position
        self._resumes = True

    def start_at(self, epoch: int, window: int) -> None:
        """Let the next iteration begin with a window of an epoch, and end after the last epoch.

        Unlike a state, a window is the same place for any number of processes.

        Args:
            epoch: the epoch, 0, 1, ...
            window: the window within that epoch.
        """
        batches = self._schedule.batches_before(window)
        self._position = Position(epoch, batches, self._epochs)
        self._resumes = True

    @property
    def reading(self) -> ReaderChoice:
        """The reader of the epoch that is read, and why it was chosen."""
        return self._reading.choice

    @property
    def epoch(self) -> int:
        """The epoch of the batch that was handed out last; after an iteration, the next epoch."""
        return self._position.epoch

    def _handed_out(
        self, deliveries: Generator[_Delivery, None, None], by_window: bool
    ) -> Iterator[Any]:
        """Hand out windows or batches, and move the position past each of them."""
        try:
            for delivery in deliveries:
                if delivery.epoch != self.epoch:
                    self._position = Position(delivery.epoch, 0, self._position.end)
                self._position.batches += len(delivery.batches)
                self.rows = delivery.rows
                yield delivery.batches if by_window else delivery.batches[0]
        finally:
            deliveries.close()
        end = self._position.end
        self._position = Position(end, 0, end + self._epochs)

    def _deliveries(self, by_window: bool) -> Generator[_Delivery, None, None]:
        """Open the file and the threads, and yield all batches of an iteration."""
        if not self._resumes:
            self._position = Position(self.epoch, 0, self.epoch + self._epochs)
        self._resumes = False
        fillings = list(self._schedule.fillings(replace(self._position)))
        with ExitStack() as stack:
            filler = BufferFiller(
                [self._opened(number, stack) for number in range(len(self._fields))],
                rows_per_block=self.order.rows_per_block,
                buffers=buffer_count(self.order),
            )
            stack.callback(filler.close)
            gatherer = self._gatherer()
            buffers = filler.fill_all(self._plans(fillings))
            for filling, filled in zip(fillings, buffers, strict=True):
                before_touching = partial(filler.check, filled)
                batches = gatherer.batches(filled, before_touching, filling.skipped_batches)
                yield from self._portions(filling, filled, batches, by_window)

    def _opened(self, number: int, stack: ExitStack) -> tuple[FieldFiles, FieldReaders]:
        """Open the files of a field, and close them when an iteration ends."""
        field = self._fields[number]
        # Direct reads have descriptors of their own.
        shares = len(self._fields) * (2 if self._reading.may_be_direct else 1)
        most_open = max(1, MOST_OPEN_FILES // shares)
        files = FieldFiles(
            field,
            in_order=not self.order.shuffled,
            most_open=most_open,
            may_be_mapped=self._are_mapped[number],
            mapping=self._mappings.pop(field.name, None),
        )
        stack.callback(self._close, files)
        readers = FieldReaders(files, self._reading.may_be_direct)
        stack.callback(readers.close)
        return files, readers

    def _close(self, files: FieldFiles) -> None:
        """Close the files of a field, and keep them mapped for the next epoch."""
        files.close()
        # Batches of rows in order may be views, and what was written to them has to be dropped.
        if files.mapping is not None and self.order.shuffled:
            self._mappings[files.field.name] = files.mapping

    def _portions(
        self,
        filling: Filling,
        filled: FilledBuffer,
        batches: Iterator[Batch],
        by_window: bool,
    ) -> Iterator[_Delivery]:
        """Yield the batches of one buffer, a window or a batch at a time."""
        all_rows = filled.order.rows() if self._tells_rows else None
        portions = self._schedule.portions(filled.order, filling.skipped_batches, by_window)
        for portion in portions:
            content = list(islice(batches, portion.batches))
            if self._copies:
                content = [map_fields(torch.clone, batch) for batch in content]
            rows = _NO_ROWS if all_rows is None else all_rows[portion.start : portion.end]
            yield _Delivery(filling.epoch, content, rows)

    def _plans(self, fillings: list[Filling]) -> Iterator[Planner]:
        """Yield one function per filling, which plans it when a thread calls it."""
        epoch_order = lru_cache(maxsize=1)(self.order.epoch)

        def plan(filling: Filling) -> tuple[BufferOrder, ReaderChoice]:
            order = epoch_order(filling.epoch).buffer(filling.number, self.slots)
            return order, self._reading.of_epoch(filling.epoch)

        return (partial(plan, filling) for filling in fillings)

    def _gatherer(self) -> BatchGatherer | PaddedGatherer:
        layout, order = self.dataset.layout, self.order
        lifetime = batch_lifetime(self.slots, self._gathers_ahead)
        if self.dataset.is_ragged:
            return PaddedGatherer(
                self.dataset, batch_size=order.batch_size, lifetime=lifetime, device=self._device
            )
        # If blocks are whole pages, rows in order have the same offsets within pages of memory,
        # whichever reader is used. Only then do views have the same layout with every reader.
        block_bytes = order.rows_per_block * layout.row_bytes
        offset = layout.offset if isinstance(layout, RecordLayout) else 0
        are_whole_pages = not (block_bytes % PAGE_BYTES or offset % PAGE_BYTES)
        return BatchGatherer(
            self.dataset,
            batch_size=order.batch_size,
            lifetime=lifetime,
            rows_per_block=order.rows_per_block,
            views=are_whole_pages and not order.shuffled and self._device.type == "cpu",
            device=self._device,
        )

    def _fingerprint(self) -> str:
        """Return a digest of everything that decides which batches come in which order."""
        parts = {field.name: getattr(self.order, field.name) for field in fields(self.order)}
        parts["ranges"] = [list(piece) for piece in self.order.ranges]
        parts["slots"] = list(self.slots)
        parts["windows"] = self._schedule.windows
        return canonical_json.digest(parts)
