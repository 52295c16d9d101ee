"""Tables in NumPy files: ``.npy`` and ``.npz``."""

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy

from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.record_file import RecordLayout, read_record_layout
from memtrain.data.tables.table import Table, batch_sizes


def open_npy(path: Path) -> list[Table]:
    """Open a vector of records, or an array whose columns are called "0", "1", ...

    Columns are the second axis; further axes are the shape of a column's rows. A vector of numbers
    is one column.

    Raises:
        UserError: where records lie in an array of more axes.
    """
    layout = read_record_layout(path)
    if layout.row_shape and layout.dtype.names:
        raise UserError(
            f"{path}: it holds records in an array of shape {layout.shape}; a vector of records is "
            "needed, (rows,). Save array.reshape(-1) if each of them is a row."
        )
    count = layout.row_shape[0] if layout.row_shape else 1
    columns = layout.dtype.names or map(str, range(count))
    row = np.dtype((layout.dtype, layout.row_shape[1:]))
    types = {name: _arrow_type(row[name] if row.names else row) for name in columns}
    return [Table(str(path), list(types), types, partial(_read_npy, path, layout))]


def _read_npy(path: Path, layout: RecordLayout, columns: list[str]) -> Iterator[pa.RecordBatch]:
    values_per_row = int(np.prod(layout.row_shape, dtype=np.int64))
    # The file is not mapped, since mapped pages stay in the process until something evicts them.
    with path.open("rb") as file:
        file.seek(layout.offset)
        for rows in batch_sizes(layout.rows, layout.row_bytes):
            values = np.fromfile(file, layout.dtype, rows * values_per_row)
            if layout.dtype.names:
                yield _to_batch(path, {name: values[name] for name in columns})
            else:
                array = values.reshape(rows, *(layout.row_shape or (1,)))
                yield _to_batch(path, {name: array[:, int(name)] for name in columns})


def open_npz(path: Path) -> list[Table]:
    """Open an archive of arrays, each of which is a column."""
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        types = {}
        for member in members:
            with archive.open(member) as stream:
                types[member.removesuffix(".npy")] = _type_of_member(f"{path}:{member}", stream)
    return [Table(str(path), list(types), types, partial(_read_npz, path))]


def _type_of_member(where: str, stream: IO[bytes]) -> pa.DataType:
    try:
        return _arrow_type(_read_member_layout(where, stream).row_dtype)
    except UserError:  # It is told where the column is read; others need not read it.
        return pa.null()


class _Member:
    """An array of an archive, read some rows at a time.

    Args:
        where: file and name of the array, for messages.
        stream: the bytes of the array's ``.npy`` file, from the beginning.
    """

    def __init__(self, where: str, stream: IO[bytes]):
        self._stream = stream
        self.layout = _read_member_layout(where, stream)

    def read(self, rows: int) -> np.ndarray:
        """Return the next rows."""
        content = self._stream.read(rows * self.layout.row_bytes)
        return np.frombuffer(content, self.layout.dtype).reshape(rows, *self.layout.row_shape)


def _read_npz(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with zipfile.ZipFile(path) as archive, ExitStack() as stack:
        members = {
            name: _Member(f"{path}:{name}", stack.enter_context(archive.open(f"{name}.npy")))
            for name in columns
        }
        layouts = {name: member.layout for name, member in members.items()}
        if len({layout.rows for layout in layouts.values()}) > 1:
            lengths = (f"{name} {layout.rows:,}" for name, layout in layouts.items())
            raise UserError(
                f"{path}: its arrays differ in their rows: {listed(lengths)}. Save arrays of one "
                "length together."
            )
        rows_in_all = layouts[columns[0]].rows
        for rows in batch_sizes(rows_in_all, sum(one.row_bytes for one in layouts.values())):
            yield _to_batch(path, {name: member.read(rows) for name, member in members.items()})


def _read_member_layout(where: str, stream: IO[bytes]) -> RecordLayout:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran_order, dtype = read(stream)
    problem, axes = "", len(shape)
    if dtype.hasobject:
        problem = "Python objects, which are not read. Save numbers (nan for a missing one) or text"
    elif dtype.names:
        problem = "records; an array of an .npz file is one column. Save each field as an array"
    elif axes == 0:
        problem = "a single value of shape (). Save an array of as many values as there are rows"
    elif fortran_order and axes > 1:
        problem = (
            "rows that lie column by column (Fortran order). Save np.ascontiguousarray of the array"
        )
    if problem:
        raise UserError(f"{where}: it holds {problem}.")
    return RecordLayout(dtype, shape[1:], shape[0])


def _to_batch(path: Path, columns: dict[str, np.ndarray]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {name: to_arrow(f"{path}, column '{name}'", values) for name, values in columns.items()}
    )


def _arrow_type(row: np.dtype) -> pa.DataType:
    """Return the type of a column whose rows have a dtype; null for one that cannot be read."""
    try:
        return to_arrow("", np.zeros((1, *row.shape), row.base)).type
    except UserError:  # It is told where the column is read; others need not read it.
        return pa.null()


def to_arrow(where: str, values: np.ndarray) -> pa.Array:
    """Return an array of shape (rows, ...) as a column of values, or of lists, maybe of lists.

    Raises:
        UserError: naming ``where``, for rows without values and for a type that is not read.
    """
    if values.size == 0:
        raise UserError(
            f"{where}: it has rows of shape {values.shape[1:]}, which hold no value. Leave it out."
        )
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    try:
        column = pa.array(np.ascontiguousarray(native).reshape(-1))
    except pa.ArrowNotImplementedError:
        raise UserError(
            f"{where}: it is of the type {values.dtype}, which is not read. Save numbers or text."
        ) from None
    for length in reversed(values.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, length)
    return column
