"""Reads the rows of a field from the files that they lie in."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from memtrain.data.streams.open_files import OpenFiles
from memtrain.data.streams.row_addresses import Consecutive, Ragged
from memtrain.data.streams.stored_field import StoredField


class ByteRun(NamedTuple):
    """Bytes to read from a file.

    Attributes:
        file: number of the file.
        place: the first byte in the file.
        size: number of bytes.
        target: the first byte in memory.
    """

    file: int
    place: int
    size: int
    target: int


class StoredRows:
    """The rows of a field, read from its files as they are asked for, by several threads at once.

    Args:
        field: where the rows lie.
    """

    def __init__(self, field: StoredField):
        self._field = field
        self._files = OpenFiles(field.stream.paths, field.stream.sizes.tolist())

    @property
    def is_ragged(self) -> bool:
        """Whether the rows vary in length."""
        return self._field.is_ragged

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def read(self, start: int, end: int) -> np.ndarray:
        """Return the rows ``[start, end)`` as they lie in the files: (rows, *row_shape)."""
        return self.gather(np.arange(start, end))

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Return rows in any order as they lie in the files.

        Args:
            rows: int64 (n,), numbers of rows.

        Returns:
            An array (n, *row_shape) in the dtype of the files.

        Raises:
            UserError: where a file is not as it was described, or cannot be read.
        """
        stream, addresses = self._field.stream, self._field.addresses
        if isinstance(addresses, Ragged):
            raise ValueError(f"the rows of {self._field.name} vary in length; see read_ragged")
        gathered = np.empty((len(rows), *self._field.row_shape), stream.dtype)
        if len(rows) == 0:
            return gathered
        starts = addresses.starts(rows)
        order = np.argsort(starts, kind="stable")
        values, element_places = self._read(starts[order], starts[order] + addresses.length)
        if isinstance(addresses, Consecutive):
            gathered[order] = values[element_places]
        else:
            windows = np.lib.stride_tricks.sliding_window_view(values, addresses.length, axis=0)
            gathered[order] = np.moveaxis(windows, -1, 1)[element_places]
        return gathered

    def read_ragged(
        self, rows: np.ndarray, spare_bytes: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read rows that vary in length.

        Args:
            rows: int64 (n,), numbers of rows.
            spare_bytes: number of bytes of zeros that at least have to follow the elements.

        Returns:
            Elements in the dtype of the files, (elements, *shape), and the zeros behind them; the
            place of the first element of each row among them, int64 (n,); and the length of each
            row, int64 (n,).

        Raises:
            UserError: where a file is not as it was described, or cannot be read.
        """
        addresses = self._field.addresses
        assert isinstance(addresses, Ragged)
        starts, lengths = addresses.starts(rows), addresses.lengths(rows)
        # A row without elements comes before the one that begins where it does.
        order = np.lexsort((lengths, starts))
        spare = -(-spare_bytes // max(1, self._field.stream.element_bytes))
        values, places = self._read(starts[order], starts[order] + lengths[order], spare)
        places_of_rows = np.empty_like(places)
        places_of_rows[order] = places
        return values, places_of_rows, lengths

    def _read(
        self, starts: np.ndarray, ends: np.ndarray, spare: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read rows whose first and last elements ascend.

        Elements that several rows share are read once.

        Args:
            starts: int64 (rows,), the first element of each row.
            ends: int64 (rows,), the element after the last of each row.
            spare: number of elements of zeros that are added at the end.

        Returns:
            The elements that were read, (elements, *shape), and the place of the first element of
            each row among them.
        """
        stream = self._field.stream
        first, end, run_of_row = _joined(starts, ends)
        run_places = np.cumsum(end - first) - (end - first)
        content = np.empty((int((end - first).sum()) + spare) * stream.element_bytes, np.uint8)
        content[len(content) - spare * stream.element_bytes :] = 0
        self.read_byte_runs(self.byte_runs(first, end), content)
        values = content.view(stream.dtype).reshape(-1, *stream.shape)
        return values, run_places[run_of_row] + starts - first[run_of_row]

    def byte_runs(self, first: np.ndarray, end: np.ndarray) -> list[ByteRun]:
        """Return where runs of elements lie in the files, and where they go one after the other.

        Args:
            first: int64 (runs,), the first element of each run.
            end: int64 (runs,), the element after the last of each run.
        """
        stream = self._field.stream
        runs = stream.byte_runs(first, end)
        places = np.cumsum(end - first) - (end - first)
        targets = places[runs.run] * stream.element_bytes + runs.target
        columns = (runs.file, runs.place, runs.size, targets)
        return [ByteRun(*one) for one in zip(*(each.tolist() for each in columns), strict=True)]

    def read_byte_runs(self, runs: Iterable[ByteRun], content: np.ndarray) -> None:
        """Read runs of bytes into memory.

        Args:
            runs: the runs.
            content: uint8 (bytes,), the memory of all runs.

        Raises:
            UserError: where a file is not as it was described, or cannot be read.
        """
        for run in runs:
            target = content[run.target : run.target + run.size]
            self._files.read(run.file, run.place, target.data)


def _joined(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join rows that touch or overlap into runs of elements.

    Args:
        starts: int64 (rows,), the first element of each row, ascending.
        ends: int64 (rows,), the element after the last of each row, ascending.

    Returns:
        The first element of each run, the element after its last, and the run of each row.
    """
    begins = np.ones(len(starts), bool)
    begins[1:] = starts[1:] > ends[:-1]
    run_of_row = np.cumsum(begins) - 1
    first = starts[begins]
    is_last = np.ones(len(starts), bool)
    is_last[:-1] = begins[1:]
    return first, ends[is_last], run_of_row
