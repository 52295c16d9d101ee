"""How the rows of a training lie in a copy of them: as in their own file, or as in one made for it.

Every row has the place that it would have in a copy of all rows. What lies between the rows of a
training is never written, and takes no space on the disk.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from memtrain.core.ranges import Range
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout
from memtrain.data.ragged_rows import RaggedRows, RaggedValues
from memtrain.data.record_file import RecordLayout, dtype_to_json, padded_header
from memtrain.data.row_chunks import Chunk
from memtrain.data.streams.row_addresses import Consecutive, Ragged
from memtrain.data.streams.row_offsets import OffsetsFile
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream

#: Parts of a copy begin at multiples of this many bytes, which every type of values is aligned to.
_ALIGNMENT = 4096

_OFFSET = np.dtype("<i8")


class StagedCopy(ABC):
    """Where everything lies in a copy.

    Attributes:
        file_bytes: size of the copy, with what is never written.
    """

    file_bytes: int

    @abstractmethod
    def header(self) -> bytes:
        """Return the first bytes of the copy."""

    @abstractmethod
    def spans(self, rows: Range) -> Iterator[tuple[int, int]]:
        """Yield the bytes ``[start, end)`` of the copy that some rows take."""

    @abstractmethod
    def writes(self, first: int, chunk: Chunk) -> Iterator[tuple[int, np.ndarray]]:
        """Yield what is written for some rows: the first byte in the copy, and an array.

        Args:
            first: number of the first row.
            chunk: the rows.
        """

    @abstractmethod
    def layout(self, path: str | os.PathLike) -> FilesLayout | None:
        """Return how the rows lie in the copy; None where the copy says so itself."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what two copies of equal rows have in common if they are the same bytes."""


def copy_of(data: str | os.PathLike, layout: RowLayout) -> StagedCopy:
    """Return where rows lie in a copy.

    Args:
        data: the record file, or the description of rows in files.
        layout: layout of the rows.
    """
    if isinstance(layout, RecordLayout):
        return _RecordCopy(layout, None, data)
    return _RaggedCopy.of(layout) if layout.ragged else _RecordCopy.of_files(layout)


@dataclass(frozen=True)
class _RecordCopy(StagedCopy):
    """A copy that is a record file: of the file itself, or of virtual records.

    Attributes:
        record: layout of the copy.
        files: layout of rows in files; None for rows of a record file.
        data: the record file, whose header the copy takes over.
    """

    record: RecordLayout
    files: FilesLayout | None
    data: str | os.PathLike | None

    @classmethod
    def of_files(cls, layout: FilesLayout) -> "_RecordCopy":
        return cls(layout.in_record_file("")[0], layout, None)

    @property
    def file_bytes(self) -> int:  # type: ignore[override]
        return self.record.file_bytes

    def header(self) -> bytes:
        if self.data is None:
            return padded_header(self.record)
        with open(self.data, "rb") as source:
            return source.read(self.record.offset)

    def spans(self, rows: Range) -> Iterator[tuple[int, int]]:
        yield self.record.byte_range(*rows)

    def writes(self, first: int, chunk: Chunk) -> Iterator[tuple[int, np.ndarray]]:
        assert isinstance(chunk, np.ndarray), "rows of one size are records"
        yield self.record.byte_range(first, first)[0], chunk

    def layout(self, path: str | os.PathLike) -> FilesLayout | None:
        return None if self.files is None else self.files.in_record_file(path)[1]

    def identity(self) -> dict[str, Any]:
        return {
            "dtype": dtype_to_json(self.record.dtype),
            "shape": self.record.shape,
            "offset": self.record.offset,
        }


@dataclass(frozen=True)
class _Part:
    """The part of a copy that a stored field takes.

    Attributes:
        field: the field where its rows lie now.
        offsets: first byte of the offsets of its rows; None where rows do not vary in length.
        values: first byte of its elements, or of its rows where these do not vary.
    """

    field: StoredField
    offsets: int | None
    values: int


@dataclass(frozen=True)
class _RaggedCopy(StagedCopy):
    """A copy of rows that vary in length: offsets and elements of one field after the other."""

    files: FilesLayout
    parts: tuple[_Part, ...]
    file_bytes: int

    @classmethod
    def of(cls, files: FilesLayout) -> "_RaggedCopy":
        parts: list[_Part] = []
        end = 0
        for field in files.stored:
            offsets = None
            if field.is_ragged:
                offsets, end = end, _aligned(end + (field.rows + 1) * _OFFSET.itemsize)
            parts.append(_Part(field, offsets, end))
            size = field.stream.element_bytes * field.stream.elements
            end = _aligned(end + (size if field.is_ragged else field.rows * field.row_bytes))
        return cls(files, tuple(parts), end)

    def header(self) -> bytes:
        return b""

    def spans(self, rows: Range) -> Iterator[tuple[int, int]]:
        for part in self.parts:
            if part.offsets is not None:
                first = part.offsets + rows.start * _OFFSET.itemsize
                yield first, first + (rows.rows + 1) * _OFFSET.itemsize
            size = part.field.bytes_of(rows)
            if size:
                start = self._place(part, rows.start)
                yield start, start + size

    def writes(self, first: int, chunk: Chunk) -> Iterator[tuple[int, np.ndarray]]:
        assert isinstance(chunk, RaggedRows)
        for part, stored in zip(self.parts, chunk.stored.values(), strict=True):
            values = stored
            if isinstance(stored, RaggedValues) and part.offsets is not None:
                addresses = part.field.addresses
                assert isinstance(addresses, Ragged)
                offsets = addresses.offsets[first : first + len(chunk) + 1].astype(_OFFSET)
                yield part.offsets + first * _OFFSET.itemsize, offsets
                values = stored.values
            assert isinstance(values, np.ndarray)
            yield self._place(part, first), np.ascontiguousarray(values)

    def layout(self, path: str | os.PathLike) -> FilesLayout:
        stored = tuple(self._stored_field(part, os.fspath(path)) for part in self.parts)
        return FilesLayout(stored, self.files.views)

    def identity(self) -> dict[str, Any]:
        return {
            "ragged": [
                [
                    dtype_to_json(part.field.stream.dtype),
                    list(part.field.stream.shape),
                    part.field.rows,
                    part.field.stream.elements,
                ]
                for part in self.parts
            ]
        }

    def _place(self, part: _Part, row: int) -> int:
        """Return the byte at which a row of a field begins in the copy."""
        if part.offsets is None:
            return part.values + row * part.field.row_bytes
        element, _ = part.field.addresses.span(row, row)
        return part.values + element * part.field.stream.element_bytes

    def _stored_field(self, part: _Part, path: str) -> StoredField:
        field, addresses = part.field, part.field.addresses
        is_ragged = isinstance(addresses, Ragged)
        elements = field.stream.elements if is_ragged else field.rows
        where = [(path, self.file_bytes, [(part.values, elements)])]
        if not isinstance(addresses, Ragged) or part.offsets is None:
            stream = Stream.of_parts(where, field.stream.dtype, field.row_shape)
            return StoredField(field.name, stream, Consecutive(field.rows))
        stream = Stream.of_parts(where, field.stream.dtype, field.stream.shape)
        offsets = OffsetsFile(
            path, self.file_bytes, part.offsets, _OFFSET.str, field.rows + 1, "offsets"
        )
        rows = Ragged(offsets, addresses.rows, addresses.longest, addresses.elements)
        return StoredField(field.name, stream, rows)


def _aligned(place: int) -> int:
    return -(-place // _ALIGNMENT) * _ALIGNMENT
