"""Takes single rows from where they lie, and decodes them."""

import os
from typing import Protocol

import numpy as np

from memtrain.data import row_decoding
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout
from memtrain.data.record_file import RecordLayout, map_rows
from memtrain.data.row_decoding import Arrays
from memtrain.data.streams.stored_rows import StoredRows


class RawRows(Protocol):
    """Rows that can be taken in any order."""

    def take(self, rows: np.ndarray, out: Arrays) -> None:
        """Decode rows into arrays.

        Args:
            rows: int64 (n,), numbers of rows.
            out: the arrays to fill, with space for n rows.
        """


class MappedRows:
    """The rows of a record file, which is mapped.

    Args:
        path: the record file.
        layout: layout of its rows.
    """

    def __init__(self, path: str | os.PathLike, layout: RecordLayout):
        self._rows = map_rows(path, layout)

    def take(self, rows: np.ndarray, out: Arrays) -> None:
        """Decode rows into arrays."""
        row_decoding.gather(self._rows, rows, out)


class FilesRows:
    """Rows in many files, of which a few are open at a time.

    Args:
        layout: where the rows lie.
    """

    def __init__(self, layout: FilesLayout):
        self._views = layout.views
        self._stored = {one.name: StoredRows(one) for one in layout.stored}

    def take(self, rows: np.ndarray, out: Arrays) -> None:
        """Decode rows into arrays.

        Raises:
            UserError: where a file is not as it was described, or cannot be read.
        """
        raw = {name: stored.gather(rows) for name, stored in self._stored.items()}
        assert isinstance(out, dict), "rows in files have named fields"
        for name, array in out.items():
            view = self._views[name]
            array[...] = view.of(raw[view.stored])

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
