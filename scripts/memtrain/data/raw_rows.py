"""Takes single rows from where they lie, and decodes them."""

import os
from typing import Protocol

import numpy as np

from memtrain.data import row_decoding
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout
from memtrain.data.padding import padded
from memtrain.data.record_file import RecordLayout, map_rows
from memtrain.data.row_decoding import Arrays, TensorFields
from memtrain.data.streams.stored_rows import StoredRows, consecutive_places


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
        raw = {name: self._gather(name, rows) for name in self._stored}
        arrays: dict[str, np.ndarray] = {}
        for name, view in self._layout.views.items():
            values, lengths = raw[view.stored]
            dtype = fields[name].dtype
            if lengths is None:
                arrays[name] = view.of(values).astype(dtype)
            else:
                starts, kept = view.trimmed(np.cumsum(lengths) - lengths, lengths)
                places = consecutive_places(starts, kept)
                arrays |= padded(name, view.of_elements(values)[places], kept, dtype)
        return arrays

    def _gather(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return rows of a stored field, and their lengths where these vary."""
        stored = self._stored[name]
        return stored.gather_ragged(rows) if stored.is_ragged else (stored.gather(rows), None)

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
