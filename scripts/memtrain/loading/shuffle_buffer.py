"""Fills shuffle buffers with blocks of rows: the next one while the current one is used."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np

from memtrain.data.record_file import RecordLayout
from memtrain.loading.blocks import Runs, rows_per_whole_pages
from memtrain.loading.pages import PAGE_BYTES, aligned_bytes
from memtrain.loading.readers import CopyingReader, MmapReader, Reader
from memtrain.loading.row_file import RowFile
from memtrain.loading.row_order import BufferOrder, RowOrder

#: Number of reads under way at a time: a local disk loses nothing by many, and a network file
#: system gains.
READER_THREADS = 8

#: Number of runs that a reader thread takes at a time, since handing out a task costs more than a
#: short read.
_RUNS_PER_TASK = 4

#: Bytes of one place (int64), and the arrays of places that exist at a time: one for the buffer in
#: use, and several for each of the two buffers that are planned and filled meanwhile.
_PLACE_BYTES = 8
_PLACE_ARRAYS = 6


@dataclass(frozen=True)
class FilledBuffer:
    """Rows in memory, and the order in which they are used.

    Attributes:
        rows: (places, ...) in the file's dtype: a buffer of blocks, or the whole mapped file.
        places: int64 (rows,), where the rows lie in ``rows``, micro-batch after micro-batch.
        order: the order of the buffer: its runs of rows, and how they are used.
        is_mapped: whether ``rows`` is the mapped file.
        was_read: whether rows had to be brought from the disk.
    """

    rows: np.ndarray
    places: np.ndarray
    order: BufferOrder
    is_mapped: bool
    was_read: bool


def buffer_count(order: RowOrder) -> int:
    """Return how many buffers are in memory at a time.

    One is in use while the next is filled. Where batches may be views of a buffer, a third one lets
    the last batches of a buffer outlive it.
    """
    if order.buffers == 1:
        return 1
    return 2 if order.shuffled else 3


def filling_memory_bytes(*, rows: int, runs: int, row_bytes: int, buffers: int) -> int:
    """Return the memory that filling takes at most, in bytes.

    Args:
        rows: the rows of a buffer.
        runs: the runs of rows in a buffer.
        row_bytes: the size of one row in the file.
        buffers: the number of buffers.
    """
    # A run that neither begins nor ends on a page also takes the rest of two pages.
    in_buffers = buffers * (rows * row_bytes + runs * 2 * PAGE_BYTES)
    return in_buffers + _PLACE_ARRAYS * _PLACE_BYTES * rows


class BufferFiller:
    """Fills buffers in threads of its own.

    Rows are used where they are mapped, without a copy, if they are already in the page cache of
    this machine, or if the reader is mmap. Other rows are read into the buffers.

    Args:
        file: the file that holds the rows.
        reader: the reader that brings them.
        rows_per_block: the rows of a block in the row order; a run of rows lies within one block.
        buffers: number of buffers that are filled in turn.
    """

    def __init__(self, file: RowFile, reader: Reader, *, rows_per_block: int, buffers: int):
        self._file = file
        self._reader = reader
        self._rows_per_page = rows_per_whole_pages(file.layout.row_bytes, rows_per_block)
        self._areas = [_Area() for _ in range(buffers)]
        self._planner = ThreadPoolExecutor(1, "memtrain row order")
        self._coordinator = ThreadPoolExecutor(1, "memtrain buffer")
        self._readers = ThreadPoolExecutor(READER_THREADS, "memtrain reader")
        self._stopped = False

    def close(self) -> None:
        """End the threads, after the reads that are under way."""
        self._stopped = True
        for threads in (self._planner, self._coordinator, self._readers):
            threads.shutdown(cancel_futures=True)

    def fill_all(self, orders: Iterable[Callable[[], BufferOrder]]) -> Iterator[FilledBuffer]:
        """Yield filled buffers; the next one is filled meanwhile.

        Args:
            orders: functions that return the order of each buffer. Each is called in a thread,
                while the buffer before its own is being filled.

        Raises:
            UserError: if rows cannot be read.
        """
        fillings = self._begin_all(orders)
        following = next(fillings, None)
        while following is not None:
            filled = following.result()
            following = next(fillings, None)
            yield filled
            if filled.is_mapped and filled.was_read:
                self._readers.submit(self._release, filled.order)

    def _begin_all(
        self, orders: Iterable[Callable[[], BufferOrder]]
    ) -> Iterator[Future[FilledBuffer]]:
        """Yield the filling of every buffer once it has begun, while the next order is planned."""
        number = 0
        planned: Future[BufferOrder] | None = None
        for order in chain(orders, [None]):
            following = None if order is None else self._planner.submit(order)
            if planned is not None:
                yield self._coordinator.submit(self._fill, number, planned)
                number += 1
            planned = following

    def _fill(self, number: int, planned: Future[BufferOrder]) -> FilledBuffer:
        order = planned.result()
        if self._file.is_local and self._file.is_cached(order.runs):
            return self._map(order, bringing=[], was_read=False)
        if isinstance(self._reader, MmapReader):
            return self._map(order, bringing=self._bring(order, self._reader), was_read=True)
        return self._read(number, order, self._reader)

    def _map(
        self, order: BufferOrder, bringing: list[Future[None]], was_read: bool
    ) -> FilledBuffer:
        """Return the mapped file as a buffer, once its runs are in memory."""
        layout = self._file.layout
        rows = as_rows(self._file.mapped()[layout.offset :], layout)
        places = order.places(order.runs.starts)
        _wait_for(bringing)
        return FilledBuffer(rows, places, order, is_mapped=True, was_read=was_read)

    def _bring(self, order: BufferOrder, reader: MmapReader) -> list[Future[None]]:
        """Begin to bring the runs of a buffer into memory where they are mapped."""
        runs = self._bytes_in_file(order)
        places = runs.starts.tolist()
        sizes = runs.lengths.tolist()

        def bring(numbers: range) -> None:
            for number in self._until_stopped(numbers):
                reader.will_need(places[number], sizes[number])
            for number in self._until_stopped(numbers):
                reader.wait_for(places[number], sizes[number])

        return self._in_tasks(bring, len(places))

    def _release(self, order: BufferOrder) -> None:
        """Tell the kernel that the runs of a buffer are not needed any more."""
        if isinstance(self._reader, MmapReader):
            runs = self._bytes_in_file(order)
            for number in self._until_stopped(range(len(runs.starts))):
                self._reader.dont_need(int(runs.starts[number]), int(runs.lengths[number]))

    def _read(self, number: int, order: BufferOrder, reader: CopyingReader) -> FilledBuffer:
        """Read the runs of a buffer into one of the areas, unless an area holds them already."""
        layout = self._file.layout
        first_places, rows = self._arranged(order.runs)
        area = self._area_for(number, order.runs)
        is_held = area.holds(order.runs)
        content = area.reserved(rows * layout.row_bytes)
        reading: list[Future[None]] = []
        if not is_held:
            area.runs = None
            reading = self._load(order, first_places, content, reader)
        places = order.places(first_places)
        _wait_for(reading)
        area.runs = order.runs
        rows_in_memory = as_rows(content, layout)
        return FilledBuffer(rows_in_memory, places, order, is_mapped=False, was_read=not is_held)

    def _load(
        self,
        order: BufferOrder,
        first_places: np.ndarray,
        content: np.ndarray,
        reader: CopyingReader,
    ) -> list[Future[None]]:
        """Begin to read the runs of a buffer.

        Args:
            order: the order of the buffer.
            first_places: int64 (runs,), where the first row of each run goes.
            content: uint8 (bytes,), the memory of the buffer.
            reader: the reader.
        """
        runs = self._bytes_in_file(order)
        places = runs.starts.tolist()
        starts = first_places * self._file.layout.row_bytes
        targets = list(zip(starts.tolist(), (starts + runs.lengths).tolist(), strict=True))

        def load(numbers: range) -> None:
            for number in self._until_stopped(numbers):
                start, end = targets[number]
                reader.load(places[number], content[start:end])

        return self._in_tasks(load, len(places))

    def _arranged(self, runs: Runs) -> tuple[np.ndarray, int]:
        """Return where the first row of each run goes, int64 (runs,), and the rows of space needed.

        Each run has the same offset within a page in memory as in the file, so that direct reads
        need no copy.
        """
        page = self._rows_per_page
        off_page = runs.starts % page
        space = -(-(off_page + runs.lengths) // page) * page
        return np.cumsum(space) - space + off_page, int(space.sum())

    def _area_for(self, number: int, runs: Runs) -> "_Area":
        """Return the area that holds these runs already, or else the next one in turn.

        If all rows fit into one buffer, an area holds them from the second epoch on.
        """
        holding = (area for area in self._areas if area.holds(runs))
        return next(holding, self._areas[number % len(self._areas)])

    def _bytes_in_file(self, order: BufferOrder) -> Runs:
        """Return the runs of a buffer as runs of the file's bytes."""
        layout = self._file.layout
        return Runs(
            layout.offset + order.runs.starts * layout.row_bytes,
            layout.offset + order.runs.ends * layout.row_bytes,
        )

    def _until_stopped(self, numbers: range) -> Iterator[int]:
        for number in numbers:
            if self._stopped:
                return
            yield number

    def _in_tasks(self, work: Callable[[range], None], runs: int) -> list[Future[None]]:
        """Begin to call ``work`` in the reader threads, with numbers of a few runs at a time."""
        return [
            self._readers.submit(work, range(first, min(first + _RUNS_PER_TASK, runs)))
            for first in range(0, runs, _RUNS_PER_TASK)
        ]


