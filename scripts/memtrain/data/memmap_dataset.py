"""``MemmapDataset``: the rows of files, or of a range of them, for a PyTorch ``DataLoader``."""

import operator
import os
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import torch
from torch.utils.data import Dataset
from torch.utils.data._utils.collate import collate, default_collate_fn_map

from memtrain.core.errors import UserError
from memtrain.data import row_decoding
from memtrain.data.batch_transform import transform_padded_batch
from memtrain.data.files_layout import FieldView, FilesLayout, is_description
from memtrain.data.layouts import RowLayout
from memtrain.data.padding import nth_row_of_batch
from memtrain.data.raw_rows import RawRows, open_raw_rows
from memtrain.data.record_file import RecordLayout, check_size, read_record_layout
from memtrain.data.row_decoding import Arrays, Batch, Transform
from memtrain.system.file_content import open_file


class MemmapDataset(Dataset):
    """Rows ``[start_index, end_index)`` of a memory-mapped file, read from the disk as needed.

    The rows may also lie in many files, in fields side by side, or in windows of a stream: pass
    the ``FilesLayout`` of these files, or the path of its description, in place of a file.

    ``dataset[i]`` is row ``start_index + i``: a tensor for a plain dtype, a dict of tensors for a
    structured one. Floats become float32, and float64 does so last, after the transform, which may
    centre it; with ``float64=True`` it stays float64. Integers keep their type, as ``nn.Embedding``
    needs it, and labels and images stay small. Size and byte order in the file do not matter.
    Tensors are copies: writing to one changes no file.

    Where the rows of a field vary in length, a single row has its own length, and a batch is padded
    with zeros to its longest row: beside the field stand ``<field>_lengths``, int64 (rows,), and
    ``<field>_mask``, bool (rows, longest). A transform of single rows sees no padding, a batched
    one sees all three.

    ``DataLoader(dataset, batch_size=32, shuffle=True)`` fetches a batch with one gather and needs
    no further argument. The default collate function receives the rows as a ``RowBatch``, and a
    ``collate_fn`` of your own receives the same object as a sequence of rows.

    A pickled dataset holds its arguments and never the rows: each worker process opens the file
    itself, whatever its start method.

    Args:
        filename: the path of a ``.npy`` file, of a raw file of rows without a header, or of a
            description of rows in files, ``rows.json``; or a ``FilesLayout``.
        dtype: the dtype of one value, or of one record. A raw file needs it; a ``.npy`` file
            describes itself, and a dtype that is passed must agree with it.
        shape: the shape (rows, ...). A raw file needs it; for a ``.npy`` file, a shape that is
            passed must agree with the file.
        transform: a function that takes one row, a NumPy array or a dict of arrays, and returns an
            array, a tensor, or a dict of these. If its attribute ``batched`` is true, it is called
            with a whole batch instead: arrays with one more axis in front.
        start_index: the first row.
        end_index: the row after the last; None for the end of the file.
        float64: whether float64 in the file stays float64 in tensors.

    Attributes:
        source: what the dataset was opened from: the path of a file, or a ``FilesLayout``.
        layout: how the rows lie in the file.
        fields: dtype and row shape of the decoded rows; for records, a dict of these by field.

    Raises:
        ValueError: if the range does not lie within the rows, or if ``dtype`` and ``shape`` are
            missing for a raw file or disagree with a ``.npy`` file.
        UserError: if the file is missing, or its size is not that of its dtype and shape.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str] | FilesLayout,
        dtype: Any = None,
        shape: tuple[int, ...] | int | None = None,
        transform: Transform | None = None,
        start_index: int = 0,
        end_index: int | None = None,
        float64: bool = False,
    ):
        self.source = filename
        self.filename, self.layout = _describe(filename, dtype, shape)
        self.transform = transform
        self.start_index = operator.index(start_index)
        self.end_index = self.layout.rows if end_index is None else operator.index(end_index)
        if not 0 <= self.start_index <= self.end_index <= self.layout.rows:
            raise ValueError(
                f"rows [{self.start_index}, {self.end_index}) do not lie within the "
                f"{self.layout.rows} rows of {self.filename}"
            )
        self.float64 = float64
        self.fields = row_decoding.tensor_fields(
            self.layout, self.filename, doubles=float64 or transform is not None
        )
        self._opened: RawRows | None = None

    def __len__(self) -> int:
        return self.end_index - self.start_index

    def __getitem__(self, index: int) -> Any:
        """Return one row as tensors; a negative index counts from the end of the range."""
        try:
            position = operator.index(index)
        except TypeError:
            raise TypeError(f"the index of a row must be an integer, not {index!r}") from None
        arrays = self._rows.take(np.array([self._row_in_file(position)]), self.fields)
        if self._ragged and row_decoding.is_batched(self.transform):
            return nth_row_of_batch(self.transformed(arrays), 0)
        row = nth_row_of_batch(arrays, 0)
        return row_decoding.transform_row(self.transform, row, self.float64)

    def gather(self, indices: Sequence[int] | np.ndarray) -> Any:
        """Return many rows as one batch, after the transform.

        Args:
            indices: the rows, in any order; a negative index counts from the end of the range.

        Returns:
            A tensor (rows, ...) for a plain file, a dict of such tensors for records; or what the
            transform returns.

        Raises:
            IndexError: if an index does not lie within the range.
        """
        return self.transformed(self._decoded(indices))

    def element_counts(self, field: str, indices: np.ndarray) -> np.ndarray:
        """Return how many elements rows have, without reading them.

        Args:
            field: name of a field.
            indices: int64 (rows,), numbers of rows.

        Returns:
            int64 (rows,): the places on the first axis of a row; 1 for a single value.
        """
        if isinstance(self.layout, FilesLayout) and field in self.layout.ragged:
            return self.layout.lengths(field, self._rows_in_file(indices))
        shape = self.layout.fields[field].shape
        return np.full(len(indices), shape[0] if shape else 1)

    def __getitems__(self, indices: Sequence[int]) -> "RowBatch | list[Any]":
        """Return many rows with one gather, in the form that ``DataLoader`` asks for.

        A transform of single rows may return rows that cannot be stacked, so these stay a list, and
        the collate function of the ``DataLoader`` decides what to do with it.
        """
        arrays = self._decoded(indices)
        if self._ragged or self.transform is None or row_decoding.is_batched(self.transform):
            return RowBatch(self.transformed(arrays))
        return row_decoding.transform_each_row(self.transform, arrays, self.float64)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __repr__(self) -> str:
        return f"MemmapDataset({self.filename!r}, rows [{self.start_index}, {self.end_index}))"

    @property
    def _rows(self) -> RawRows:
        # The files are opened at the first use, so every process that uses them opens them itself.
        if self._opened is None:
            self._opened = open_raw_rows(self.filename, self.layout)
        return self._opened

    def _decoded(self, indices: Sequence[int] | np.ndarray) -> Arrays:
        return self._rows.take(self._rows_in_file(np.asarray(indices)), self.fields)

    def transformed(self, arrays: Arrays) -> Batch:
        """Return a decoded batch as tensors, after the transform.

        A transform of single rows sees those that vary in length without padding.

        Args:
            arrays: decoded arrays of some rows, padded where rows vary in length.
        """
        return transform_padded_batch(self.transform, arrays, self._ragged, self.float64)

    @property
    def is_ragged(self) -> bool:
        """Whether any field varies in length from row to row."""
        return bool(self._ragged)

    @property
    def ragged_fields(self) -> tuple[str, ...]:
        """The names of the fields whose rows vary in length."""
        return tuple(self._ragged)

    @property
    def _ragged(self) -> dict[str, FieldView]:
        """The fields whose rows vary in length."""
        return self.layout.ragged if isinstance(self.layout, FilesLayout) else {}

    def _row_in_file(self, position: int) -> int:
        if not -len(self) <= position < len(self):
            raise IndexError(f"row {position} of {len(self)}")
        return position + (self.start_index if position >= 0 else self.end_index)

    def _rows_in_file(self, positions: np.ndarray) -> np.ndarray:
        if len(positions) and not (-len(self) <= positions.min() and positions.max() < len(self)):
            wrong = positions[(positions < -len(self)) | (positions >= len(self))]
            raise IndexError(f"row {wrong[0]} of {len(self)}")
        return positions + np.where(positions < 0, self.end_index, self.start_index)


class RowBatch(Sequence[Any]):
    """A gathered batch that is also the sequence of its rows.

    The default collate function chooses what to do by the type of the first row. The rows of this
    sequence have types of their own, registered with that function, so it passes the batch through
    as it was gathered. Any other code that iterates over the rows finds ordinary tensors or dicts.
    """

    def __init__(self, batch: Batch):
        self.batch = batch

    def __len__(self) -> int:
        return len(row_decoding.list_fields(self.batch)[0])

    @overload
    def __getitem__(self, index: int) -> "_RowTensor | _RowDict": ...

    @overload
    def __getitem__(self, index: slice) -> "RowBatch": ...

    def __getitem__(self, index: int | slice) -> "_RowTensor | _RowDict | RowBatch":
        if isinstance(index, slice):
            return RowBatch(row_decoding.map_fields(lambda values: values[index], self.batch))
        row = row_decoding.nth_row(self.batch, index)
        return _RowDict(row) if isinstance(row, dict) else row.as_subclass(_RowTensor)

    def __iter__(self) -> Iterator:
        return (self[index] for index in range(len(self)))


class _RowTensor(torch.Tensor):
    """One row of a ``RowBatch``; anything computed from it is a plain tensor."""

    # PyTorch's guide to subclasses recommends this. The stub of the C function lacks its first
    # argument.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]


class _RowDict(dict):
    """One row of a ``RowBatch``."""


def _collate_rows(rows: Any, *, collate_fn_map: dict | None = None) -> Any:
    if isinstance(rows, RowBatch):
        return rows.batch
    plain = [
        dict(row) if isinstance(row, _RowDict) else row.as_subclass(torch.Tensor) for row in rows
    ]
    return collate(plain, collate_fn_map=collate_fn_map)


# PyTorch documents this extension point for custom batch types.
default_collate_fn_map[_RowTensor] = _collate_rows
default_collate_fn_map[_RowDict] = _collate_rows


def _describe(
    rows: str | os.PathLike[str] | FilesLayout, dtype: Any, shape: tuple[int, ...] | int | None
) -> tuple[str, RowLayout]:
    """Return the name of a file or of files for messages, and how the rows lie in them."""
    if isinstance(rows, FilesLayout):
        return rows.stored[0].stream.paths[0], rows
    filename = os.fspath(rows)
    if dtype is None and shape is None and is_description(filename):
        return filename, FilesLayout.read(filename)
    return filename, _describe_file(filename, dtype, shape)


def _describe_file(filename: str, dtype: Any, shape: tuple[int, ...] | int | None) -> RecordLayout:
    if _is_npy(filename):
        layout = read_record_layout(filename)
        if dtype is not None and np.dtype(dtype) != layout.dtype:
            raise ValueError(f"{filename} holds {layout.dtype}, not {np.dtype(dtype)}")
        if shape is not None and _as_shape(shape) != layout.shape:
            raise ValueError(f"{filename} has the shape {layout.shape}, not {_as_shape(shape)}")
        return layout
    if dtype is None or shape is None:
        raise ValueError(f"{filename} is not a .npy file: pass the dtype and shape of its rows")
    rows, *row_shape = _as_shape(shape)
    layout = RecordLayout(np.dtype(dtype), tuple(row_shape), rows, offset=0)
    if not os.path.exists(filename):
        raise UserError(f"{filename}: there is no such file.")
    check_size(filename, layout)
    return layout


def _is_npy(filename: str) -> bool:
    try:
        with open_file(filename) as file:
            return file.read(6) == b"\x93NUMPY"
    except FileNotFoundError:
        return False


def _as_shape(shape: tuple[int, ...] | int) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)
