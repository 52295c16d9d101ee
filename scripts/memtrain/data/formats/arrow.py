"""Arrow IPC files and streams without compression, Feather version 2 included.

Numbers and times of one width are read, and lists of a fixed size of them; times as the integers
that they are. The values of a column are one run of bytes in every record batch; pyarrow finds them
in the mapped file without a copy.

- https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
- https://arrow.apache.org/docs/python/ipc.html
"""

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from memtrain.core.errors import UserError
from memtrain.data.formats.arrow_beginnings import is_arrow_file
from memtrain.data.formats.found_array import FoundArray, Refusal
from memtrain.data.formats.opened_file import OpenedFile

#: What a stream ends with, so that a stream that was cut between two batches is known.
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


class _Column:
    """Collects the runs of bytes of a column, batch by batch; stops at the first refusal."""

    def __init__(self, kind: pa.DataType):
        shape: list[int] = []
        values = kind.storage_type if _is_tensor(kind) else kind
        while pa.types.is_fixed_size_list(values):
            shape.append(values.list_size)
            values = values.value_type
        self.shape = tuple(kind.shape if _is_tensor(kind) else shape)
        self.dtype, self.unit = _dtype_and_unit(values)
        self._is_bits = pa.types.is_boolean(values)
        self.parts: list[tuple[int, int]] = []
        self.refusal = self._refused_kind(kind)

    def add(self, column: pa.Array, mapping: pa.Buffer) -> None:
        """Add the values of a record batch.

        Args:
            column: the values of the batch.
            mapping: the bytes of the whole file.
        """
        if self.refusal or not len(column):
            return
        first = 0
        values = column.storage if isinstance(column, pa.ExtensionArray) else column
        nulls = values.null_count
        while isinstance(values, pa.FixedSizeListArray):
            first = (first + values.offset) * values.type.list_size
            values = values.values
            nulls += values.null_count
        if nulls:
            self.refusal = (
                "it has missing values (nulls), whose bytes mean nothing. Fill them "
                "(column.fill_null), or import the file as a table."
            )
        else:
            self._add_buffer(values.buffers()[1], first + values.offset, len(column), mapping)

    def found(self) -> FoundArray | Refusal:
        """Return the array of the whole file, or why it is not read."""
        if self.refusal is not None:
            return Refusal(self.refusal)
        assert self.dtype is not None
        return FoundArray(self.dtype, self.shape, tuple(self.parts), unit=self.unit)

    def _add_buffer(
        self, buffer: pa.Buffer | None, first: int, elements: int, mapping: pa.Buffer
    ) -> None:
        assert self.dtype is not None
        size = elements * math.prod(self.shape) * self.dtype.itemsize
        offset = (buffer.address if buffer else 0) - mapping.address
        begin = offset + first * self.dtype.itemsize
        if offset < 0 or begin + size > mapping.size:
            self.refusal = (
                "its values do not lie in the file as they are: they are compressed, or of another "
                "byte order. Write the file again without compression, as pyarrow.ipc.new_file "
                'does, or feather.write_feather with compression="uncompressed".'
            )
        elif buffer is None or begin + size > offset + buffer.size:
            raise pa.ArrowInvalid(f"{elements} elements lie outside of their buffer")
        else:
            self.parts.append((begin, elements))

    def _refused_kind(self, kind: pa.DataType) -> str | None:
        if self._is_bits:
            return (
                f"its type is {kind}, and Arrow packs eight of its values into a byte. Write "
                'them as bytes (column.cast("uint8")), or import the file as a table.'
            )
        if self.dtype is None:
            return (
                f"its type is {kind}; only numbers and times of a fixed width are read where they "
                "lie, and lists of a fixed size of them. Convert it, or import the file as a table."
            )
        if 0 in self.shape:
            return f"its elements of shape {self.shape} have no bytes. Save values."
        return None


def read_arrow(file: OpenedFile) -> dict[str, FoundArray | Refusal]:
    """Find the columns of an Arrow file or stream.

    Raises:
        UserError: where the file is damaged or was cut.
    """
    try:
        return _read_columns(file)
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        # pyarrow raises these for damaged content; OSError without a number is of its own.
        raise UserError(
            f"{file.path}: this Arrow file is damaged ({error}). Write it anew."
        ) from None


def _read_columns(file: OpenedFile) -> dict[str, FoundArray | Refusal]:
    with pa.memory_map(file.path) as source:
        mapping = source.read_buffer()
        source.seek(0)
        reader = ipc.open_file(source) if is_arrow_file(file) else ipc.open_stream(source)
        names = reader.schema.names
        columns = [_Column(field.type) for field in reader.schema]
        for batch in _batches(reader):
            batch.validate()
            for column, values in zip(columns, batch.columns, strict=True):
                column.add(values, mapping)
        if not is_arrow_file(file):
            _check_end(file, source.tell())
    twice = Refusal("several columns have this name. Rename them.")
    return {
        name: twice if names.count(name) > 1 else column.found()
        for name, column in zip(names, columns, strict=True)
    }


def _batches(
    reader: ipc.RecordBatchFileReader | ipc.RecordBatchStreamReader,
) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, ipc.RecordBatchStreamReader):
        yield from reader
    else:
        yield from map(reader.get_batch, range(reader.num_record_batches))


def _check_end(file: OpenedFile, end: int) -> None:
    mark = file.read(file.size - len(_END_OF_STREAM), len(_END_OF_STREAM))
    if end != file.size or mark != _END_OF_STREAM:
        raise pa.ArrowInvalid(
            f"the stream ends at byte {end:,} of {file.size:,} without its mark at the end of the "
            "file: it was cut, its writer was not closed, or something follows it"
        )


def _dtype_and_unit(kind: pa.DataType) -> tuple[np.dtype | None, str | None]:
    """Return the dtype of the values of a type, and what they count; None where there is none.

    Dates, times and durations are integers in the file. Timestamps with a time zone count in UTC.
    """
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind):
        return np.dtype(kind.to_pandas_dtype()).newbyteorder("<"), None
    if types.is_date(kind):
        unit = "days" if types.is_date32(kind) else "ms"
        return np.dtype(f"<i{kind.bit_width // 8}"), f"{unit} since 1970"
    if types.is_time(kind):
        return np.dtype(f"<i{kind.bit_width // 8}"), f"{kind.unit} since midnight"
    if types.is_timestamp(kind):
        return np.dtype("<i8"), f"{kind.unit} since 1970" + " UTC" * (kind.tz is not None)
    if types.is_duration(kind):
        return np.dtype("<i8"), kind.unit
    return None, None


def _is_tensor(kind: pa.DataType) -> bool:
    """Return whether values are tensors of one shape, whose values lie in the order of the axes."""
    return isinstance(kind, pa.FixedShapeTensorType) and (
        kind.permutation is None or kind.permutation == sorted(kind.permutation)
    )
