"""Fills shuffle buffers with blocks of rows: the next one while the one before is being used."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np

from memtrain.data.record_file import RecordLayout
from memtrain.loading.readers import PAGE_BYTES, Reader, RowFile, aligned_bytes
from memtrain.loading.row_order import BufferOrder, rows_of_whole_pages

#: Reads under way at a time: disks answer many as fast as one, and network file systems faster.
READER_THREADS = 8

#: Runs that a reader thread takes at a time; a thread costs more than a short read.
_RUNS_PER_TASK = 4

#: Bytes beside the rows: a place a row, for the buffer in use and, several times, for the next two.
PLACE_BYTES = 8
_PLACES_AT_A_TIME = 6

#: Buffers: that in use, that being filled, and one more where batches are views of a buffer, so
#: that the last batches of a buffer outlive it.
BUFFERS, BUFFERS_OF_VIEWS = 2, 3


@dataclass(frozen=True)
class FilledBuffer:
    """Rows in memory, and the order in which they are used.

    Attributes:
        rows: (places, ...) of the file's dtype: a buffer of blocks, or the file where it is mapped.
        places: int64 (rows,), where the rows lie in ``rows``, micro-batch after micro-batch.
        order: what the buffer was filled with.
        is_mapped: whether ``rows`` is the file.
        was_read: whether the disk had to be asked.
    """

    rows: np.ndarray
    places: np.ndarray
    order: BufferOrder
    is_mapped: bool
    was_read: bool


def memory_of_filling(rows: int, runs: int, row_bytes: int, buffers: int) -> int:
    """Return the memory that filling takes at most, in bytes.

    Args:
        rows: in a buffer.
        runs: of rows in a buffer.
        row_bytes: of one row.
        buffers: how many there are.
    """
    # A run that neither begins nor ends on a page takes the rest of two.
    in_buffers = buffers * (rows * row_bytes + runs * 2 * PAGE_BYTES)
    return in_buffers + _PLACES_AT_A_TIME * PLACE_BYTES * rows


class BufferFiller:
    """Fills buffers in threads of its own.

    Where the rows lie in the page cache of this machine already, and where the reader is mmap, the
    rows are used where they are mapped, and nothing is copied.

    Args:
        file: that the rows are in.
        reader: that brings them.
        rows_per_block: of the row order; a run of rows lies within a block.
        buffers: to fill in turn.
    """

    def __init__(self, file: RowFile, reader: Reader, rows_per_block: int, buffers: int):
        self._file, self._reader = file, reader
        self._rows_per_page = rows_of_whole_pages(file.layout.row_bytes, rows_per_block)
        self._areas: list[_Area] = [_Area() for _ in range(buffers)]
        self._planner = ThreadPoolExecutor(1, "memtrain row order")
        self._coordinator = ThreadPoolExecutor(1, "memtrain buffer")
        self._readers = ThreadPoolExecutor(READER_THREADS, "memtrain reader")
        self._stopped = False

    def close(self) -> None:
        """End the threads; reads under way are waited for."""
        self._stopped = True
        for threads in (self._planner, self._coordinator, self._readers):
            threads.shutdown(cancel_futures=True)

    def fill_all(self, orders: Iterable[Callable[[], BufferOrder]]) -> Iterator[FilledBuffer]:
        """Yield filled buffers, the next being filled meanwhile.

        Args:
            orders: each is called in a thread, while the buffer before its own is being filled.

        Raises:
            UserError: where rows cannot be read.
        """
        fillings = self._begin_all(orders)
        following = next(fillings, None)
        while following is not None:
            filled = following.result()
            following = next(fillings, None)
            yield filled
            if filled.is_mapped and filled.was_read:
                self._readers.submit(
                    self._each, self._reader.dont_need, *self._bytes_of(filled.order)
                )

    def _begin_all(self, orders: Iterable[Callable]) -> Iterator[Future]:
        """Yield the filling of every buffer when it has begun, with the order after it planned."""
        number, planned = 0, None
        for order in chain(orders, [None]):
            following = order and self._planner.submit(order)
            if planned is not None:
                yield self._coordinator.submit(self._fill, number, planned)
                number += 1
            planned = following

    def _fill(self, number: int, planned: Future) -> FilledBuffer:
        order = planned.result()
        cached = self._file.is_local and self._file.is_cached(order.starts, order.ends)
        if not cached and not self._reader.in_place:
            return self._read(number, order)
        tasks = [] if cached else self._in_tasks(self._bring, *self._bytes_of(order))
        rows = as_rows(self._file.mapped()[self._file.layout.offset :], self._file.layout)
        places = order.places(order.starts)
        _wait_for(tasks)
        return FilledBuffer(rows, places, order, True, not cached)

    def _bring(self, places: np.ndarray, sizes: np.ndarray) -> None:
        """Bring runs into memory where they are mapped."""
        self._each(self._reader.will_need, places, sizes)
        self._each(self._reader.load, places, sizes)

    def _read(self, number: int, order: BufferOrder) -> FilledBuffer:
        """Read the runs of a buffer into memory of our own, unless they are there."""
        layout = self._file.layout
        first_places, rows = self._arranged(order)
        area = self._area_for(number, order)
        held = area.holds(order)
        content = area.reserved(rows * layout.row_bytes)

        def read(places: np.ndarray, sizes: np.ndarray, targets: np.ndarray) -> None:
            ends = targets + sizes
            runs = [content[slice(*run)] for run in zip(targets, ends, strict=True)]
            self._each(self._reader.load, places, runs)

        parts = (*self._bytes_of(order), first_places * layout.row_bytes)
        if not held:
            area.order = None
        tasks = [] if held else self._in_tasks(read, *parts)
        places = order.places(first_places)
        _wait_for(tasks)
        area.order = order
        return FilledBuffer(as_rows(content, layout), places, order, False, not held)

    def _arranged(self, order: BufferOrder) -> tuple[np.ndarray, int]:
        """Return where the first row of each run goes, int64 (runs,), and the rows of all space.

        A run lies to the pages as it does in the file, so that direct reads need no copy.
        """
        page = self._rows_per_page
        off_page = order.starts % page
        space = -(-(off_page + order.ends - order.starts) // page) * page
        return np.cumsum(space) - space + off_page, int(space.sum())

    def _area_for(self, number: int, order: BufferOrder) -> "_Area":
        """Return the area that has these runs already (of an epoch that fits), or the next one."""
        holding = (area for area in self._areas if area.holds(order))
        return next(holding, self._areas[number % len(self._areas)])

    def _bytes_of(self, order: BufferOrder) -> tuple[np.ndarray, np.ndarray]:
        """Return where each run begins in the file, and its size, in bytes; int64 (runs,) each."""
        layout = self._file.layout
        sizes = (order.ends - order.starts) * layout.row_bytes
        return layout.offset + order.starts * layout.row_bytes, sizes

    def _each(self, work: Callable, places: np.ndarray, whats: Iterable) -> None:
        for place, what in zip(places.tolist(), whats, strict=True):
            if self._stopped:
                return
            work(place, what)

    def _in_tasks(self, work: Callable, *parts: np.ndarray) -> list[Future]:
        """Begin to call ``work`` with slices of arrays in the reader threads."""
        starts = range(0, len(parts[0]), _RUNS_PER_TASK)
        return [
            self._readers.submit(work, *(part[start : start + _RUNS_PER_TASK] for part in parts))
            for start in starts
        ]


def _wait_for(tasks: list[Future]) -> None:
    """Wait for all, and raise the error of the first that had one."""
    errors = [error for error in (task.exception() for task in tasks) if error]
    if errors:
        raise errors[0]


@dataclass
class _Area:
    """Memory for one buffer, and what it was filled with last."""

    content: np.ndarray | None = None
    order: BufferOrder | None = None

    def reserved(self, size: int) -> np.ndarray:
        """Return ``size`` bytes, page-aligned; what was there stays where they were enough."""
        if self.content is None or len(self.content) < size:
            self.content, self.order = aligned_bytes(size), None
        return self.content[:size]

    def holds(self, order: BufferOrder) -> bool:
        """Return whether these very runs are here."""
        return self.order is not None and all(
            np.array_equal(*pair)
            for pair in ((self.order.starts, order.starts), (self.order.ends, order.ends))
        )


def as_rows(content: np.ndarray, layout: RecordLayout) -> np.ndarray:
    """Return bytes, uint8 (bytes,), as the whole rows that they are, without a copy."""
    row_bytes = max(1, layout.row_bytes)
    shape = (len(content) // row_bytes, *layout.row_shape)
    return np.ndarray(shape, layout.dtype, buffer=content.data)
