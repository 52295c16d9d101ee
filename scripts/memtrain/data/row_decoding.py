"""From raw rows to tensors: the one decoder of single rows, batches and shuffle buffers.

====================  ===========================================================================
stage                 what a batch of n rows is
====================  ===========================================================================
raw rows              (n, ...) in the file's dtype: values or records, in any byte order
decoded arrays        one array (n, ...) of every field, in a dtype that tensors have
transformed           what the dataset's transform returns for one row, or for all n at once
tensors               one tensor (n, ...) of every field; float64 has become float32 by default
====================  ===========================================================================

The fields of a record are the items of a dict. A plain file has one field without a name: its
array or tensor stands for itself. ``map_fields`` treats both alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import default_collate

from memtrain.data.formats.dtypes import BFLOAT16
from memtrain.data.layouts import RowLayout
from memtrain.data.record_file import RecordLayout

Item = TypeVar("Item")
Result = TypeVar("Result")

#: A decoded row or batch: one array for a plain file, an array of each field by name for records.
Arrays = np.ndarray | dict[str, np.ndarray]
#: A batch: one tensor for a plain file, a tensor of each field by name for records.
Batch = torch.Tensor | dict[str, torch.Tensor]

Transform = Callable[[Any], Any]

#: PyTorch has few operations for these integers, so they become the next larger type that has all.
_WIDENED: dict[str, np.dtype] = {"uint16": np.dtype(np.int32), "uint32": np.dtype(np.int64)}


@dataclass(frozen=True)
class TensorField:
    """The type of a field in memory.

    Attributes:
        dtype: the dtype of its decoded array, which is one that tensors have.
        shape: the shape of one row.
    """

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """The size of one row of this field in memory, in bytes."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))


#: The fields of a file: one without a name (a plain file), or those of its records by name.
TensorFields = TensorField | dict[str, TensorField]


def map_fields(
    function: Callable[[Item], Result], content: Item | dict[str, Item]
) -> Result | dict[str, Result]:
    """Apply a function to the field of a plain file, or to every field of a record."""
    if isinstance(content, dict):
        return {name: function(value) for name, value in content.items()}
    return function(content)


def list_fields(content: Item | dict[str, Item]) -> list[Item]:
    """Return the field of a plain file, or the fields of a record, as a list."""
    return list(content.values()) if isinstance(content, dict) else [content]


def nth_row(content: Any, number: int) -> Any:
    """Return one row of a batch of arrays or tensors."""
    return map_fields(lambda values: values[number], content)


def slice_rows(content: Any, start: int, end: int) -> Any:
    """Return the rows ``[start, end)`` of a batch of arrays or tensors, without a copy."""
    return map_fields(lambda values: values[start:end], content)


def tensor_fields(layout: RowLayout, filename: str, doubles: bool = False) -> TensorFields:
    """Return the fields that a file's rows have in memory.

    Floats become float32, and integers keep their type, so that labels and images stay small and no
    number of an embedding is rounded.

    Args:
        layout: the layout of the file.
        filename: the path of the file, for the error.
        doubles: whether float64 stays float64, for a transform to centre it, or to be kept.

    Raises:
        ValueError: for values that tensors do not have, such as text.
    """
    if isinstance(layout, RecordLayout) and layout.dtype.names is None:
        return TensorField(tensor_dtype(filename, layout.dtype, doubles), layout.row_shape)
    return {
        name: TensorField(tensor_dtype(filename, dtype.base, doubles), dtype.shape)
        for name, dtype in layout.fields.items()
    }


def empty_arrays(fields: TensorFields, *rows: int) -> Arrays:
    """Return new arrays for a number of rows; without a number, for a single row."""
    return map_fields(lambda field: np.empty((*rows, *field.shape), field.dtype), fields)


def decode(raw: Any, out: Arrays) -> None:
    """Copy raw rows into arrays, converting every field.

    Args:
        raw: a raw row, or raw rows (n, ...), in the file's dtype.
        out: the arrays to fill, with space for these rows.
    """
    if isinstance(out, dict):
        for name, array in out.items():
            array[...] = raw[name]
    else:
        out[...] = raw


