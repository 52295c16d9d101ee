"""``MemmapDataset``: rows of a file, or of a range of it, for a PyTorch ``DataLoader``."""

import operator
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from torch.utils.data._utils.collate import collate, default_collate_fn_map

from memtrain.core.errors import UserError
from memtrain.data.record_file import RecordLayout, check_size, map_rows, read_layout
from memtrain.system.display_names import name_of

#: Integers that PyTorch computes with only in part are widened to the next that it has whole.
_WIDENED = {"uint16": np.dtype(np.int32), "uint32": np.dtype(np.int64)}


class MemmapDataset(Dataset):
    """Rows ``[start_index, end_index)`` of a memory-mapped file, taken from the disk as needed.

    ``dataset[i]`` is row ``start_index + i``: a float32 tensor for a plain dtype, a dict of tensors
    for a structured one. In a record, floats become float32, and integers keep their type (labels
    and images stay small); both whatever their size and byte order in the file. Tensors are copies:
    writing to one changes no file.

    ``DataLoader(dataset, batch_size=32, shuffle=True)`` fetches a batch with one gather and without
    any further argument. Its rows reach the default collate function as a ``RowBatch``; a
    ``collate_fn`` of your own gets that as a sequence of rows.

    A pickled dataset holds its arguments and never the rows, so a worker process of any start
    method opens the file itself.

    Args:
        filename: a ``.npy`` file, or a raw file of rows without a header.
        dtype: of one value, or of one record. A raw file needs it; a ``.npy`` file describes
            itself, and what is passed as well must agree.
        shape: (rows, ...) of a raw file; of a ``.npy`` file as for ``dtype``.
        transform: called with one row, a NumPy array or a dict of them, and returns the same or
            tensors. With an attribute ``batched = True`` it is called with a whole batch: the same
            with one more axis in front.
        start_index: the first row.
        end_index: the row after the last; None for the end of the file.

    Attributes:
        layout: how the rows lie in the file.
        tensor_dtypes: the dtype of every field in memory; of a plain file under the name None.

    Raises:
        ValueError: where the range does not lie within the rows, or ``dtype`` and ``shape`` are
            missing for a raw file or disagree with a ``.npy`` file.
        UserError: where the file is missing or has another size than dtype and shape say.
    """

    def __init__(
        self,
        filename: str | os.PathLike,
        dtype: Any = None,
        shape: tuple[int, ...] | int | None = None,
        transform: Callable | None = None,
        start_index: int = 0,
        end_index: int | None = None,
    ):
        self.filename = os.fspath(filename)
        self.layout = _describe(self.filename, dtype, shape)
        self.transform = transform
        self.start_index = operator.index(start_index)
        self.end_index = self.layout.rows if end_index is None else operator.index(end_index)
        if not 0 <= self.start_index <= self.end_index <= self.layout.rows:
            raise ValueError(
                f"rows [{self.start_index}, {self.end_index}) do not lie within the "
                f"{self.layout.rows} rows of {self.filename}"
            )
        self.tensor_dtypes = _tensor_dtypes(self.filename, self.layout)
        self._mapped: np.ndarray | None = None

    def __len__(self) -> int:
        return self.end_index - self.start_index

    def __getitem__(self, index: int) -> torch.Tensor | dict[str, torch.Tensor]:
        """Return one row; a negative index counts from the end of the range."""
        try:
            position = operator.index(index)
        except TypeError:
            raise TypeError(f"a row is asked for by its number, not by {index!r}") from None
        row = self._rows[self._checked(position)]
        if getattr(self.transform, "batched", False):
            batch = to_tensors(self.transform(self._native(row[np.newaxis])))
            return _index(batch, 0)
        row = self._native(row)
        return to_tensors(self.transform(row) if self.transform else row)

    def __getitems__(self, indices: Sequence[int]) -> "RowBatch | list":
        """Return many rows with one gather, as ``DataLoader`` asks for a batch."""
        positions = self._checked_all(np.asarray(indices))
        # mode="clip" spares a buffered copy; the positions have been checked.
        rows = self._native(np.take(self._rows, positions, axis=0, mode="clip"))
        if self.transform is None or getattr(self.transform, "batched", False):
            return RowBatch(to_tensors(self.transform(rows) if self.transform else rows))
        return [
            to_tensors(self.transform(_index(rows, position))) for position in range(len(positions))
        ]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_mapped": None}

    def __repr__(self) -> str:
        return f"MemmapDataset({self.filename!r}, rows [{self.start_index}, {self.end_index}))"

    @property
    def _rows(self) -> np.ndarray:
        # Opened when first used, and so once in every process that uses it.
        if self._mapped is None:
            self._mapped = map_rows(self.filename, self.layout)
        return self._mapped

    def _checked(self, position: int) -> int:
        if not -len(self) <= position < len(self):
            raise IndexError(f"row {position} of {len(self)}")
        return position + (self.start_index if position >= 0 else self.end_index)

    def _checked_all(self, positions: np.ndarray) -> np.ndarray:
        if len(positions) and not (-len(self) <= positions.min() and positions.max() < len(self)):
            wrong = positions[(positions < -len(self)) | (positions >= len(self))]
            raise IndexError(f"row {wrong[0]} of {len(self)}")
        return positions + np.where(positions < 0, self.end_index, self.start_index)

    def _native(self, rows: np.ndarray) -> np.ndarray | dict[str, np.ndarray]:
        """Return owned arrays, one a field, in types that tensors have."""
        if self.layout.dtype.names is None:
            return np.array(rows, self.tensor_dtypes[None], order="C")
        return {
            name: np.array(rows[name], dtype, order="C")
            for name, dtype in self.tensor_dtypes.items()
        }


