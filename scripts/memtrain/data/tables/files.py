"""A user's tables, in files of any kind: found, opened, and read in batches.

A table yields the columns that are asked for as Arrow record batches of a few MiB; no file is read
whole. Two formats set the least that must be held: of a Parquet file a page of every column that is
asked for (1 MiB as a rule), and of a compressed Arrow file one of its batches.
"""

import csv
import gzip
import io
import mmap
import os
import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy
from pyarrow import csv as arrow_csv
from pyarrow import ipc, parquet

from memtrain.core.errors import UserError, raise_problems
from memtrain.core.wording import listed
from memtrain.data.record_file import RecordLayout, read_layout

#: What a batch should take: large enough that a call costs nothing beside the work it does.
_BATCH_BYTES = 4 << 20
_MOST_ROWS_OF_A_BATCH = 1 << 16

#: The piece of a CSV file that is parsed at once, which must hold a row: this, or so much a column.
_CSV_BLOCK_BYTES = 1 << 20
_CSV_CELL_BYTES = 64

#: Read ahead by every column of a Parquet file, and by all of them together at most.
_COLUMN_BUFFER_BYTES = 1 << 20
_BUFFER_BYTES = 64 << 20

#: What the readers raise about a file that is damaged, or is something else than its ending says.
_READING_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    RuntimeError,
    csv.Error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    pa.ArrowException,
)

#: How Arrow tells that a row of a CSV file has too many or too few cells; the header is row 1.
_RAGGED_ROW = re.compile(
    r"Row #(?P<row>\d+): Expected (?P<expected>\d+) columns, got (?P<found>\d+)"
)