def gather(
    raw: np.ndarray, places: np.ndarray, out: Arrays, scratch: np.ndarray | None = None
) -> None:
    """Copy raw rows from any places into arrays, converting every field.

    Args:
        raw: (rows, ...) in the file's dtype.
        places: int64 (n,), the rows to copy; each must be at least 0 and less than ``len(raw)``.
        out: the arrays to fill, with space for n rows.
        scratch: (n, ...) in the file's dtype, memory for the raw rows; allocated if not given.
    """
    # With the default mode, NumPy copies through a buffer, since it checks places as it goes.
    if not isinstance(out, dict) and out.dtype == raw.dtype:
        np.take(raw, places, axis=0, out=out, mode="clip")
    else:
        decode(np.take(raw, places, axis=0, out=scratch, mode="clip"), out)


def are_stored_as_tensors(layout: RecordLayout, fields: TensorFields) -> bool:
    """Return whether tensors can use a file's rows where they lie, without decoding."""
    if not isinstance(fields, dict):
        return layout.dtype == fields.dtype
    return all(_is_stored_as(layout, name, field) for name, field in fields.items())


def view(raw: np.ndarray, fields: TensorFields) -> Batch:
    """Return raw rows (n, ...) as tensors without a copy; ``are_stored_as_tensors`` must hold."""
    if isinstance(fields, dict):
        return {name: torch.from_numpy(raw[name]) for name in fields}
    return torch.from_numpy(raw)


def is_batched(transform: Transform | None) -> bool:
    """Return whether a transform takes a whole batch; its attribute ``batched`` says so."""
    return bool(getattr(transform, "batched", False))


def is_row_wise(transform: Transform | None) -> bool:
    """Return whether a transform treats every row by itself; its attribute ``row_wise`` says so.

    Such a transform may be called with several batches at once.
    """
    return bool(getattr(transform, "row_wise", False))


def transform_row(transform: Transform | None, row: Arrays, doubles: bool = False) -> Any:
    """Return one decoded row as tensors, after the transform."""
    if transform is None:
        return to_tensors(row, doubles)
    if is_batched(transform):
        batch = to_tensors(transform(map_fields(lambda array: array[np.newaxis], row)), doubles)
        return nth_row(batch, 0)
    return to_tensors(transform(row), doubles)


def transform_each_row(transform: Transform, arrays: Arrays, doubles: bool = False) -> list[Any]:
    """Return the n rows of a decoded batch, each transformed by itself."""
    rows = len(list_fields(arrays)[0])
    return [to_tensors(transform(nth_row(arrays, number)), doubles) for number in range(rows)]


def transform_batch(transform: Transform | None, arrays: Arrays, doubles: bool = False) -> Batch:
    """Return a decoded batch as tensors, after the transform."""
    if transform is None:
        return to_tensors(arrays, doubles)
    if is_batched(transform):
        return to_tensors(transform(arrays), doubles)
    return default_collate(transform_each_row(transform, arrays, doubles))


def to_tensors(content: Any, doubles: bool = False) -> Any:
    """Return an array, or a dict of arrays, as tensors.

    Args:
        content: the arrays; tensors among them stay as they are.
        doubles: whether float64 stays float64; if not, it becomes float32.
    """
    return map_fields(lambda value: _to_tensor(value, doubles), content)


def _to_tensor(value: Any, doubles: bool) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    array = np.asarray(value)
    is_rounded = array.dtype == np.float64 and not doubles
    return torch.from_numpy(array.astype(np.float32) if is_rounded else array)


def tensor_dtype(filename: str, dtype: np.dtype, doubles: bool) -> np.dtype:
    """Return the dtype that values have in memory.

    Args:
        filename: the path of the file, for the error.
        dtype: their dtype in the file.
        doubles: whether float64 stays float64.

    Raises:
        ValueError: for values that tensors do not have, such as text.
    """
    if dtype == BFLOAT16:
        return np.dtype(np.float32)
    if dtype.kind == "f":
        return np.dtype(np.float64 if doubles and dtype.itemsize == 8 else np.float32)
    if dtype.kind in "iub" and dtype.name != "uint64":
        return _WIDENED.get(dtype.name, dtype.newbyteorder("="))
    raise ValueError(f"{filename} holds {dtype}, which tensors do not have; store numbers instead")


def _is_stored_as(layout: RecordLayout, name: str, field: TensorField) -> bool:
    """Return whether a record's field has its tensor's dtype and is aligned to its items."""
    offsets: dict[str, int] = {
        each: offset for each, (_, offset, *_) in (layout.dtype.fields or {}).items()
    }
    item_bytes = field.dtype.itemsize
    is_aligned = offsets[name] % item_bytes == 0 and layout.row_bytes % item_bytes == 0
    return layout.fields[name].base == field.dtype and is_aligned
