"""Where rows of varying length begin: offsets or lengths in a file, checked before they are used.

Row r is the elements ``[offsets[r], offsets[r + 1])`` of a stream. Offsets stay in their file,
which is mapped. Lengths are cumulated into memory, 8 bytes a row, since no sum of them stands in
the file: for 10^9 rows, write offsets.
"""

import mmap
import os
from dataclasses import dataclass
from typing import Literal

import numpy as np

from memtrain.core.errors import UserError

#: What the numbers in a file are.
OffsetKind = Literal["offsets", "lengths"]

#: Numbers that are looked at in one go.
_NUMBERS_PER_CHUNK = 1 << 18


@dataclass(frozen=True)
class OffsetsFile:
    """Integers in a file that say where rows begin.

    Attributes:
        path: the file.
        file_bytes: size of the file, for which the other numbers are right.
        place: byte at which the integers begin.
        dtype: their dtype, such as "<i8".
        count: how many there are.
        kind: whether they are offsets, one more than there are rows, or the lengths of rows.
    """

    path: str
    file_bytes: int
    place: int
    dtype: str
    count: int
    kind: OffsetKind

    def load(self) -> np.ndarray:
        """Return the offsets, (rows + 1,) integers: mapped, or cumulated from lengths.

        Raises:
            UserError: where the file is gone, cannot be read or has another size, or lengths are
                less than 0.
        """
        numbers = self._mapped()
        if self.kind == "offsets":
            return numbers
        offsets = np.zeros(self.count + 1, np.int64)
        for start in range(0, self.count, _NUMBERS_PER_CHUNK):
            part = numbers[start : start + _NUMBERS_PER_CHUNK]
            if (part < 0).any():
                row = start + int((part < 0).argmax())
                raise UserError(
                    f"{self.path}: the length of row {row:,} is {numbers[row]}. Write lengths of 0 "
                    "or more, or use `offsets` if these numbers are where rows begin."
                )
            end = start + len(part)
            np.cumsum(part, out=offsets[start + 1 : end + 1])
            offsets[start + 1 : end + 1] += offsets[start]
        return offsets

    def _mapped(self) -> np.ndarray:
        dtype = np.dtype(self.dtype)
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size != self.file_bytes:
                    raise UserError(
                        f"{self.path}: it has {size:,} bytes, but it had {self.file_bytes:,} when "
                        "the rows were described. Bring it back as it was; or, if the change was "
                        "meant, describe the rows anew."
                    )
                if self.count == 0:
                    return np.empty(0, dtype)
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"{self.path}: this file of {self.kind} cannot be read ({reason})."
            ) from None
        return np.frombuffer(content, dtype, self.count, self.place)


def check_offsets(offsets: np.ndarray, elements: int, name: str) -> int:
    """Check that offsets ascend and lie within a stream, a chunk at a time.

    Args:
        offsets: (rows + 1,) integers.
        elements: number of elements of the stream.
        name: name of the file for messages.

    Returns:
        The length of the longest row.

    Raises:
        UserError: naming the row, where an offset is less than the one before it, or rows begin
            before the stream or end behind it.
    """
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu":
        raise UserError(
            f"{name}: it holds {offsets.dtype} of shape {offsets.shape}; offsets are integers of "
            "shape (rows + 1,)."
        )
    if len(offsets) == 0:
        raise UserError(f"{name}: it is empty. The offsets of n rows are n + 1 numbers.")
    if offsets[0] < 0:
        raise UserError(f"{name}: row 0 begins at {offsets[0]}. Offsets count elements from 0.")
    longest = 0
    for start in range(0, len(offsets) - 1, _NUMBERS_PER_CHUNK):
        part = offsets[start : start + _NUMBERS_PER_CHUNK + 1]
        descends = part[1:] < part[:-1]
        if descends.any():
            row = start + int(descends.argmax())
            raise UserError(
                f"{name}: row {row:,} begins at {offsets[row]} and ends at {offsets[row + 1]}. "
                "Offsets ascend; use `lengths` if these numbers are the lengths of rows."
            )
        longest = max(longest, int((part[1:] - part[:-1]).max()))
    if offsets[-1] > elements:
        row = int(np.searchsorted(offsets, elements, side="right")) - 1
        raise UserError(
            f"{name}: row {row:,} ends at element {offsets[row + 1]}, but the files have "
            f"{elements:,} elements. Offsets count elements, not bytes, from the first of all "
            "files on."
        )
    return longest