#: Opens a stream of bytes, from its beginning each time.
_Opened = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True)
class Table:
    """Rows with named columns.

    Attributes:
        name: the file, or "file:member", for messages.
        columns: the names of all columns. A column of several numbers a row is a fixed-size list.
        read: yields the batches of some of the columns.
    """

    name: str
    columns: list[str]
    read: Callable[[list[str]], Iterator[pa.RecordBatch]]

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield all rows in their order, in batches that hold the columns asked for.

        Raises:
            UserError: where the file turns out to be damaged.
        """
        with _readable(self.name):
            yield from self.read(columns)


def source_files(path: str) -> list[Path]:
    """Return the files that a path stands for, sorted by name.

    Args:
        path: a file; a folder, of which files with unknown endings are passed over; or a pattern,
            where ``**`` stands for any folders.

    Raises:
        UserError: where there is no such file, or one is of an unknown kind.
    """
    given = Path(path)
    if given.is_dir():
        visible = (file for file in given.iterdir() if not file.name.startswith("."))
        found = [file for file in visible if file.is_file() and _ending(file)]
    else:
        names = [path] if given.exists() else glob(path, recursive=True)
        found = [Path(name) for name in names if os.path.isfile(name)]
    if not found:
        state = "no file in this folder has a known ending" if given.is_dir() else "no such file"
        raise UserError(
            f"{path}: {state}. Give a file, a folder or a pattern like data/*.csv, relative to "
            f"{Path.cwd()}; known endings are {listed(_OPENERS)}."
        )
    raise_problems(
        f"{file}: files of this kind are not read; known endings are {listed(_OPENERS)}."
        for file in found
        if not _ending(file)
    )
    return sorted(found, key=str)


def open_tables(files: Iterable[Path]) -> list[Table]:
    """Return the tables of files: one a file, or one a CSV member of a ``.zip``, in name order.

    Raises:
        UserError: naming every file that cannot be read.
    """
    tables, problems = [], []
    for file in files:
        try:
            with _readable(str(file)):
                tables += _OPENERS[_ending(file)](file)
        except UserError as error:
            problems += error.problems
    raise_problems(problems)
    return tables


def _ending(file: Path) -> str | None:
    name = file.name.lower()
    return next((ending for ending in _OPENERS if name.endswith(ending)), None)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except _READING_ERRORS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{name}: it cannot be read ({reason}). It may be cut short, or be of another kind "
            "than its ending says. Write it anew."
        ) from None


def _rows_of_a_batch(row_bytes: int) -> int:
    return max(1, min(_MOST_ROWS_OF_A_BATCH, _BATCH_BYTES // max(row_bytes, 1)))


def _batch_sizes(rows: int, row_bytes: int) -> Iterator[int]:
    step = _rows_of_a_batch(row_bytes)
    for start in range(0, rows, step):
        yield min(step, rows - start)


# NumPy: .npy and .npz


def _open_npy(path: Path) -> list[Table]:
    layout = read_layout(path)
    if len(layout.row_shape) > (0 if layout.dtype.names else 1):
        raise UserError(
            f"{path}: it holds an array of shape {layout.shape}; a matrix (rows, columns) or a "
            "vector of records is needed. Reshape it and save it again."
        )
    columns = layout.dtype.names or map(str, range(*(layout.row_shape or (1,))))
    return [Table(str(path), list(columns), partial(_read_npy, path, layout))]


def _read_npy(path: Path, layout: RecordLayout, columns: list[str]) -> Iterator[pa.RecordBatch]:
    values_of_a_row = int(np.prod(layout.row_shape, dtype=np.int64))
    # Read, not mapped: the pages of a mapping stay in the process until something evicts them.
    with path.open("rb") as file:
        file.seek(layout.offset)
        for rows in _batch_sizes(layout.rows, layout.row_bytes):
            values = np.fromfile(file, layout.dtype, rows * values_of_a_row)
            if layout.dtype.names:
                yield _batch({name: values[name] for name in columns})
            else:
                matrix = values.reshape(rows, values_of_a_row)
                yield _batch({name: matrix[:, int(name)] for name in columns})


def _open_npz(path: Path) -> list[Table]:
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".npy")]
    columns = [name.removesuffix(".npy") for name in members]
    return [Table(str(path), columns, partial(_read_npz, path))]


def _read_npz(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with zipfile.ZipFile(path) as archive, ExitStack() as stack:
        streams = [stack.enter_context(archive.open(f"{name}.npy")) for name in columns]
        layouts = [
            _member_layout(f"{path}:{name}", stream)
            for name, stream in zip(columns, streams, strict=True)
        ]
        lengths = [layout.rows for layout in layouts]
        if len(set(lengths)) > 1:
            pairs = (f"{name} {rows:,}" for name, rows in zip(columns, lengths, strict=True))
            raise UserError(
                f"{path}: its arrays differ in their rows: {listed(pairs)}. Save arrays of one "
                "length together."
            )
        for rows in _batch_sizes(lengths[0], sum(layout.row_bytes for layout in layouts)):
            members = zip(columns, streams, layouts, strict=True)
            yield _batch({name: _read_rows(*member, rows) for name, *member in members})


def _member_layout(where: str, stream: BinaryIO) -> RecordLayout:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran_order, dtype = read(stream)
    if dtype.hasobject or dtype.names or len(shape) not in (1, 2) or fortran_order:
        order = ", column by column (Fortran order)" if fortran_order else ""
        raise UserError(
            f"{where}: it is an array of {dtype} and shape {shape}{order}; numbers or text of "
            "shape (rows,) or (rows, width) are needed, row by row. Save np.ascontiguousarray of "
            "such an array."
        )
    return RecordLayout(dtype, shape[1:], shape[0])


def _read_rows(stream: BinaryIO, layout: RecordLayout, rows: int) -> np.ndarray:
    content = stream.read(rows * layout.row_bytes)
    return np.frombuffer(content, layout.dtype).reshape(rows, *layout.row_shape)


def _batch(columns: dict[str, np.ndarray]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {name: _to_arrow(name, values) for name, values in columns.items()}
    )


def _to_arrow(name: str, values: np.ndarray) -> pa.Array:
    """Return an array of shape (rows,) or (rows, width) as a column of values or of lists."""
    if values.ndim > 2 or values.size == 0:
        raise UserError(f"column '{name}' has rows of shape {values.shape[1:]}; save them flat.")
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    try:
        flat = pa.array(np.ascontiguousarray(native).reshape(-1))
    except pa.ArrowNotImplementedError:
        raise UserError(
            f"column '{name}' is of the type {values.dtype}, which is not read. Save numbers "
            "or text."
        ) from None
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


# CSV: .csv, .csv.gz and the members of a .zip


def _open_csv(path: Path) -> list[Table]:
    return [_csv_table(str(path), partial(path.open, "rb"))]


def _open_csv_gz(path: Path) -> list[Table]:
    return [_csv_table(str(path), partial(gzip.open, path, "rb"))]


def _open_zip(path: Path) -> list[Table]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
    # The Finder of macOS adds a folder of files that look like CSV and are not.
    members = sorted(name for name in names if not name.startswith("__MACOSX/"))
    if not members:
        raise UserError(f"{path}: it holds no file that ends in .csv. Put CSV files into it.")
    return [_csv_table(f"{path}:{name}", partial(_opened_member, path, name)) for name in members]


@contextmanager
def _opened_member(path: Path, name: str) -> Iterator[BinaryIO]:
    with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
        yield stream


def _csv_table(name: str, opened: _Opened) -> Table:
    with opened() as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        header = next((row for row in csv.reader(text) if row), None)
    if header is None:
        raise UserError(f"{name}: it is empty; a first line with the names of columns is needed.")
    block_bytes = max(_CSV_BLOCK_BYTES, _CSV_CELL_BYTES * len(header))
    return Table(name, header, partial(_read_csv, name, opened, block_bytes))


def _read_csv(
    name: str, opened: _Opened, block_bytes: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Yield all cells as text, empty ones as null: what they mean is not for a reader to guess."""
    try:
        with opened() as stream:
            yield from arrow_csv.open_csv(
                pa.PythonFile(stream, "r"),
                arrow_csv.ReadOptions(use_threads=False, block_size=block_bytes),
                arrow_csv.ParseOptions(newlines_in_values=True),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=columns,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
    except pa.ArrowInvalid as error:
        ragged = _RAGGED_ROW.search(str(error))
        if ragged is None:
            raise
        raise UserError(
            f"{name}, row {int(ragged['row']) - 1:,}: it has {ragged['found']} cells, but there "
            f"are {ragged['expected']} columns. Correct it; a cell that holds a comma is written "
            'in "quotes".'
        ) from None


# Arrow: .parquet, .arrow and .feather


def _open_parquet(path: Path) -> list[Table]:
    return [Table(str(path), parquet.read_schema(path).names, partial(_read_parquet, path))]


def _read_parquet(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    # Without a buffer of its own for each column, a whole row group is read at once.
    buffer_bytes = min(_COLUMN_BUFFER_BYTES, max(4096, _BUFFER_BYTES // len(columns)))
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=buffer_bytes) as file:
        values_of_a_row = sum(_width(file.schema_arrow.field(name).type) for name in columns)
        rows = _rows_of_a_batch(8 * values_of_a_row)
        yield from file.iter_batches(rows, columns=columns, use_threads=False)


def _width(kind: pa.DataType) -> int:
    return kind.list_size if pa.types.is_fixed_size_list(kind) else 1


def _open_ipc(path: Path) -> list[Table]:
    return [Table(str(path), _ipc_reader(_mapped(path)).schema.names, partial(_read_ipc, path))]


def _read_ipc(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    mapped = _mapped(path)
    for whole in _ipc_batches(_ipc_reader(mapped)):
        batch, start = whole.select(columns), 0
        for rows in _batch_sizes(batch.num_rows, batch.nbytes // max(batch.num_rows, 1)):
            piece = batch.slice(start, rows)
            # The bytes are used where they lie: a damaged file would otherwise crash the process.
            piece.validate(full=True)
            yield piece
            start += rows
            # Pages that were read leave the process; the batch may be as large as the file.
            mapped.madvise(mmap.MADV_DONTNEED)


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _ipc_reader(mapped: mmap.mmap) -> ipc.RecordBatchFileReader | ipc.RecordBatchStreamReader:
    # Every column comes along: to leave some out, Arrow would copy a batch out of the mapping.
    open_reader = ipc.open_file if mapped[:6] == b"ARROW1" else ipc.open_stream
    return open_reader(pa.BufferReader(pa.py_buffer(mapped)))


def _ipc_batches(
    reader: ipc.RecordBatchFileReader | ipc.RecordBatchStreamReader,
) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, ipc.RecordBatchStreamReader):
        return iter(reader)
    return map(reader.get_batch, range(reader.num_record_batches))


_OPENERS: dict[str, Callable[[Path], list[Table]]] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".csv": _open_csv,
    ".csv.gz": _open_csv_gz,
    ".zip": _open_zip,
    ".parquet": _open_parquet,
    ".arrow": _open_ipc,
    ".feather": _open_ipc,
}