def _wait_for(tasks: list[Future[None]]) -> None:
    """Wait for all tasks, and raise the error of the first that failed."""
    errors = [error for error in (task.exception() for task in tasks) if error]
    if errors:
        raise errors[0]


@dataclass
class _Area:
    """Memory for one buffer.

    Attributes:
        content: uint8 (bytes,); None before it is first used.
        runs: the runs of rows that it holds; None if it holds nothing whole.
    """

    content: np.ndarray | None = None
    runs: Runs | None = None

    def reserved(self, size: int) -> np.ndarray:
        """Return ``size`` bytes that begin on a page; the content stays if it was large enough."""
        if self.content is None or len(self.content) < size:
            self.content = aligned_bytes(size)
            self.runs = None
        return self.content[:size]

    def holds(self, runs: Runs) -> bool:
        """Return whether the area holds exactly these runs."""
        return self.runs is not None and self.runs.equals(runs)


def as_rows(content: np.ndarray, layout: RecordLayout) -> np.ndarray:
    """Return bytes, uint8 (bytes,), as the whole rows that they contain, without a copy."""
    row_bytes = max(1, layout.row_bytes)
    shape = (len(content) // row_bytes, *layout.row_shape)
    return np.ndarray(shape, layout.dtype, buffer=content.data)
