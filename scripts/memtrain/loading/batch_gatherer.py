"""Gathers micro-batches out of filled buffers, into memory that is used again and again."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate

from memtrain.data.memmap_dataset import MemmapDataset, to_tensors
from memtrain.loading.row_order import BufferOrder
from memtrain.loading.shuffle_buffer import FilledBuffer

Batch = torch.Tensor | dict[str, torch.Tensor]

#: Small micro-batches are gathered several at a time: as many as stay in a core's own cache.
_GATHERED_BYTES = 1 << 20

#: Where tensors begin. The last bits of a matrix product can depend on it, so it is the same for
#: every batch, whatever it was gathered with.
_ALIGNMENT_BYTES = 64


class BatchGatherer:
    """Turns filled buffers into micro-batches.

    Args:
        dataset: whose rows they are, with its transform.
        batch_size: rows of a micro-batch, but for short ones.
        lifetime: how many more micro-batches may be taken before one is written over.
        rows_per_block: of the row order.
        views: whether rows that lie in order may be handed out where they are.
        device: where batches go; for a CUDA device they pass through pinned memory.
    """

    def __init__(
        self,
        dataset: MemmapDataset,
        batch_size: int,
        lifetime: int,
        rows_per_block: int,
        views: bool,
        device: torch.device,
    ):
        self._dataset, self._transform = dataset, dataset.transform
        self._batch_size, self._rows_per_block = batch_size, rows_per_block
        self._fields = _fields(dataset)
        self._gives_views = views and self._transform is None and _are_tensors(dataset)
        self._at_a_time = _count_at_a_time(self._fields, batch_size)
        self._device = device
        rows = batch_size * self._at_a_time
        slots = _slots_of_ring(lifetime, self._at_a_time)
        self._ring = [_Slot(self._fields, rows, device) for _ in range(slots)]
        self._records = np.empty((rows, *dataset.layout.row_shape), dataset.layout.dtype)
        self._next_slot = 0

    def batches(
        self, filled: FilledBuffer, before: Callable[[], None], skipped: int = 0
    ) -> Iterator[Batch]:
        """Yield the micro-batches of a buffer.

        Args:
            filled: the buffer.
            before: called before rows are touched.
            skipped: how many of its micro-batches to leave out at the front.
        """
        sizes = filled.order.sizes.reshape(-1)
        sizes = sizes[sizes > 0]
        ends = np.cumsum(sizes)
        unbroken = _Unbroken(filled.order, self._rows_per_block) if self._gives_views else None
        for first, count in self._groups(sizes, skipped):
            end = int(ends[first + count - 1])
            start = int(ends[first] - sizes[first])
            before()
            if unbroken is not None and unbroken.has(start, end):
                yield from self._views(filled, start, end, count)
            else:
                yield from self._gathered(filled, start, end, count)

    def _groups(self, sizes: np.ndarray, skipped: int) -> Iterator[tuple[int, int]]:
        """Yield the first micro-batch and the number of those that are gathered together."""
        full = int((sizes == self._batch_size).sum())
        for first in range(skipped, full, self._at_a_time):
            yield first, min(self._at_a_time, full - first)
        # Short ones would move those after them off their alignment.
        for first in range(max(skipped, full), len(sizes)):
            yield first, 1

    def _views(self, filled: FilledBuffer, start: int, end: int, count: int) -> Iterator[Batch]:
        place = int(filled.places[start])
        rows = filled.rows[place : place + end - start]
        yield from _split(to_tensors(_by_field(rows, self._fields)), count, self._batch_size)

    def _gathered(self, filled: FilledBuffer, start: int, end: int, count: int) -> Iterator[Batch]:
        if end - start == count * self._batch_size:
            slot = self._ring[self._next_slot]
            self._next_slot = (self._next_slot + 1) % len(self._ring)
        else:
            # A short micro-batch, of which an epoch has few: memory of its own.
            slot = _Slot(self._fields, end - start, self._device)
        slot.wait()
        self._gather(filled, start, end, slot.arrays)
        batches = self._transformed(slot, end - start, count)
        if self._device.type == "cpu":
            yield from batches
            return
        moved = [_to_device(batch, self._device) for batch in batches]
        slot.note_copies()
        yield from moved

    def _gather(self, filled: FilledBuffer, start: int, end: int, arrays: dict) -> None:
        """Gather rows ``[start, end)`` of a buffer's order into arrays, a field each."""
        places, rows = filled.places[start:end], end - start
        # mode="clip" spares a buffered copy; the places are right by their making.
        if self._fields.keys() == {None} and self._records.dtype == arrays[None].dtype:
            np.take(filled.rows, places, axis=0, out=arrays[None][:rows], mode="clip")
            return
        records = self._records[:rows]
        np.take(filled.rows, places, axis=0, out=records, mode="clip")
        for name, array in arrays.items():
            array[:rows] = records if name is None else records[name]

    def _transformed(self, slot: "_Slot", rows: int, count: int) -> Iterator[Batch]:
        transform, size = self._transform, self._batch_size
        if transform is None:
            yield from _split(_unwrapped(slot.first(rows)), count, size)
        elif getattr(transform, "row_wise", False):
            content = transform(_unwrapped(slot.first_arrays(rows)))
            yield from map(_aligned, _split(to_tensors(content), count, size))
        else:
            for start in range(0, rows, size):
                part = slot.first_arrays(min(rows, start + size), start)
                yield _aligned(self._transformed_batch(_unwrapped(part)))

    def _transformed_batch(self, batch: Any) -> Batch:
        if getattr(self._transform, "batched", False):
            return to_tensors(self._transform(batch))
        first = next(iter(batch.values())) if isinstance(batch, dict) else batch
        rows = (_row(batch, number) for number in range(len(first)))
        return default_collate([to_tensors(self._transform(row)) for row in rows])


