"""Tables in the columnar files of Arrow: ``.parquet``, ``.arrow`` and ``.feather``."""

import mmap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyarrow import ipc, parquet

from memtrain.data.tables.table import Table, batch_sizes, rows_per_batch

#: Bytes that are read ahead in a column of a Parquet file, and at most in all columns together.
_COLUMN_BUFFER_BYTES = 1 << 20
_BUFFER_BYTES = 64 << 20


def open_parquet(path: Path) -> list[Table]:
    """Open a Parquet file."""
    return [_table(path, parquet.read_schema(path), _read_parquet)]


def _table(path: Path, schema: pa.Schema, read: Callable[..., Iterator[pa.RecordBatch]]) -> Table:
    types = dict(zip(schema.names, schema.types, strict=True))
    return Table(str(path), schema.names, types, partial(read, path))


def _read_parquet(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    # Unless each column has its own buffer, Arrow reads a whole row group at once.
    buffer_bytes = min(_COLUMN_BUFFER_BYTES, max(4096, _BUFFER_BYTES // len(columns)))
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=buffer_bytes) as file:
        values_per_row = sum(_values_per_row(file, name) for name in columns)
        rows = rows_per_batch(8 * values_per_row)
        yield from file.iter_batches(rows, columns=columns, use_threads=False)


def _values_per_row(file: parquet.ParquetFile, name: str) -> int:
    """Return how many values a row of a column has, on average of the row group with most."""
    kind = file.schema_arrow.field(name).type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return _width(kind)
    most = 1
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group)
        columns = (rows.column(number) for number in range(rows.num_columns))
        own = (one for one in columns if one.path_in_schema.startswith(f"{name}."))
        most = max(most, -(-sum(one.num_values for one in own) // max(1, rows.num_rows)))
    return most


def _width(kind: pa.DataType) -> int:
    return kind.list_size * _width(kind.value_type) if pa.types.is_fixed_size_list(kind) else 1


def open_ipc(path: Path) -> list[Table]:
    """Open a file or a stream in Arrow's IPC format; Feather (version 2) is the same format."""
    return [_table(path, _ipc_reader(_mapped(path)).schema, _read_ipc)]


def _read_ipc(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    mapped = _mapped(path)
    for whole in _ipc_batches(_ipc_reader(mapped)):
        batch = whole.select(columns)
        start = 0
        for rows in batch_sizes(batch.num_rows, batch.nbytes // max(batch.num_rows, 1)):
            piece = batch.slice(start, rows)
            # Arrow uses the mapped bytes as they are: unless they are validated, those of a damaged
            # file can crash the process.
            piece.validate(full=True)
            yield piece
            start += rows
            # Release the pages that were read, since one batch may be as large as the file.
            mapped.madvise(mmap.MADV_DONTNEED)


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _ipc_reader(mapped: mmap.mmap) -> ipc.RecordBatchFileReader | ipc.RecordBatchStreamReader:
    # The reader is not told which columns to read: to omit some, it would copy whole batches.
    open_reader = ipc.open_file if mapped[:6] == b"ARROW1" else ipc.open_stream
    return open_reader(pa.BufferReader(pa.py_buffer(mapped)))


def _ipc_batches(
    reader: ipc.RecordBatchFileReader | ipc.RecordBatchStreamReader,
) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, ipc.RecordBatchStreamReader):
        return iter(reader)
    return map(reader.get_batch, range(reader.num_record_batches))
