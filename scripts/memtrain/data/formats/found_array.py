"""What a reader of a file format finds in a file: which bytes hold the elements of an array."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class FoundArray:
    """An array in a file. Its elements lie end to end in one or more runs of bytes.

    Attributes:
        dtype: dtype of one value, or of one record (structured).
        shape: shape of one element; ``()`` where an element is one value or one record.
        parts: byte offset and number of elements of every run of elements, in order. No run is
            empty, so that an array without elements has no parts.
        borders: int64 (documents + 1,), the first element of every document and the end of the
            last one; None where the format knows of no documents. A document may be empty.
        path: file that has the elements, where it is another one than the file that was asked for:
            the ``.bin`` beside Megatron's ``.idx``.
        unit: what the integers count, where the file says it: "us since 1970 UTC".
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    parts: tuple[tuple[int, int], ...]
    borders: np.ndarray | None = None
    path: str | None = None
    unit: str | None = None

    @property
    def elements(self) -> int:
        """The number of elements."""
        return sum(elements for _, elements in self.parts)

    @property
    def element_bytes(self) -> int:
        """The size of one element, in bytes."""
        return bytes_of_element(self.dtype, self.shape)


def bytes_of_element(dtype: np.dtype, shape: tuple[int, ...]) -> int:
    """Return the size of one element, in bytes, however large the shape is."""
    size = dtype.itemsize
    for length in shape:
        size *= length
    return size


def one_part(offset: int, elements: int) -> tuple[tuple[int, int], ...]:
    """Return the parts of an array whose elements lie in one run of bytes."""
    return ((offset, elements),) if elements else ()


@dataclass(frozen=True)
class Refusal:
    """Stands for an array that a file has and that is not read.

    Attributes:
        reason: what is in the way and what to do, as the rest of a sentence that names the array.
    """

    reason: str