class RowBatch(Sequence):
    """A gathered batch that is also the sequence of its rows.

    The default collate function looks at the type of the first row: these rows are of types of
    their own, registered with it, and so the batch goes through as it was gathered. Anything else
    that walks over the rows finds ordinary tensors or dicts.
    """

    def __init__(self, batch: torch.Tensor | dict[str, torch.Tensor]):
        self.batch = batch

    def __len__(self) -> int:
        first = next(iter(self.batch.values())) if isinstance(self.batch, dict) else self.batch
        return len(first)

    def __getitem__(self, index: int) -> "_RowTensor | _RowDict":
        row = _index(self.batch, index)
        return _RowDict(row) if isinstance(row, dict) else row.as_subclass(_RowTensor)

    def __iter__(self) -> Iterator:
        return (self[index] for index in range(len(self)))


class _RowTensor(torch.Tensor):
    """One row of a ``RowBatch``; what is computed from it is a plain tensor."""

    __torch_function__ = torch._C._disabled_torch_function_impl


class _RowDict(dict):
    """One row of a ``RowBatch``."""


def _collate_rows(rows: Any, *, collate_fn_map: dict | None = None) -> Any:
    if isinstance(rows, RowBatch):
        return rows.batch
    plain = [
        dict(row) if isinstance(row, _RowDict) else row.as_subclass(torch.Tensor) for row in rows
    ]
    return collate(plain, collate_fn_map=collate_fn_map)


# The extension point that PyTorch documents for batch types of one's own.
default_collate_fn_map[_RowTensor] = _collate_rows
default_collate_fn_map[_RowDict] = _collate_rows


def _describe(filename: str, dtype: Any, shape: tuple[int, ...] | int | None) -> RecordLayout:
    if _is_npy(filename):
        layout = read_layout(filename)
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
        with open(filename, "rb") as file:
            return file.read(6) == b"\x93NUMPY"
    except FileNotFoundError:
        return False


def _as_shape(shape: tuple[int, ...] | int) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _tensor_dtypes(filename: str, layout: RecordLayout) -> dict[str | None, np.dtype]:
    """Return the dtype that each field has in memory; of a plain file under the name None."""
    if layout.dtype.names is None:
        _tensor_dtype(filename, layout.dtype)
        return {None: np.dtype(np.float32)}
    return {name: _tensor_dtype(filename, dtype.base) for name, dtype in layout.fields.items()}


def _tensor_dtype(filename: str, dtype: np.dtype) -> np.dtype:
    if dtype.kind == "f":
        return np.dtype(np.float32)
    if dtype.kind in "iub" and dtype.name != "uint64":
        return _WIDENED.get(dtype.name, dtype.newbyteorder("="))
    raise ValueError(
        f"{name_of(filename)} holds {dtype}, which tensors do not have; store numbers instead"
    )


def to_tensors(row: Any) -> Any:
    """Return a row or a batch, an array or a dict of them, as tensors; float64 becomes float32."""
    if isinstance(row, dict):
        return {name: _to_tensor(value) for name, value in row.items()}
    return _to_tensor(row)


def _to_tensor(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    value = np.asarray(value)
    return torch.from_numpy(value.astype(np.float32) if value.dtype == np.float64 else value)


def _index(row: Any, index: int) -> Any:
    if isinstance(row, dict):
        return {name: value[index] for name, value in row.items()}
    return row[index]
