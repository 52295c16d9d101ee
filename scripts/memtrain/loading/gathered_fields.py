"""Gathers rows from filled buffers: what is copied at once, and what of it is a field of a batch.

A field of the rows may be a part of a stored field: the target of a token is the same window of the
stream, one element later. Such fields are views of values that are gathered and converted once.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from memtrain.data import row_decoding
from memtrain.data.field_view import FieldView
from memtrain.data.layouts import RowLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import RecordLayout
from memtrain.data.row_decoding import Item, TensorField
from memtrain.data.streams.row_addresses import Consecutive, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.loading.shuffle_buffer import FilledBuffer


def stored_fields(dataset: MemmapDataset) -> tuple[StoredField, ...]:
    """Return the stored fields of the rows of a dataset."""
    layout = dataset.layout
    if isinstance(layout, RecordLayout):
        return (layout.stored(dataset.filename),)
    return layout.stored


@dataclass(frozen=True)
class Whole:
    """Values that are gathered and converted together.

    Attributes:
        stored: number of the stored field.
        view: what of its rows the values are.
        field: the type that they have in memory.
    """

    stored: int
    view: FieldView
    field: TensorField


class GatheredFields:
    """What is gathered of the rows of a dataset, but for fields that vary in length.

    Args:
        dataset: the dataset.

    Attributes:
        wholes: the values that are gathered, each once.
        row_bytes: size of these values of one row, in bytes.
    """

    def __init__(self, dataset: MemmapDataset):
        layout = dataset.layout
        self._stored = stored_fields(dataset)
        self._is_plain = isinstance(layout, RecordLayout) and layout.dtype.names is None
        doubles = dataset.float64 or dataset.transform is not None
        self.wholes: list[Whole] = []
        self._whole_of: dict[str, int] = {}
        numbers: dict[tuple[str, tuple[str, ...]], int] = {}
        is_ragged = {one.name: one.is_ragged for one in self._stored}
        self._views = {
            name: view for name, view in layout.views.items() if not is_ragged[view.stored]
        }
        for name, view in self._views.items():
            key = (view.stored, view.record_fields)
            if key not in numbers:
                numbers[key] = len(self.wholes)
                self.wholes.append(self._whole(view, layout, dataset.filename, doubles))
            self._whole_of[name] = numbers[key]
        # Of every stored field, the values that are gathered of it, and their numbers.
        self._wholes_of = [
            [(at, whole) for at, whole in enumerate(self.wholes) if whole.stored == number]
            for number in range(len(self._stored))
        ]
        self.row_bytes = sum(whole.field.row_bytes for whole in self.wholes)

    def scratch(self, rows: int) -> list[np.ndarray]:
        """Return memory for rows on their way to the arrays: (rows, ...) of each stored field."""
        return [
            np.empty(0 if one.is_ragged else (rows, *one.row_shape), one.stream.dtype)
            for one in self._stored
        ]

    def gather(
        self,
        filled: FilledBuffer,
        start: int,
        end: int,
        out: list[np.ndarray],
        scratch: list[np.ndarray],
    ) -> None:
        """Copy rows of a buffer into arrays, converting every value.

        Args:
            filled: the buffer.
            start: the first row of its order that is copied.
            end: the row of its order after the last.
            out: an array (end - start, ...) for each of ``wholes``.
            scratch: what ``scratch`` returned, for at least as many rows.
        """
        for number, wholes in enumerate(self._wholes_of):
            if not wholes:
                continue
            field, rows = self._stored[number], filled.fields[number]
            places = rows.places[start:end]
            at, whole = wholes[0]
            if len(wholes) == 1 and _is_raw(field, whole):
                _take(field, rows.elements, places, out[at])
                continue
            raw = scratch[number][: end - start]
            _take(field, rows.elements, places, raw)
            for at, whole in wholes:
                out[at][...] = whole.view.whole_of(raw)

    def fields(self, wholes: list[Item]) -> Item | dict[str, Item]:
        """Return the fields of the rows, given an array or a tensor for each of ``wholes``.

        Returns:
            The array of a plain file; a dict of arrays by the fields' names for other rows.
        """
        if self._is_plain:
            return wholes[0]
        return {
            name: view.part_of(wholes[self._whole_of[name]]) for name, view in self._views.items()
        }

    def _whole(self, view: FieldView, layout: RowLayout, filename: str, doubles: bool) -> Whole:
        number = [one.name for one in self._stored].index(view.stored)
        stored = self._stored[number]
        values = view.whole_of(np.empty((1, *stored.row_shape), stored.stream.dtype))
        dtype = row_decoding.tensor_dtype(filename, values.dtype, doubles)
        return Whole(
            number, FieldView(view.stored, view.record_fields), TensorField(dtype, values.shape[1:])
        )


def _is_raw(field: StoredField, whole: Whole) -> bool:
    """Return whether values are in memory what they are in the files."""
    return not whole.view.record_fields and field.stream.dtype == whole.field.dtype


def _take(field: StoredField, elements: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """Copy rows as they are.

    Args:
        field: the stored field.
        elements: uint8 (bytes,), its elements one after the other.
        places: int64 (n,), the first element of each row.
        out: (n, ...) in the dtype of the field, contiguous.
    """
    stream, addresses = field.stream, field.addresses
    if isinstance(addresses, Consecutive):
        values = as_elements(elements, stream.dtype, stream.shape)
        if not values.flags.aligned:
            # NumPy would copy all elements first. Bytes without a type need no alignment.
            values, out = _untyped(values, field.row_bytes), _untyped(out, field.row_bytes)
        # With the default mode, NumPy copies through a buffer, since it checks places as it goes.
        np.take(values, places, axis=0, out=out, mode="clip")
        return
    assert isinstance(addresses, Windows)
    step, width = stream.element_bytes, field.row_bytes
    first = int(places[0]) % addresses.length if len(places) else 0
    numbers, rest = np.divmod(places - first, addresses.length)
    if not rest.any():
        # Windows that do not overlap are rows, which NumPy copies somewhat faster.
        rows = as_elements(elements[first * step :], np.dtype(f"V{width}"), ())
        np.take(rows, numbers, out=_untyped(out, width), mode="clip")
        return
    count = (len(elements) - width) // step + 1
    # NumPy would copy such a view whole before it takes rows from it.
    windows = torch.from_numpy(elements).as_strided((count, width), (step, 1))
    target = torch.from_numpy(out.reshape(len(out), -1).view(np.uint8))
    torch.index_select(windows, 0, torch.from_numpy(places), out=target)


def as_elements(content: np.ndarray, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Return bytes, uint8 (bytes,), as the whole elements that they contain, without a copy."""
    element_bytes = max(1, dtype.itemsize * prod(shape))
    return np.ndarray((len(content) // element_bytes, *shape), dtype, buffer=content.data)


def _untyped(rows: np.ndarray, row_bytes: int) -> np.ndarray:
    """Return contiguous rows as values without a type, (rows,), without a copy."""
    return np.ndarray((len(rows),), f"V{row_bytes}", buffer=rows.reshape(-1).view(np.uint8).data)
