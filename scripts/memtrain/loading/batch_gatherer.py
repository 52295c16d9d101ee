"""Gathers micro-batches from filled shuffle buffers, into memory that is used again and again."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch

from memtrain.data import row_decoding
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import RecordLayout
from memtrain.data.row_decoding import Arrays, Batch, map_fields
from memtrain.loading.device_copies import to_device
from memtrain.loading.gathered_fields import GatheredFields, as_elements
from memtrain.loading.row_order import BufferOrder
from memtrain.loading.shuffle_buffer import FilledBuffer

#: Most bytes of micro-batches that are gathered together, as one group: these fit a core's own
#: cache. A larger micro-batch is a group by itself.
_GROUP_BYTES = 1 << 20

#: Every gathered tensor begins at an address that is a multiple of this, whatever else is in its
#: group: the last bits of a matrix product can depend on where its operands begin.
_ALIGNMENT_BYTES = 64


class BatchGatherer:
    """Turns filled buffers into micro-batches.

    Args:
        dataset: the dataset that the rows belong to, with its transform.
        batch_size: number of rows of a micro-batch; the last ones of an epoch may have fewer.
        lifetime: number of further micro-batches that may be taken before one is overwritten.
        rows_per_block: number of rows of a block in the row order.
        views: whether micro-batches of adjacent rows may be views of the buffer instead of copies.
        device: device that batches go to; they reach a CUDA device through pinned memory.
    """

    def __init__(
        self,
        dataset: MemmapDataset,
        *,
        batch_size: int,
        lifetime: int,
        rows_per_block: int,
        views: bool,
        device: torch.device,
    ):
        self._fields = dataset.fields
        self._values = GatheredFields(dataset)
        self._transform = dataset.transform
        self._doubles = dataset.float64
        self._batch_size = batch_size
        self._rows_per_block = rows_per_block
        self._layout = dataset.layout
        self._gives_views = (
            views
            and self._transform is None
            and isinstance(self._layout, RecordLayout)
            and row_decoding.are_stored_as_tensors(self._layout, self._fields)
        )
        self._group_size = _group_size(self._values, batch_size)
        self._device = device
        rows = batch_size * self._group_size
        slots = _ring_size(lifetime, self._group_size)
        self._ring = [_OutputSlot(self._values, rows, device) for _ in range(slots)]
        self._next_slot = 0
        self._scratch = self._values.scratch(rows)

    def batches(
        self, filled: FilledBuffer, before_touching: Callable[[], None], skipped: int = 0
    ) -> Iterator[Batch]:
        """Yield the micro-batches of a buffer.

        Args:
            filled: the buffer.
            before_touching: function that is called each time before rows are read from memory.
            skipped: number of micro-batches to leave out at the beginning.
        """
        sizes = filled.order.sizes.reshape(-1)
        sizes = sizes[sizes > 0]
        bounds = [0, *np.cumsum(sizes).tolist()]
        gapless = _GaplessRows(filled.order, self._rows_per_block) if self._gives_views else None
        for first, end in self._groups(sizes, skipped):
            group_bounds = bounds[first : end + 1]
            before_touching()
            if gapless is not None and gapless.contains(group_bounds[0], group_bounds[-1]):
                yield from self._views(filled, group_bounds)
            else:
                yield from self._gathered(filled, group_bounds)

    def _groups(self, sizes: np.ndarray, skipped: int) -> Iterator[tuple[int, int]]:
        """Yield the bounds ``[first, end)`` of each group of micro-batches.

        Args:
            sizes: int64 (micro-batches,), the number of rows of each.
            skipped: the first micro-batch of the first group.
        """
        full = int((sizes == self._batch_size).sum())
        for first in range(skipped, full, self._group_size):
            yield first, min(first + self._group_size, full)
        # A short micro-batch would misalign the next one, so each is gathered by itself.
        for first in range(max(skipped, full), len(sizes)):
            yield first, first + 1

    def _views(self, filled: FilledBuffer, bounds: list[int]) -> Iterator[Batch]:
        """Yield micro-batches of adjacent rows as views of the buffer."""
        (field,) = filled.fields
        place = int(field.places[bounds[0]])
        elements = as_elements(field.elements, self._layout.dtype, self._layout.row_shape)
        rows = elements[place : place + bounds[-1] - bounds[0]]
        yield from _cut(row_decoding.view(rows, self._fields), bounds)

    def _gathered(self, filled: FilledBuffer, bounds: list[int]) -> Iterator[Batch]:
        """Yield micro-batches whose rows are copied to an output slot.

        Args:
            filled: the buffer.
            bounds: where the micro-batches begin in the buffer's order, and where the last ends.
        """
        slot = self._slot_for(bounds)
        slot.wait_for_copies()
        rows = bounds[-1] - bounds[0]
        wholes = [array[:rows] for array in slot.wholes]
        self._values.gather(filled, bounds[0], bounds[-1], wholes, self._scratch)
        batches = self._transformed(slot, bounds)
        if self._device.type == "cpu":
            yield from batches
            return
        moved = [to_device(batch, self._device) for batch in batches]
        slot.note_copies(self._device)
        yield from moved

    def _slot_for(self, bounds: list[int]) -> "_OutputSlot":
        rows = bounds[-1] - bounds[0]
        if rows != (len(bounds) - 1) * self._batch_size:
            # A short micro-batch. An epoch has few of them, so it gets memory of its own.
            return _OutputSlot(self._values, rows, self._device)
        slot = self._ring[self._next_slot]
        self._next_slot = (self._next_slot + 1) % len(self._ring)
        return slot

    def _transformed(self, slot: "_OutputSlot", bounds: list[int]) -> Iterator[Batch]:
        """Yield the micro-batches of an output slot, after the transform.

        Args:
            slot: the slot that holds them.
            bounds: where the micro-batches begin in the buffer's order, and where the last ends.
        """
        rows = bounds[-1] - bounds[0]
        if self._transform is None:
            is_full = rows == len(slot.wholes[0])
            tensors = slot.tensors if is_full else row_decoding.slice_rows(slot.tensors, 0, rows)
            yield from _cut(tensors, bounds)
            return
        arrays = row_decoding.slice_rows(slot.arrays, 0, rows)
        if row_decoding.is_row_wise(self._transform):
            together = row_decoding.to_tensors(self._transform(arrays), self._doubles)
            yield from map(_aligned, _cut(together, bounds))
        else:
            for start, end in pairwise(bounds):
                batch = row_decoding.slice_rows(arrays, start - bounds[0], end - bounds[0])
                yield _aligned(row_decoding.transform_batch(self._transform, batch, self._doubles))


def gathering_memory_bytes(dataset: MemmapDataset, batch_size: int, lifetime: int) -> int:
    """Return the memory that a ``BatchGatherer`` takes, in bytes.

    Args:
        dataset: the dataset that the rows belong to.
        batch_size: number of rows of a micro-batch.
        lifetime: number of further micro-batches that may be taken before one is overwritten.
    """
    gathered = GatheredFields(dataset)
    group_size = _group_size(gathered, batch_size)
    group_rows = group_size * batch_size
    scratch_bytes = group_rows * dataset.layout.row_bytes
    return _ring_size(lifetime, group_size) * group_rows * gathered.row_bytes + scratch_bytes


def _group_size(gathered: GatheredFields, batch_size: int) -> int:
    """Return how many micro-batches are gathered together, with each of their tensors aligned."""
    sizes = [batch_size * whole.field.row_bytes for whole in gathered.wholes]
    if any(size % _ALIGNMENT_BYTES for size in sizes):
        return 1
    return max(1, _GROUP_BYTES // max(1, sum(sizes)))


def _ring_size(lifetime: int, group_size: int) -> int:
    """Return how many groups of micro-batches are in memory at a time.

    The last group of a buffer may be short, and a buffer may have only two, so every second group
    may be short. Three more groups are for the border between two epochs.
    """
    return 2 * -(-lifetime // group_size) + 3


class _OutputSlot:
    """Memory for one group of micro-batches: the same bytes as tensors and as arrays.

    Attributes:
        wholes: the arrays that rows are gathered into, one for each of the gathered values.
        tensors: a tensor (rows, ...) of every field; pinned, if batches go to a CUDA device.
        arrays: NumPy arrays of the fields, which share the memory of the tensors.
    """

    def __init__(self, gathered: GatheredFields, rows: int, device: torch.device):
        is_pinned = device.type == "cuda"
        tensors = [
            torch.empty(
                (rows, *whole.field.shape),
                dtype=_torch_dtype(whole.field.dtype),
                pin_memory=is_pinned,
            )
            for whole in gathered.wholes
        ]
        self.wholes = [tensor.numpy() for tensor in tensors]
        self.tensors: Batch = gathered.fields(tensors)
        self.arrays: Arrays = gathered.fields(self.wholes)
        self._copied: torch.cuda.Event | None = None

    def note_copies(self, device: torch.device) -> None:
        """Note that copies from this slot to a CUDA device have begun."""
        self._copied = torch.cuda.Event()
        # By default an event waits for the first GPU, whichever one the copies go to.
        self._copied.record(torch.cuda.current_stream(device))

    def wait_for_copies(self) -> None:
        """Wait until all copies from this slot to the device have ended."""
        if self._copied is not None:
            self._copied.synchronize()


class _GaplessRows:
    """Tells which rows of a buffer lie next to each other, from their row numbers alone.

    Two runs that are neighbours in the file are neighbours in a buffer of blocks only if a block
    begins between them. The same rule is applied to rows of the mapped file, since whether a batch
    is a view must not depend on the reader.
    """

    def __init__(self, order: BufferOrder, rows_per_block: int):
        starts, ends = order.runs.starts, order.runs.ends
        has_gap = (starts[1:] != ends[:-1]) | (starts[1:] % rows_per_block != 0)
        self._gaps = np.cumsum(ends - starts)[:-1][has_gap]

    def contains(self, start: int, end: int) -> bool:
        """Return whether there is no gap among the rows ``[start, end)`` of the order."""
        first, last = np.searchsorted(self._gaps, [start, end - 1], side="right")
        return bool(first == last)


def _cut(tensors: Batch, bounds: list[int]) -> Iterator[Batch]:
    """Cut the tensors of a group into its micro-batches.

    Args:
        tensors: the tensors of all rows of the group.
        bounds: positions of the first row of each micro-batch, then of the end of the last, from
            any origin. If there are several micro-batches, they have the same number of rows.
    """
    if len(bounds) == 2:
        yield tensors
        return
    rows = bounds[1] - bounds[0]
    # One split for all micro-batches is several times as fast as a slice for each.
    if isinstance(tensors, dict):
        for parts in zip(*(tensor.split(rows) for tensor in tensors.values()), strict=True):
            yield dict(zip(tensors, parts, strict=True))
    else:
        yield from tensors.split(rows)


def _aligned(batch: Batch) -> Batch:
    return map_fields(
        lambda tensor: tensor.clone() if tensor.data_ptr() % _ALIGNMENT_BYTES else tensor, batch
    )


def _torch_dtype(dtype: np.dtype) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype
