"""Takes single rows from where they lie, and decodes them."""

import os
from typing import Protocol

import numpy as np

from memtrain.data import row_decoding
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout
from memtrain.data.padded_rows import PaddedRows, spare_bytes
from memtrain.data.padding import longest_of, mask_of, padded
from memtrain.data.record_file import RecordLayout, map_rows
from memtrain.data.row_decoding import Arrays, TensorFields
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stored_rows import StoredRows


class RawRows(Protocol):
    """Rows that can be taken in any order."""

    def take(self, rows: np.ndarray, fields: TensorFields) -> Arrays:
        """Return rows as decoded arrays; fields whose rows vary in length are padded.

        Args:
            rows: int64 (n,), numbers of rows.
            fields: the types of the arrays.
        """
        ...


class MappedRows:
    """The rows of a record file, which is mapped.

    Args:
        path: the record file.
        layout: layout of its rows.
    """

    def __init__(self, path: str | os.PathLike, layout: RecordLayout):
        self._rows = map_rows(path, layout)

    def take(self, rows: np.ndarray, fields: TensorFields) -> Arrays:
        """Return rows as decoded arrays."""
        out = row_decoding.empty_arrays(fields, len(rows))
        row_decoding.gather(self._rows, rows, out)
        return out


class FilesRows:
    """Rows in many files, of which a few are open at a time.

    Args:
        layout: where the rows lie.
    """

    def __init__(self, layout: FilesLayout):
        self._layout = layout
        self._stored = {one.name: StoredRows(one) for one in layout.stored}

    def take(self, rows: np.ndarray, fields: TensorFields) -> Arrays:
        """Return rows as decoded arrays; fields whose rows vary in length are padded.

        Raises:
            UserError: where a file is not as it was described, or cannot be read.
        """
        assert isinstance(fields, dict), "rows in files have named fields"
        plain = {name: one.gather(rows) for name, one in self._stored.items() if not one.is_ragged}
        ragged = {
            one.name: self._read_ragged(one, rows) for one in self._layout.stored if one.is_ragged
        }
        arrays: dict[str, np.ndarray] = {}
        for name, view in self._layout.views.items():
            field = fields[name]
            if view.stored in plain:
                arrays[name] = view.of(plain[view.stored]).astype(field.dtype)
                continue
            padder, elements, *places = ragged[view.stored]
            starts, lengths = view.trimmed(*places)
            out = np.empty((len(rows), longest_of(lengths), *field.shape), field.dtype)
            padder.copy(elements, view, starts, lengths, out)
            arrays |= padded(name, out, lengths, mask_of(lengths))
        return arrays

    def _read_ragged(
        self, field: StoredField, rows: np.ndarray
    ) -> tuple[PaddedRows, np.ndarray, np.ndarray, np.ndarray]:
        """Return what pads rows, their elements as bytes, and where each row lies among them."""
        stored = self._stored[field.name]
        values, starts, lengths = stored.read_ragged(rows, spare_bytes(field.stream.element_bytes))
        return PaddedRows(field.stream), values.reshape(-1).view(np.uint8), starts, lengths

    def __del__(self) -> None:
        for stored in getattr(self, "_stored", {}).values():
            stored.close()


def open_raw_rows(path: str | os.PathLike, layout: RowLayout) -> RawRows:
    """Open the rows of a data file.

    Args:
        path: the record file, or the description of rows in files.
        layout: layout of its rows.
    """
    return FilesRows(layout) if isinstance(layout, FilesLayout) else MappedRows(path, layout)
