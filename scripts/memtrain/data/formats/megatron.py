r"""Megatron's datasets of tokens: values in ``x.bin``, where documents lie in ``x.idx``.

The index is little-endian: ``MMIDIDX\0\0``, version 1 (u64), code of the dtype (u8), number of
sequences (u64), number of document indices (u64), the length of every sequence in elements (i32),
its first byte in ``x.bin`` (i64), the first sequence of every document and the end of the last one
(i64), and in multimodal datasets a mode for every sequence (i8), which is not read.

Source: https://github.com/NVIDIA/Megatron-LM/blob/main/megatron/core/datasets/indexed_dataset.py
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.formats.found_array import FoundArray
from memtrain.data.formats.opened_file import OpenedFile, opened

MAGIC = b"MMIDIDX\x00\x00"

_HEADER = struct.Struct("<9sQBQQ")

_DTYPES = {
    1: "<u1",
    2: "<i1",
    3: "<i2",
    4: "<i4",
    5: "<i8",
    6: "<f8",
    7: "<f4",
    8: "<u2",
}

#: Pointers that are read at once, so that memory does not grow with the dataset.
_POINTERS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class _Index:
    """The header of an index, and where its tables begin."""

    dtype: np.dtype
    sequences: int
    documents: int

    @property
    def pointers_offset(self) -> int:
        return _HEADER.size + 4 * self.sequences

    @property
    def documents_offset(self) -> int:
        return self.pointers_offset + 8 * self.sequences

    @property
    def file_bytes(self) -> int:
        return self.documents_offset + 8 * self.documents


def index_beside(path: str) -> str | None:
    """Return the index beside a file that is named ``x.bin``; None where there is none."""
    index = path.removesuffix(".bin") + ".idx"
    return index if path.endswith(".bin") and is_index(index) else None


def is_index(path: str) -> bool:
    """Return whether there is a file ``x.idx`` that begins as an index does."""
    if not path.endswith(".idx") or not os.path.exists(path):
        return False
    with opened(path) as file:
        return file.head.startswith(MAGIC)


def values_of(index: str) -> str:
    """Return the path of the values of an index."""
    return index.removesuffix(".idx") + ".bin"


def read_megatron(file: OpenedFile) -> FoundArray:
    """Find the elements of a dataset from its ``.idx`` or its ``.bin``.

    Returns:
        The elements in the order of the sequences, which lie in the ``.bin``. Their borders are
        the documents; ``read_sequences`` gives those of the sequences.

    Raises:
        UserError: where one of the two files is missing or damaged, or they do not fit together.
    """
    values_path, index_path = _two_paths(file.path)
    with opened(index_path) as index_file, opened(values_path) as values:
        index = _read_index(index_file)
        sequences = _sequence_borders(index_file, index)
        parts = _parts(index_file, index, sequences, values)
        documents = _documents(index_file, index)
    return FoundArray(index.dtype, (), parts, sequences[documents], values_path)


def read_sequences(path: str | os.PathLike) -> np.ndarray:
    """Return the first element of every sequence of a dataset, and the end of the last one.

    Args:
        path: the ``.idx`` or the ``.bin`` of the dataset.

    Returns:
        int64 (sequences + 1,). They can replace the borders of ``read_megatron``.

    Raises:
        UserError: as ``read_megatron``.
    """
    with opened(_two_paths(os.fspath(path))[1]) as file:
        return _sequence_borders(file, _read_index(file))


def _two_paths(path: str) -> tuple[str, str]:
    """Return the paths of the values and of their index."""
    name, ending = os.path.splitext(path)
    if ending not in (".bin", ".idx"):
        raise UserError(
            f"{path}: the files of a Megatron dataset are named .bin and .idx. Name one of the two."
        )
    return f"{name}.bin", f"{name}.idx"


def _read_index(file: OpenedFile) -> _Index:
    if len(file.head) < _HEADER.size or not file.head.startswith(MAGIC):
        raise UserError(
            f"{file.path}: this is not an index of Megatron's, which begins with MMIDIDX and has "
            f"at least {_HEADER.size} bytes. Make the dataset anew."
        )
    _, version, code, sequences, documents = _HEADER.unpack_from(file.head)
    if version != 1:
        raise UserError(f"{file.path}: byte 9 has version {version}; only version 1 is read.")
    if code not in _DTYPES:
        raise UserError(
            f"{file.path}: byte 17 has the code {code} for the dtype; Megatron has 1 to 8."
        )
    index = _Index(np.dtype(_DTYPES[code]), sequences, documents)
    # Multimodal datasets have one more byte for every sequence.
    if file.size not in (index.file_bytes, index.file_bytes + sequences):
        raise UserError(
            f"{file.path}: an index of {sequences:,} sequences and {documents:,} document indices "
            f"has {index.file_bytes:,} bytes, but the file has {file.size:,}. Make it anew."
        )
    return index


def _table(file: OpenedFile, dtype: str, offset: int, length: int) -> np.ndarray:
    content = file.read(offset, length * np.dtype(dtype).itemsize)
    if len(content) < length * np.dtype(dtype).itemsize:
        raise UserError(f"{file.path}: the file was cut short while it was read. Make it anew.")
    return np.frombuffer(content, dtype)


def _sequence_borders(file: OpenedFile, index: _Index) -> np.ndarray:
    lengths = _table(file, "<i4", _HEADER.size, index.sequences)
    if len(lengths) and lengths.min() < 0:
        number = int(np.argmin(lengths))
        raise UserError(
            f"{file.path}: sequence {number:,} has the length {lengths[number]}. Make it anew."
        )
    borders = np.zeros(index.sequences + 1, np.int64)
    np.cumsum(lengths, out=borders[1:])
    return borders


def _documents(file: OpenedFile, index: _Index) -> np.ndarray:
    """Return the first sequence of every document, and the end of the last one."""
    documents = _table(file, "<i8", index.documents_offset, index.documents)
    covers = len(documents) and documents[0] == 0 and documents[-1] == index.sequences
    falls = bool((np.diff(documents) < 0).any())
    if not covers or falls:
        found = f"go from {documents[0]:,} to {documents[-1]:,}" if len(documents) else "are none"
        raise UserError(
            f"{file.path}: the borders of its documents have to rise from sequence 0 to "
            f"{index.sequences:,}, but {found}{', and fall on the way' if falls else ''}. Make the "
            "dataset anew, and end its last document (end_document)."
        )
    return documents


def _parts(
    file: OpenedFile, index: _Index, borders: np.ndarray, values: OpenedFile
) -> tuple[tuple[int, int], ...]:
    """Return the runs of sequences that lie end to end in the values. Mostly it is one."""
    parts: list[tuple[int, int]] = []
    for first in range(0, index.sequences, _POINTERS_AT_ONCE):
        last = min(first + _POINTERS_AT_ONCE, index.sequences)
        pointers = _table(file, "<i8", index.pointers_offset + 8 * first, last - first)
        lengths = np.diff(borders[first : last + 1])
        _check_pointers(file, index, first, pointers, lengths, values)
        for offset, elements in _runs(pointers, lengths, index.dtype.itemsize):
            if parts and _end_of(parts[-1], index.dtype.itemsize) == offset:
                parts[-1] = (parts[-1][0], parts[-1][1] + elements)
            else:
                parts.append((offset, elements))
    end = _end_of(parts[0], index.dtype.itemsize) if len(parts) == 1 else 0
    if len(parts) <= 1 and end != values.size:
        raise UserError(
            f"{values.path}: its index {file.path} ends at byte {end:,}, but the file has "
            f"{values.size:,}. The two belong to different datasets, or one was cut; make them "
            "anew."
        )
    return tuple(parts)


def _end_of(part: tuple[int, int], element_bytes: int) -> int:
    """Return the byte at which a run of elements ends."""
    return part[0] + part[1] * element_bytes


def _runs(
    pointers: np.ndarray, lengths: np.ndarray, element_bytes: int
) -> Iterator[tuple[int, int]]:
    """Yield first byte and elements of every run of sequences that lie end to end."""
    pointers, lengths = pointers[lengths > 0], lengths[lengths > 0]
    if not len(lengths):
        return
    ends = pointers + lengths * element_bytes
    firsts = np.flatnonzero(np.concatenate([[True], pointers[1:] != ends[:-1]]))
    elements = np.add.reduceat(lengths, firsts)
    yield from zip(pointers[firsts].tolist(), elements.tolist(), strict=True)


def _check_pointers(
    file: OpenedFile,
    index: _Index,
    first: int,
    pointers: np.ndarray,
    lengths: np.ndarray,
    values: OpenedFile,
) -> None:
    """Refuse sequences that lie outside of the values."""
    # Compared so that no sum can pass the largest int64.
    outside = (pointers < 0) | (pointers > values.size - lengths * index.dtype.itemsize)
    if outside.any():
        number = int(np.argmax(outside))
        raise UserError(
            f"{file.path}: sequence {first + number:,}, {lengths[number]:,} elements of "
            f"{index.dtype.itemsize} bytes at byte {pointers[number]:,}, lies outside of "
            f"{values.path}, which has {values.size:,} bytes. The two belong to different "
            "datasets, or one was cut; make them anew."
        )
