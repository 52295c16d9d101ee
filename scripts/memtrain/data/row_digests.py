"""Digests of the bytes of rows, each written with the name of its algorithm: "sha256:0123...".

Of rows that vary in length, the digest is that of several: of the bytes of every stored
field, and of the lengths of its rows where they vary. So it does not matter in which chunks rows
are read, and rows of other lengths with the same bytes have another digest.
"""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from memtrain.core.ranges import Range
from memtrain.data.layouts import RowLayout
from memtrain.data.ragged_rows import RaggedValues
from memtrain.data.record_file import bytes_of_rows
from memtrain.data.row_chunks import Chunk, read_chunks
from memtrain.system.digests import digest_algorithm, new_digest


class RowsDigest:
    """The digest of rows that are added a chunk at a time.

    Args:
        algorithm: algorithm of the digest, sha256 or blake3.
    """

    def __init__(self, algorithm: str):
        self._algorithm = algorithm
        self._rows = new_digest(algorithm)
        self._parts: dict[tuple[int, str], Any] = {}

    def update(self, chunk: Chunk) -> None:
        """Add rows."""
        if isinstance(chunk, np.ndarray):
            self._rows.update(bytes_of_rows(chunk))
            return
        for number, stored in enumerate(chunk.stored.values()):
            if isinstance(stored, RaggedValues):
                self._add(number, "lengths", stored.lengths.astype("<i8"))
                stored = stored.values
            self._add(number, "values", stored)

    def __str__(self) -> str:
        digest = self._rows.copy()
        for (number, name), part in sorted(self._parts.items()):
            digest.update(f"{number} {name} {part.hexdigest()}\n".encode())
        return f"{self._algorithm}:{digest.hexdigest()}"

    def _add(self, number: int, name: str, values: np.ndarray) -> None:
        """Add to the digest of a part of a stored field, by its number."""
        if (number, name) not in self._parts:
            self._parts[number, name] = new_digest(self._algorithm)
        self._parts[number, name].update(bytes_of_rows(np.ascontiguousarray(values)))


def digest_rows(
    data: str | os.PathLike, layout: RowLayout, rows: Range, algorithm: str = "sha256"
) -> str:
    """Return the digest of the bytes of some rows, read through one small buffer."""
    return digest_chunks(read_chunks(data, layout, rows), algorithm)


def digest_chunks(chunks: Iterable[Chunk], algorithm: str = "sha256") -> str:
    """Return the digest of the bytes of all chunks of rows, one after the other."""
    digest = RowsDigest(algorithm)
    for chunk in chunks:
        digest.update(chunk)
    return str(digest)


def chunks_have_digest(chunks: Iterable[Chunk], digest: str) -> bool:
    """Return whether the bytes of all chunks of rows, one after the other, have a digest."""
    return digest_chunks(chunks, digest_algorithm(digest)) == digest
