"""Copies rows that vary in length out of the elements that they lie among, and pads them.

All rows are cut into chunks of a few elements, and one call gathers the chunks of many rows. Where
a row has ended, zeros are gathered. What the last chunk of a row has beyond its end is masked. So
no more is read than the rows have, and Python sees no single row.
"""

from functools import lru_cache

import numpy as np
import torch

from memtrain.data.field_view import FieldView
from memtrain.data.streams.stream import Stream

#: Bytes of a chunk. Of rows of 1 KiB, shorter chunks take more time, and longer ones read more that
#: is masked.
_CHUNK_BYTES = 256

#: Bytes of padded rows that are gathered before they are converted, unless a single row has more.
_GROUP_BYTES = 1 << 22


def spare_bytes(element_bytes: int) -> int:
    """Return how many zeros have to follow the elements that rows are copied from, in bytes."""
    return max(_CHUNK_BYTES, element_bytes) + element_bytes


class PaddedRows:
    """Copies rows of varying length, by memory that is used again and again.

    Args:
        stream: the stream that the rows are elements of.
    """

    def __init__(self, stream: Stream):
        self._stream = stream
        self._scratch = np.empty(0, np.uint8)

    def copy(
        self,
        elements: np.ndarray,
        view: FieldView,
        starts: np.ndarray,
        lengths: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Copy rows into an array, converting every value, with zeros behind their ends.

        Args:
            elements: uint8 (bytes,), elements of the stream; the last ``spare_bytes`` are zeros.
            view: what of the elements the values are.
            starts: int64 (n,), the place of the first element of each row.
            lengths: int64 (n,), the number of elements of each row.
            out: (n, longest, ...), the array to fill.
        """
        longest, element_bytes = out.shape[1], self._stream.element_bytes
        chunk = min(max(1, _CHUNK_BYTES // element_bytes), 1 << (longest - 1).bit_length())
        chunk_bytes = chunk * element_bytes
        chunks = -(-longest // chunk)
        count = (len(elements) - chunk_bytes) // element_bytes + 1
        # NumPy would copy such a view whole before it takes chunks from it.
        source = torch.from_numpy(elements).as_strided((count, chunk_bytes), (element_bytes, 1))
        first_elements = np.arange(0, chunks * chunk, chunk)
        rows = max(1, _GROUP_BYTES // (chunks * chunk_bytes))
        for first in range(0, len(starts), rows):
            of_group = slice(first, first + rows)
            places = starts[of_group, np.newaxis] + first_elements
            np.copyto(places, count - 1, where=first_elements >= lengths[of_group, np.newaxis])
            raw = self._memory(places.size * chunk_bytes).reshape(-1, chunk_bytes)
            torch.index_select(
                source, 0, torch.from_numpy(places.reshape(-1)), out=torch.from_numpy(raw)
            )
            if chunk > 1:
                _mask_ends(raw, lengths[of_group], chunk)
            self._convert(raw, view, chunks * chunk, out[of_group])

    def _memory(self, size: int) -> np.ndarray:
        if len(self._scratch) < size:
            self._scratch = np.empty(size, np.uint8)
        return self._scratch[:size]

    def _convert(self, raw: np.ndarray, view: FieldView, places: int, out: np.ndarray) -> None:
        """Copy padded rows into an array.

        Args:
            raw: uint8, the elements of the rows.
            view: what of the elements the values are.
            places: number of elements of a padded row.
            out: (n, longest, ...), the array to fill.
        """
        stream = self._stream
        elements = raw.reshape(-1).view(stream.dtype).reshape(-1, *stream.shape)
        values = view.of_elements(elements)
        out[...] = values.reshape(len(out), places, *values.shape[1:])[:, : out.shape[1]]


def _mask_ends(raw: np.ndarray, lengths: np.ndarray, chunk: int) -> None:
    """Set the bytes behind the end of every row to zero in its last chunk.

    Args:
        raw: uint8 (rows * chunks of a row, bytes of a chunk).
        lengths: int64 (rows,), the number of elements of each row.
        chunk: number of elements of a chunk.
    """
    last = np.maximum(lengths - 1, 0) // chunk
    numbers = np.arange(0, len(raw), len(raw) // len(lengths)) + last
    ends = raw.take(numbers, axis=0)
    ends &= _masks(chunk, raw.shape[1] // chunk).take(lengths - last * chunk, axis=0)
    raw[numbers] = ends


@lru_cache(maxsize=16)
def _masks(chunk: int, element_bytes: int) -> np.ndarray:
    """Return masks that keep the first elements of a chunk: uint8 (chunk + 1, bytes of a chunk)."""
    kept = np.arange(chunk) < np.arange(chunk + 1)[:, np.newaxis]
    return np.repeat(np.where(kept, 255, 0).astype(np.uint8), element_bytes, axis=1)
