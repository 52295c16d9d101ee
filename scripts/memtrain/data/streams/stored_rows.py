"""Reads the rows of a field from the files that they lie in."""

import numpy as np

from memtrain.data.streams.open_files import OpenFiles
from memtrain.data.streams.row_addresses import Consecutive
from memtrain.data.streams.stored_field import StoredField


class StoredRows:
    """The rows of a field, read from its files as they are asked for, by several threads at once.

    Args:
        field: where the rows lie.
    """

    def __init__(self, field: StoredField):
        self._field = field
        self._files = OpenFiles(field.stream.paths, field.stream.sizes.tolist())

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
        gathered = np.empty((len(rows), *self._field.row_shape), stream.dtype)
        if len(rows) == 0:
            return gathered
        starts = addresses.starts(rows)
        order = np.argsort(starts, kind="stable")
        first, end, run_of_row = _joined(starts[order], addresses.length)
        content, run_places = self._read_runs(first, end)
        # Rows that share elements are cut from one run that was read once.
        element_places = run_places[run_of_row] + starts[order] - first[run_of_row]
        values = content.view(stream.dtype).reshape(-1, *stream.shape)
        if isinstance(addresses, Consecutive):
            gathered[order] = values[element_places]
        else:
            windows = np.lib.stride_tricks.sliding_window_view(values, addresses.length, axis=0)
            gathered[order] = np.moveaxis(windows, -1, 1)[element_places]
        return gathered

    def _read_runs(self, first: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read runs of elements one after the other into memory.

        Returns:
            The bytes, uint8 (bytes,), and the place of the first element of each run in them.
        """
        stream = self._field.stream
        places = np.concatenate([[0], np.cumsum(end - first)])
        content = np.empty(int(places[-1]) * stream.element_bytes, np.uint8)
        runs = stream.byte_runs(first, end)
        targets = places[runs.run] * stream.element_bytes + runs.target
        for file, place, size, target in zip(
            runs.file.tolist(),
            runs.place.tolist(),
            runs.size.tolist(),
            targets.tolist(),
            strict=True,
        ):
            self._files.read(file, place, content[target : target + size].data)
        return content, places[:-1]


def _joined(starts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join rows that touch or overlap into runs of elements.

    Args:
        starts: int64 (rows,), the first element of each row, ascending.
        length: number of elements of a row.

    Returns:
        The first element of each run, the element after its last, and the run of each row.
    """
    begins = np.ones(len(starts), bool)
    begins[1:] = starts[1:] > starts[:-1] + length
    run_of_row = np.cumsum(begins) - 1
    first = starts[begins]
    ends = np.ones(len(starts), bool)
    ends[:-1] = begins[1:]
    return first, starts[ends] + length, run_of_row
