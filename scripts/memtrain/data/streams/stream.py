"""Streams: elements of one type in many files, numbered from the first file to the last."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class ByteRuns:
    """Bytes to read: each run lies in one part of one file.

    Attributes:
        run: int64 (pieces,), which of the runs of elements that were asked for the piece is of.
        file: int64 (pieces,), the number of the file.
        place: int64 (pieces,), the first byte in the file.
        size: int64 (pieces,), the number of bytes.
        target: int64 (pieces,), the first byte within its run.
    """

    run: np.ndarray
    file: np.ndarray
    place: np.ndarray
    size: np.ndarray
    target: np.ndarray


@dataclass(frozen=True, eq=False)
class Stream:
    """Elements of one dtype and shape, laid end to end over parts of files.

    An element is one value, such as a token, or one small array, such as a row of a matrix. Most
    files are one part; a file that holds its elements in several places is several.

    Attributes:
        paths: the paths of the files, in order.
        sizes: int64 (files,), the size of every file in bytes, for which the parts are right.
        part_files: int64 (parts,), the number of the file of every part.
        part_offsets: int64 (parts,), the byte at which the part begins in its file.
        firsts: int64 (parts + 1,), the first element of every part; the last entry is the number
            of all elements.
        dtype: dtype of one value; structured for records.
        shape: shape of one element.
    """

    paths: tuple[str, ...]
    sizes: np.ndarray
    part_files: np.ndarray
    part_offsets: np.ndarray
    firsts: np.ndarray
    dtype: np.dtype
    shape: tuple[int, ...]

    @classmethod
    def of_parts(
        cls,
        files: Iterable[tuple[str, int, Iterable[tuple[int, int]]]],
        dtype: np.dtype,
        shape: tuple[int, ...] = (),
    ) -> "Stream":
        """Lay parts of files end to end.

        Args:
            files: of every file its path, its size in bytes, and its parts: the byte at which each
                begins, and its number of elements.
            dtype: dtype of one value.
            shape: shape of one element.
        """
        described = [(path, size, tuple(parts)) for path, size, parts in files]
        counts = [len(found) for _, _, found in described]
        parts = [part for _, _, found in described for part in found]
        lengths = [elements for _, elements in parts]
        return cls(
            paths=tuple(path for path, _, _ in described),
            sizes=_integers([size for _, size, _ in described]),
            part_files=np.repeat(np.arange(len(described)), counts),
            part_offsets=_integers([offset for offset, _ in parts]),
            firsts=np.concatenate([[0], np.cumsum(_integers(lengths))]),
            dtype=np.dtype(dtype),
            shape=tuple(shape),
        )

    @property
    def elements(self) -> int:
        """The number of all elements."""
        return int(self.firsts[-1])

    @cached_property
    def element_bytes(self) -> int:
        """The size of one element, in bytes."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    @cached_property
    def file_firsts(self) -> np.ndarray:
        """The first element of every file, and the number of all elements: int64 (files + 1,)."""
        first_parts = np.searchsorted(self.part_files, np.arange(len(self.paths) + 1))
        return self.firsts[first_parts]

    def byte_runs(self, starts: np.ndarray, ends: np.ndarray) -> ByteRuns:
        """Return where runs of elements ``[start, end)`` lie, cut at the borders of the parts.

        Args:
            starts: int64 (runs,), the first element of each run.
            ends: int64 (runs,), the element after the last of each run.
        """
        first_parts = np.searchsorted(self.firsts, starts, side="right") - 1
        last_parts = np.searchsorted(self.firsts, ends, side="left") - 1
        counts = np.where(ends > starts, last_parts - first_parts + 1, 0)
        run = np.repeat(np.arange(len(starts)), counts)
        within = np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
        part = first_parts[run] + within
        start = np.maximum(starts[run], self.firsts[part])
        elements = np.minimum(ends[run], self.firsts[part + 1]) - start
        # A part without elements in the middle of a run has nothing to read.
        is_there = elements > 0
        run, part, start, elements = (each[is_there] for each in (run, part, start, elements))
        return ByteRuns(
            run=run,
            file=self.part_files[part],
            place=self.part_offsets[part] + (start - self.firsts[part]) * self.element_bytes,
            size=elements * self.element_bytes,
            target=(start - starts[run]) * self.element_bytes,
        )


def _integers(values: list[int]) -> np.ndarray:
    return np.asarray(values, np.int64)
