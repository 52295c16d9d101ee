"""Fills shuffle buffers with rows that vary in length, and gathers micro-batches from them.

The rows of a block lie next to each other, whatever their lengths, so that a block is one run of
bytes here as well. Blocks are read into memory, the next buffer while the current one is used.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from memtrain.core.errors import UserError
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.padding import padded
from memtrain.data.row_decoding import Batch, map_fields
from memtrain.data.streams.row_addresses import Ragged
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stored_rows import ByteRun, StoredRows
from memtrain.loading.reader_threads import ReaderThreads, wait_for
from memtrain.loading.row_order import BufferOrder

#: Bytes of the places and lengths of a row, and of its place in the order.
_BYTES_OF_PLACES = 40


@dataclass(frozen=True, eq=False)
class _RaggedRows:
    """The rows of a buffer of a field that varies in length.

    Attributes:
        values: (elements, ...) in the dtype of the files, row after row, and as many more elements
            as the longest row has.
        starts: int64 (rows,), the place of the first element of each row.
        lengths: int64 (rows,), the number of its elements.
    """

    values: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True, eq=False)
class RaggedBuffer:
    """Rows in memory, and the order in which they are used.

    Attributes:
        order: the order of the buffer.
        ragged: the fields that vary in length, by the names of the stored fields.
        plain: (rows, ...), the other stored fields by name.
    """

    order: BufferOrder
    ragged: dict[str, _RaggedRows]
    plain: dict[str, np.ndarray]


class RaggedBuffers:
    """Reads buffers and gathers micro-batches, each of which belongs to the caller.

    Args:
        dataset: the dataset that the rows belong to, with its transform.
        device: device that batches go to.
    """

    def __init__(self, dataset: MemmapDataset, device: torch.device):
        assert isinstance(dataset.layout, FilesLayout)
        self._dataset = dataset
        self._layout = dataset.layout
        self._device = device
        self._stored = {one.name: StoredRows(one) for one in self._layout.stored}
        self._coordinator = ThreadPoolExecutor(1, "memtrain buffer")
        self._threads = ReaderThreads()

    def close(self) -> None:
        """End the threads after the reads that are under way, and close the files."""
        self._threads.stop()
        self._coordinator.shutdown(cancel_futures=True)
        self._threads.close()
        for rows in self._stored.values():
            rows.close()

    def fill_all(self, orders: Iterable[Callable[[], BufferOrder]]) -> Iterator[RaggedBuffer]:
        """Yield filled buffers; the next one is filled meanwhile.

        Args:
            orders: functions that return the order of each buffer.

        Raises:
            UserError: if rows cannot be read.
        """
        waiting: Future[RaggedBuffer] | None = None
        for order in orders:
            following = self._coordinator.submit(self._fill, order)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()

    def batches(self, filled: RaggedBuffer, skipped: int = 0) -> Iterator[Batch]:
        """Yield the micro-batches of a buffer.

        Args:
            filled: the buffer.
            skipped: number of micro-batches to leave out at the beginning.
        """
        runs = filled.order.runs
        places = filled.order.places(np.cumsum(runs.lengths) - runs.lengths)
        sizes = filled.order.sizes.reshape(-1)
        bounds = [0, *np.cumsum(sizes[sizes > 0]).tolist()]
        for start, end in list(pairwise(bounds))[skipped:]:
            batch = self._dataset.transformed(self._gathered(filled, places[start:end]))
            if self._device.type != "cpu":
                batch = map_fields(lambda tensor: tensor.to(self._device), batch)
            yield batch

    def _gathered(self, filled: RaggedBuffer, places: np.ndarray) -> dict[str, np.ndarray]:
        """Return rows as decoded arrays, padded where they vary in length."""
        arrays: dict[str, np.ndarray] = {}
        fields = self._dataset.fields
        assert isinstance(fields, dict)
        for name, view in self._layout.views.items():
            dtype = fields[name].dtype
            if view.stored in filled.plain:
                arrays[name] = view.of(filled.plain[view.stored][places]).astype(dtype)
                continue
            rows = filled.ragged[view.stored]
            trimmed = view.trimmed(rows.starts[places], rows.lengths[places])
            arrays |= padded(name, view.of_elements(rows.values), *trimmed, dtype)
        return arrays

    def _fill(self, planned: Callable[[], BufferOrder]) -> RaggedBuffer:
        order = planned()
        rows = order.runs.rows()
        ragged = {
            one.name: self._read_ragged(one, one.addresses, order)
            for one in self._layout.stored
            if isinstance(one.addresses, Ragged)
        }
        plain = {
            name: stored.gather(rows) for name, stored in self._stored.items() if name not in ragged
        }
        return RaggedBuffer(order, ragged, plain)

    def _read_ragged(
        self, field: StoredField, addresses: Ragged, order: BufferOrder
    ) -> _RaggedRows:
        """Read the rows of a buffer, by several threads."""
        stored, stream = self._stored[field.name], field.stream
        lengths = addresses.lengths(order.runs.rows())
        spare = max(1, int(lengths.max(initial=0)))
        content = np.empty((int(lengths.sum()) + spare) * stream.element_bytes, np.uint8)
        runs = stored.byte_runs(
            addresses.starts(order.runs.starts), addresses.starts(order.runs.ends)
        )

        def read(some: list[ByteRun]) -> None:
            stored.read_byte_runs(self._threads.until_stopped(some), content)

        wait_for(self._threads.begin(read, list(runs)))
        values = content.view(stream.dtype).reshape(-1, *stream.shape)
        return _RaggedRows(values, np.cumsum(lengths) - lengths, lengths)


def check_reader(reader: str) -> tuple[str, str]:
    """Return the reader of rows that vary in length, and why it is used.

    Raises:
        UserError: if another one is asked for.
    """
    if reader not in ("auto", "pread"):
        raise UserError(
            f"reader: found {reader}, but rows that vary in length are read into memory. Use "
            "`pread` or `auto`."
        )
    return "pread", "rows vary in length"


def ragged_memory_bytes(
    dataset: MemmapDataset, *, rows_per_buffer: int, batch_size: int, lifetime: int
) -> int:
    """Return about how much memory buffers and batches take, in bytes.

    Buffers are counted with rows of the mean length, and batches with their longest.

    Args:
        dataset: the dataset that the rows belong to.
        rows_per_buffer: number of rows of a buffer.
        batch_size: number of rows of a micro-batch.
        lifetime: number of micro-batches that are used at a time.
    """
    layout, fields = dataset.layout, dataset.fields
    assert isinstance(layout, FilesLayout)
    assert isinstance(fields, dict)
    longest = {
        one.name: one.addresses.longest
        for one in layout.stored
        if isinstance(one.addresses, Ragged)
    }
    bytes_of_row = sum(
        fields[name].row_bytes * max(1, longest.get(view.stored, 1))
        for name, view in layout.views.items()
    )
    buffers = 2 * rows_per_buffer * (layout.row_bytes + _BYTES_OF_PLACES)
    return buffers + (lifetime + 1) * batch_size * bytes_of_row
