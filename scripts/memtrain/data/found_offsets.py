"""Finds the offsets or the lengths of rows in a file, without reading them all."""

import os

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.data.record_file import read_record_layout
from memtrain.data.streams.row_offsets import OffsetKind, OffsetsFile
from memtrain.system.file_content import open_file


def find_offsets(
    path: str | os.PathLike, kind: OffsetKind = "offsets", dtype: str | None = None
) -> OffsetsFile:
    """Return where the offsets or the lengths of rows lie in a file.

    Args:
        path: a ``.npy`` file, or a raw file of integers.
        kind: whether the integers are offsets, one more than there are rows, or lengths of rows.
        dtype: dtype of the integers of a raw file, such as "int64"; None for a ``.npy`` file.

    Raises:
        UserError: where the file is missing, or does not hold integers on one axis.
    """
    found = _in_npy(path, kind) if dtype is None else _in_raw_file(path, kind, np.dtype(dtype))
    if np.dtype(found.dtype).kind not in "iu":
        raise UserError(
            f"{path}: it holds {np.dtype(found.dtype)}, but {kind} of rows are integers. Write "
            "them as int64."
        )
    return found


def _in_npy(path: str | os.PathLike, kind: OffsetKind) -> OffsetsFile:
    layout = read_record_layout(path)
    if layout.row_shape or layout.dtype.names:
        raise UserError(
            f"{path}: it has the shape {layout.shape}, but {kind} of rows lie on one axis."
        )
    return OffsetsFile(
        os.fspath(path), layout.file_bytes, layout.offset, layout.dtype.str, layout.rows, kind
    )


def _in_raw_file(path: str | os.PathLike, kind: OffsetKind, dtype: np.dtype) -> OffsetsFile:
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: this file of {kind} cannot be read ({reason}).") from None
    count, rest = divmod(size, dtype.itemsize)
    if rest:
        raise UserError(
            f"{path}: {counted(size, 'byte')} are no whole number of {dtype}, of "
            f"{counted(dtype.itemsize, 'byte')} each. Correct the dtype, or write the file anew."
        )
    return OffsetsFile(os.fspath(path), size, 0, dtype.str, count, kind)
