"""Gathers micro-batches of rows that vary in length, padded, into memory that is used again."""

from collections.abc import Callable, Iterator
from itertools import cycle, pairwise
from math import prod

import numpy as np
import torch

from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.padded_rows import PaddedRows
from memtrain.data.padding import longest_of, mask_name, mask_of, padded
from memtrain.data.row_decoding import Batch
from memtrain.data.streams.row_addresses import Ragged
from memtrain.loading.device_copies import to_device
from memtrain.loading.gathered_fields import GatheredFields
from memtrain.loading.pages import aligned_bytes
from memtrain.loading.shuffle_buffer import FilledBuffer, FilledField


class PaddedGatherer:
    """Turns filled buffers into micro-batches, where some fields vary in length.

    Args:
        dataset: the dataset that the rows belong to, with its transform.
        batch_size: number of rows of a micro-batch; the last ones of an epoch may have fewer.
        lifetime: number of further micro-batches that may be taken before one is overwritten.
        device: device that batches go to.
    """

    def __init__(
        self, dataset: MemmapDataset, *, batch_size: int, lifetime: int, device: torch.device
    ):
        assert isinstance(dataset.layout, FilesLayout)
        assert isinstance(dataset.fields, dict)
        self._dataset = dataset
        self._layout, self._fields = dataset.layout, dataset.fields
        self._device = device
        self._values = GatheredFields(dataset)
        self._scratch = self._values.scratch(batch_size)
        self._numbers = {one.name: number for number, one in enumerate(self._layout.stored)}
        self._padders = {
            one.name: PaddedRows(one.stream) for one in self._layout.stored if one.is_ragged
        }
        self._slots = cycle([_Memory() for _ in range(_ring_size(lifetime))])

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
        bounds = [0, *np.cumsum(sizes[sizes > 0]).tolist()]
        for start, end in list(pairwise(bounds))[skipped:]:
            before_touching()
            batch = self._dataset.transformed(self._gathered(filled, start, end))
            if self._device.type != "cpu":
                batch = to_device(batch, self._device)
            yield batch

    def _gathered(self, filled: FilledBuffer, start: int, end: int) -> dict[str, np.ndarray]:
        """Return rows ``[start, end)`` of a buffer's order as decoded arrays, padded."""
        memory = next(self._slots)
        wholes = [
            memory.array(str(number), (end - start, *whole.field.shape), whole.field.dtype)
            for number, whole in enumerate(self._values.wholes)
        ]
        self._values.gather(filled, start, end, wholes, self._scratch)
        plain = self._values.fields(wholes)
        assert isinstance(plain, dict)
        arrays: dict[str, np.ndarray] = {}
        for name, view in self._layout.views.items():
            if name in plain:
                arrays[name] = plain[name]
            else:
                rows = filled.fields[self._numbers[view.stored]]
                arrays |= self._padded(name, rows, slice(start, end), memory)
        return arrays

    def _padded(
        self, name: str, rows: FilledField, part: slice, memory: "_Memory"
    ) -> dict[str, np.ndarray]:
        """Return a padded field of some rows of a buffer, and what stands beside it."""
        view, field = self._layout.views[name], self._fields[name]
        assert rows.lengths is not None
        starts, lengths = view.trimmed(rows.places[part], rows.lengths[part])
        shape = (len(starts), longest_of(lengths))
        out = memory.array(name, (*shape, *field.shape), field.dtype)
        self._padders[view.stored].copy(rows.elements, view, starts, lengths, out)
        mask = mask_of(lengths, out=memory.array(mask_name(name), shape, np.dtype(bool)))
        return padded(name, out, lengths, mask)


def padded_gathering_memory_bytes(dataset: MemmapDataset, batch_size: int, lifetime: int) -> int:
    """Return the memory that a ``PaddedGatherer`` takes at most, in bytes.

    Args:
        dataset: the dataset that the rows belong to.
        batch_size: number of rows of a micro-batch.
        lifetime: number of further micro-batches that may be taken before one is overwritten.
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
        (fields[name].row_bytes + 1) * max(1, longest.get(view.stored, 1))
        for name, view in layout.views.items()
    )
    return (_ring_size(lifetime) + 1) * batch_size * bytes_of_row


def _ring_size(lifetime: int) -> int:
    return lifetime + 1


class _Memory:
    """Memory for one micro-batch, which grows with the longest row so far."""

    def __init__(self) -> None:
        self._areas: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the memory of a name as an array, with what was left in it."""
        size = prod(shape) * dtype.itemsize
        area = self._areas.get(name)
        if area is None or len(area) < size:
            area = self._areas[name] = aligned_bytes(size)
        return area[:size].view(dtype).reshape(shape)
