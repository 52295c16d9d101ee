"""Rows in one file or many for the benchmarks: written in the same way, however many files.

How a file came into the page cache decides how fast it is read. So every file is written by writes
of one block of rows each, one file or a thousand.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.streams.row_addresses import Consecutive, Ragged, RowAddresses, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream


@contextmanager
def benchmark_folder() -> Iterator[Path]:
    """Yield an empty folder, within that of the variable BENCHMARK_FOLDER or a temporary one."""
    with TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Rows:
    """Rows to write, which begin with their numbers where they have room for them.

    Attributes:
        dtype: dtype of one value; structured for records.
        shape: shape of one row.
        blocks: number of blocks, of which one write is made each.
        rows_per_block: rows of a block.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: int
    rows_per_block: int

    @property
    def count(self) -> int:
        """The number of all rows."""
        return self.blocks * self.rows_per_block

    def content(self) -> Iterator[np.ndarray]:
        """Yield the blocks: the number of the row, int32, and random bytes."""
        row_bytes = self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))
        rows = (self.rows_per_block, row_bytes)
        block = np.random.default_rng(0).integers(0, 32, rows, np.uint8)
        for start in range(0, self.count, self.rows_per_block):
            numbers = np.arange(start, start + self.rows_per_block, dtype="<i4")
            block[:, :4] = numbers.view(np.uint8).reshape(-1, 4)[:, :row_bytes]
            yield block

    def write(self, folder: Path, files: int) -> Stream:
        """Write the rows into ``.npy`` files, the same number of blocks in each."""
        folder.mkdir()
        blocks = self.content()
        rows = self.count // files
        described = []
        for number in range(files):
            path = folder / f"part-{number}.npy"
            header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False}
            with open(path, "wb", buffering=0) as file:
                np.lib.format.write_array_header_1_0(file, {**header, "shape": (rows, *self.shape)})
                offset = file.tell()
                for _ in range(self.blocks // files):
                    file.write(next(blocks).tobytes())
            described.append((str(path), path.stat().st_size, [(offset, rows)]))
        return Stream.of_parts(described, self.dtype, self.shape)


def side_by_side(**streams: Stream) -> FilesLayout:
    """Return rows of one element of each of some streams."""
    return _layout({name: (one, Consecutive(one.elements)) for name, one in streams.items()})


def windows(stream: Stream, length: int, stride: int) -> FilesLayout:
    """Return rows that are windows of a stream, from its first element to its last."""
    borders = np.array([0, stream.elements])
    return _layout({"tokens": (stream, Windows(length, stride, borders))})


def ragged(stream: Stream, mean_length: int) -> FilesLayout:
    """Return rows of 1 to twice the mean length, less one, that lie one after the other."""
    lengths = np.random.default_rng(0).integers(
        1, 2 * mean_length, stream.elements // mean_length - 1
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    offsets = offsets[offsets <= stream.elements]
    return _layout({"tokens": (stream, Ragged.described(offsets, stream.elements))})


def in_other_elements(stream: Stream, dtype: np.dtype, shape: tuple[int, ...] = ()) -> Stream:
    """Return the same bytes of the same files as elements of another kind."""
    element_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    files = zip(
        stream.paths,
        stream.sizes.tolist(),
        stream.part_offsets.tolist(),
        (np.diff(stream.firsts) * stream.element_bytes // element_bytes).tolist(),
        strict=True,
    )
    parts = [(path, size, [(offset, count)]) for path, size, offset, count in files]
    return Stream.of_parts(parts, dtype, shape)


def _layout(fields: dict[str, tuple[Stream, RowAddresses]]) -> FilesLayout:
    stored = tuple(StoredField(name, *where) for name, where in fields.items())
    views: dict[str, FieldView] = {}
    for one in stored:
        names = one.stream.dtype.names
        views |= {name: FieldView(one.name, (name,)) for name in names or ()}
        views |= {} if names else {one.name: FieldView(one.name)}
    return FilesLayout(stored, views)