def memory_of_gathering(dataset: MemmapDataset, batch_size: int, lifetime: int) -> int:
    """Return the memory that a ``BatchGatherer`` takes, in bytes."""
    fields = _fields(dataset)
    at_a_time = _count_at_a_time(fields, batch_size)
    group = at_a_time * sum(_bytes_of_batch(fields, batch_size))
    records = at_a_time * batch_size * dataset.layout.row_bytes
    return _slots_of_ring(lifetime, at_a_time) * group + records


def _slots_of_ring(lifetime: int, at_a_time: int) -> int:
    """Return how many groups of micro-batches are in memory at a time.

    Groups at the end of a buffer are shorter, at most every other one; three more for the border
    of an epoch.
    """
    return 2 * -(-lifetime // at_a_time) + 3


class _Slot:
    """Output arrays for one group of micro-batches, a tensor a field."""

    def __init__(self, fields: dict, rows: int, device: torch.device):
        pinned = device.type == "cuda"
        self.tensors = {
            name: torch.empty((rows, *shape), dtype=_torch_dtype(dtype), pin_memory=pinned)
            for name, (dtype, shape) in fields.items()
        }
        self.arrays = {name: tensor.numpy() for name, tensor in self.tensors.items()}
        self._copied: torch.cuda.Event | None = None

    def first(self, rows: int) -> dict:
        """Return the first rows of every tensor."""
        return {name: tensor[:rows] for name, tensor in self.tensors.items()}

    def first_arrays(self, end: int, start: int = 0) -> dict:
        """Return rows ``[start, end)`` of every array."""
        return {name: array[start:end] for name, array in self.arrays.items()}

    def note_copies(self) -> None:
        """Remember that copies to the device are under way."""
        self._copied = torch.cuda.Event()
        self._copied.record()

    def wait(self) -> None:
        """Wait until nothing is copied from here any more."""
        if self._copied is not None:
            self._copied.synchronize()


class _Unbroken:
    """Knows which rows of a buffer lie next to each other, by their numbers alone.

    Runs that lie next to each other in the file do so in a buffer of blocks as well where a block
    begins between them, and only there: whether a batch is a view must not depend on where its rows
    were read to.
    """

    def __init__(self, order: BufferOrder, rows_per_block: int):
        starts, ends = order.starts, order.ends
        broken = (starts[1:] != ends[:-1]) | (starts[1:] % rows_per_block != 0)
        self._breaks = np.cumsum(ends - starts)[:-1][broken]

    def has(self, start: int, end: int) -> bool:
        """Return whether rows ``[start, end)`` of the order have no break among them."""
        first, last = np.searchsorted(self._breaks, [start, end - 1], side="right")
        return bool(first == last)


def _count_at_a_time(fields: dict, batch_size: int) -> int:
    """Return how many micro-batches are gathered together, each with its tensors aligned."""
    sizes = _bytes_of_batch(fields, batch_size)
    if any(size % _ALIGNMENT_BYTES for size in sizes):
        return 1
    return max(1, _GATHERED_BYTES // max(1, sum(sizes)))


def _bytes_of_batch(fields: dict, batch_size: int) -> list[int]:
    return [
        batch_size * dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        for dtype, shape in fields.values()
    ]


def _fields(dataset: MemmapDataset) -> dict[str | None, tuple[np.dtype, tuple[int, ...]]]:
    """Return dtype and row shape of every field in memory."""
    layout = dataset.layout
    if layout.dtype.names is None:
        return {None: (dataset.tensor_dtypes[None], layout.row_shape)}
    return {
        name: (dataset.tensor_dtypes[name], dtype.shape) for name, dtype in layout.fields.items()
    }


def _are_tensors(dataset: MemmapDataset) -> bool:
    """Return whether the fields of a file are what tensors are, where they lie."""
    layout = dataset.layout
    if layout.dtype.names is None:
        return layout.dtype == dataset.tensor_dtypes[None]
    places = [(dtype.base, layout.dtype.fields[name][1]) for name, dtype in layout.fields.items()]
    return all(
        found == wanted and place % found.itemsize == 0 and layout.row_bytes % found.itemsize == 0
        for (found, place), wanted in zip(places, dataset.tensor_dtypes.values(), strict=True)
    )


def _by_field(rows: np.ndarray, fields: dict) -> Any:
    return rows if None in fields else {name: rows[name] for name in fields}


def _unwrapped(content: dict) -> Any:
    return content.get(None, content)


def _row(batch: Any, number: int) -> Any:
    if isinstance(batch, dict):
        return {name: value[number] for name, value in batch.items()}
    return batch[number]


def _split(content: Any, count: int, size: int) -> Iterator[Batch]:
    if count == 1:
        yield content
    elif isinstance(content, dict):
        names = content.keys()
        for parts in zip(*(value.split(size) for value in content.values()), strict=True):
            yield dict(zip(names, parts, strict=True))
    else:
        yield from content.split(size)


def _aligned(batch: Batch) -> Batch:
    if isinstance(batch, dict):
        return {name: _aligned(value) for name, value in batch.items()}
    return batch.clone() if batch.data_ptr() % _ALIGNMENT_BYTES else batch


def _to_device(batch: Batch, device: torch.device) -> Batch:
    if isinstance(batch, dict):
        return {name: value.to(device, non_blocking=True) for name, value in batch.items()}
    return batch.to(device, non_blocking=True)


def _torch_dtype(dtype: np.dtype) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype
