"""Fills shuffle buffers with blocks of rows: the next one while the current one is used."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from memtrain.data.padded_rows import spare_bytes
from memtrain.data.streams.row_addresses import Consecutive
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import ByteRuns
from memtrain.loading.blocks import Runs, rows_per_whole_pages
from memtrain.loading.field_files import FieldFiles, numbered_runs
from memtrain.loading.pages import aligned_bytes
from memtrain.loading.reader_choice import ReaderChoice
from memtrain.loading.reader_threads import ReaderThreads, wait_for
from memtrain.loading.readers import CopyingReader, FieldReaders, MmapReader, Reader
from memtrain.loading.row_order import BufferOrder, RowOrder
from memtrain.loading.row_pieces import RaggedRuns, RowPieces, cut_rows

#: Returns the order of a buffer, and the choice of the reader for its rows.
Planner = Callable[[], tuple[BufferOrder, ReaderChoice]]


@dataclass(frozen=True)
class FilledField:
    """The rows of one field in memory.

    Attributes:
        elements: uint8 (bytes,), the elements of the field one after the other: those of a buffer
            of blocks, or the mapped files. Where rows vary in length, ``spare_bytes`` zeros follow.
        places: int64 (rows,), the first element of every row in ``elements``, micro-batch after
            micro-batch.
        runs: the bytes of the files that the rows lie in.
        is_mapped: whether ``elements`` are the mapped files.
        read_by: what brought the rows from the disk; None if they were in memory.
        lengths: int64 (rows,), number of elements of every row, where rows vary in length.
    """

    elements: np.ndarray
    places: np.ndarray
    runs: ByteRuns
    is_mapped: bool
    read_by: Reader | None
    lengths: np.ndarray | None

    @cached_property
    def file_numbers(self) -> np.ndarray:
        """The numbers of the files that the rows lie in, int64 (files,), each once."""
        return np.unique(self.runs.file)


@dataclass(frozen=True)
class FilledBuffer:
    """Rows in memory, and the order in which they are used.

    Attributes:
        fields: the stored fields of the rows.
        order: the order of the buffer: its runs of rows, and how they are used.
        reads: the reads that bring the rows; they are in memory once all of these have ended.
    """

    fields: tuple[FilledField, ...]
    order: BufferOrder
    reads: Sequence[Future[None]]


#: The rows of a field, and the reads that bring them into memory.
_Filling = tuple[FilledField, Sequence[Future[None]]]


def buffer_count(order: RowOrder) -> int:
    """Return how many buffers are in memory at a time.

    One is in use while the next is filled. Where batches may be views of a buffer, a third one lets
    the last batches of a buffer outlive it.
    """
    if order.buffers == 1 and not order.in_lanes:
        # Every epoch has the same rows in the same places. Lanes permute their blocks.
        return 1
    return 2 if order.shuffled else 3


class FieldFiller:
    """Fills buffers with the rows of one field.

    Rows are used where they are mapped, without a copy, if they are already in the page cache of
    this machine, or if the reader is mmap. Other rows are read into the buffers.

    Args:
        files: the files that hold the rows.
        readers: the readers that can bring them.
        threads: the threads that read.
        rows_per_block: the rows of a block in the row order; a run of rows lies within one block.
        buffers: number of buffers that are filled in turn.
    """

    def __init__(
        self,
        files: FieldFiles,
        readers: FieldReaders,
        threads: ReaderThreads,
        *,
        rows_per_block: int,
        buffers: int,
    ):
        self._files = files
        self._field = files.field
        self._readers = readers
        self._threads = threads
        self._elements_per_page = _elements_per_page(files.field, rows_per_block)
        self._areas = [_Area() for _ in range(buffers)]

    def begin(self, order: BufferOrder, choice: ReaderChoice) -> _Filling:
        """Begin to fill a buffer; return where its rows will be, and the reads that bring them.

        Args:
            order: its runs of rows, and how they are used.
            choice: the reader for rows that are not in memory.
        """
        pieces = cut_rows(self._field, order.runs)
        spans = Runs(pieces.load_starts, pieces.load_ends)
        files = self._files
        if files.is_local and files.can_be_mapped and files.is_cached(spans.starts, spans.ends):
            return self._map(order, pieces, reader=None)
        reader = self._readers.reader(choice.name, choice.keeps_pages)
        if isinstance(reader, MmapReader):
            return self._map(order, pieces, reader)
        return self._read(order, pieces, reader)

    def finish(self, filled: FilledField) -> None:
        """Check the files of a buffer that was used, and give up its pages, if they were read.

        Raises:
            UserError: naming a mapped file that has become shorter while it was used. ``check``
                looks at a few of many files at a time, and the end of a file that was cut reads as
                zeros until it is looked at.
        """
        if not filled.is_mapped:
            return
        if len(filled.file_numbers) > 1:
            self._files.files.require_sizes(filled.file_numbers.tolist())
        if isinstance(filled.read_by, MmapReader):
            # The kernel is told that they are not needed any more.
            for run in self._threads.until_stopped(numbered_runs(filled.runs)):
                filled.read_by.dont_need(*run)

    def check(self, filled: FilledField) -> None:
        """Raise an error if mapped files have become shorter; call this before they are touched."""
        if filled.is_mapped:
            self._files.require_sizes(filled.file_numbers)

    def _map(
        self, order: BufferOrder, pieces: RowPieces | RaggedRuns, reader: MmapReader | None
    ) -> _Filling:
        """Begin to bring the loads of rows into memory, with the mapped files as the buffer."""
        runs = self._field.stream.byte_runs(pieces.load_starts, pieces.load_ends)
        mapping = self._files.mapped()
        mapping.map_files(np.unique(runs.file), self._files.files)
        reads = [] if reader is None else self._bring(runs, reader)
        places = self._mapped_places(order, pieces, mapping.part_places)
        lengths = _lengths(order, pieces)
        return FilledField(mapping.elements, places, runs, True, reader, lengths), reads

    def _mapped_places(
        self, order: BufferOrder, pieces: RowPieces | RaggedRuns, part_places: np.ndarray
    ) -> np.ndarray:
        """Return where the rows lie in the mapped files, int64 (rows,)."""
        if isinstance(self._field.addresses, Consecutive) and part_places.tolist() == [0]:
            # Fields that lie in one file each share these.
            return order.own_places
        return order.permuted(pieces.mapped_places(part_places))

    def _bring(self, runs: ByteRuns, reader: MmapReader) -> list[Future[None]]:
        """Begin to bring bytes into memory where they are mapped."""

        def bring(some: list[tuple[int, int, int]]) -> None:
            for run in self._threads.until_stopped(some):
                reader.will_need(*run)
            for run in self._threads.until_stopped(some):
                reader.wait_for(*run)

        return self._threads.begin(bring, numbered_runs(runs))

    def _read(
        self, order: BufferOrder, pieces: RowPieces | RaggedRuns, reader: CopyingReader
    ) -> _Filling:
        """Begin to read the loads of rows into an area, unless an area holds them already."""
        spans = Runs(pieces.load_starts, pieces.load_ends)
        first_places, elements = self._arranged(spans)
        area = self._area_for(spans)
        is_held = area.holds(spans)
        element_bytes = self._field.stream.element_bytes
        spare = spare_bytes(element_bytes) if self._field.is_ragged else 0
        content = area.reserved(elements * element_bytes + spare)
        content[len(content) - spare :] = 0
        runs = self._field.stream.byte_runs(spans.starts, spans.ends)
        if not is_held:
            targets = first_places[runs.run] * element_bytes + runs.target
            area.runs = spans
            area.reads = self._load(runs, targets, content, reader)
        places = order.permuted(pieces.places_in_loads(first_places))
        read_by = None if is_held else reader
        filled = FilledField(content, places, runs, False, read_by, _lengths(order, pieces))
        return filled, area.reads

    def _load(
        self, runs: ByteRuns, targets: np.ndarray, content: np.ndarray, reader: CopyingReader
    ) -> list[Future[None]]:
        """Begin to read bytes.

        Args:
            runs: the bytes to read.
            targets: int64 (runs,), where the bytes of each run go.
            content: uint8 (bytes,), the memory of the buffer.
            reader: the reader.
        """
        # Each file is read as a whole before the next, so that few have to be open.
        in_file_order = np.lexsort((runs.place, runs.file))
        pieces = zip(
            *(
                values[in_file_order].tolist()
                for values in (runs.file, runs.place, runs.size, targets)
            ),
            strict=True,
        )

        def load(some: list[tuple[int, int, int, int]]) -> None:
            for file, place, size, target in self._threads.until_stopped(some):
                reader.load(file, place, content[target : target + size])

        return self._threads.begin(load, list(pieces))

    def _arranged(self, spans: Runs) -> tuple[np.ndarray, int]:
        """Return where the first element of each run goes, int64 (runs,), and the elements in all.

        Each run has the same offset within a page in memory as in a file whose elements begin on a
        page, so that direct reads need no copy.
        """
        page = self._elements_per_page
        off_page = spans.starts % page
        space = -(-(off_page + spans.lengths) // page) * page
        return np.cumsum(space) - space + off_page, int(space.sum())

    def _area_for(self, spans: Runs) -> "_Area":
        """Return the area that holds these runs already, or else the one unused for the longest.

        If all rows fit into one buffer, an area holds them from the second epoch on.
        """
        holding = (area for area in self._areas if area.holds(spans))
        # Never the area of the buffer in use: the one that was used last is at the end.
        area = next(holding, self._areas[0])
        self._areas = [*(one for one in self._areas if one is not area), area]
        return area


class BufferFiller:
    """Fills buffers with all fields of rows, in threads of its own.

    Args:
        fields: the files of every stored field, and the readers that can bring its rows.
        rows_per_block: the rows of a block in the row order; a run of rows lies within one block.
        buffers: number of buffers that are filled in turn.
    """

    def __init__(
        self,
        fields: Sequence[tuple[FieldFiles, FieldReaders]],
        *,
        rows_per_block: int,
        buffers: int,
    ):
        self._threads = ReaderThreads()
        self._fields = [
            FieldFiller(
                files, readers, self._threads, rows_per_block=rows_per_block, buffers=buffers
            )
            for files, readers in fields
        ]
        self._planner = ThreadPoolExecutor(1, "memtrain row order")
        self._coordinator = ThreadPoolExecutor(1, "memtrain buffer")
        # Giving up pages takes as long as mapping them; reads go on meanwhile.
        self._finisher = ThreadPoolExecutor(1, "memtrain used buffer")

    def close(self) -> None:
        """End the threads, after the reads that are under way."""
        self._threads.stop()
        for threads in (self._planner, self._coordinator, self._finisher):
            threads.shutdown(cancel_futures=True)
        self._threads.close()

    def check(self, filled: FilledBuffer) -> None:
        """Raise an error if mapped files have become shorter; call this before they are touched.

        Raises:
            UserError: naming the file.
        """
        for field, rows in zip(self._fields, filled.fields, strict=True):
            field.check(rows)

    def fill_all(self, plans: Iterable[Planner]) -> Iterator[FilledBuffer]:
        """Yield filled buffers; the next one is filled meanwhile.

        Args:
            plans: functions that return the order of each buffer, and the choice of its reader.
                Each is called in a thread, while the buffer before its own is being filled.

        Raises:
            UserError: if rows cannot be read.
        """
        fillings = self._begin_all(plans)
        following = next(fillings, None)
        finishing: list[Future[None]] = []
        if following is not None:
            # Nothing else delays the first batch.
            wait_for(following.result().reads)
        while following is not None:
            # The memory of the last buffer is free. The next but one is filled into it from now
            # on, so that the disk never waits until the next one is whole.
            current, following = following, next(fillings, None)
            wait_for(finishing[:-1])
            filled = current.result()
            wait_for(filled.reads)
            yield filled
            finishing = [*finishing[-1:], self._finisher.submit(self._finish, filled)]
        wait_for(finishing)

    def _begin_all(self, plans: Iterable[Planner]) -> Iterator[Future[FilledBuffer]]:
        """Yield every buffer, to be begun in a thread, while the next one is planned."""
        planned: Future[tuple[BufferOrder, ReaderChoice]] | None = None
        for plan in chain(plans, [None]):
            following = None if plan is None else self._planner.submit(plan)
            if planned is not None:
                yield self._coordinator.submit(self._begin, planned)
            planned = following

    def _begin(self, planned: Future[tuple[BufferOrder, ReaderChoice]]) -> FilledBuffer:
        order, choice = planned.result()
        begun = [field.begin(order, choice) for field in self._fields]
        reads = [read for _, reads in begun for read in reads]
        return FilledBuffer(tuple(filled for filled, _ in begun), order, reads)

    def _finish(self, filled: FilledBuffer) -> None:
        for field, rows in zip(self._fields, filled.fields, strict=True):
            field.finish(rows)


@dataclass
class _Area:
    """Memory for one buffer.

    Attributes:
        content: uint8 (bytes,); None before it is first used.
        runs: the runs of elements that it holds, once ``reads`` have ended; None before.
        reads: the reads that bring the runs.
    """

    content: np.ndarray | None = None
    runs: Runs | None = None
    reads: Sequence[Future[None]] = ()

    def reserved(self, size: int) -> np.ndarray:
        """Return ``size`` bytes that begin on a page; the content stays if it was large enough."""
        if self.content is None or len(self.content) < size:
            self.content = aligned_bytes(size)
            self.runs = None
        return self.content[:size]

    def holds(self, runs: Runs) -> bool:
        """Return whether the area holds exactly these runs."""
        return self.runs is not None and self.runs.equals(runs)


def _elements_per_page(field: StoredField, rows_per_block: int) -> int:
    """Return how many elements runs are aligned to in memory, so that direct reads need no copy."""
    if not isinstance(field.addresses, Consecutive):
        # Documents may be short, and then the rest of pages would take most of the memory.
        return 1
    return rows_per_whole_pages(field.stream.element_bytes, rows_per_block)


def _lengths(order: BufferOrder, pieces: RowPieces | RaggedRuns) -> np.ndarray | None:
    """Return the lengths of rows that vary in length, int64 (rows,), in the order of their use."""
    return order.permuted(pieces.lengths) if isinstance(pieces, RaggedRuns) else None
