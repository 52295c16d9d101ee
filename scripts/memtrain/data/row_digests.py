"""Digests of the bytes of rows, each written with the name of its algorithm: "sha256:0123..."."""

import os
from collections.abc import Iterable

import numpy as np

from memtrain.core.ranges import Range
from memtrain.data.layouts import RowLayout
from memtrain.data.record_file import bytes_of_rows
from memtrain.data.row_chunks import read_chunks
from memtrain.system.digests import digest_algorithm, new_digest


def digest_rows(
    data: str | os.PathLike, layout: RowLayout, rows: Range, algorithm: str = "sha256"
) -> str:
    """Return the digest of the bytes of some rows, read through one small buffer."""
    return digest_chunks(read_chunks(data, layout, rows), algorithm)


def digest_chunks(chunks: Iterable[np.ndarray], algorithm: str = "sha256") -> str:
    """Return the digest of the bytes of all chunks of rows, one after the other."""
    digest = new_digest(algorithm)
    for chunk in chunks:
        digest.update(bytes_of_rows(chunk))
    return f"{algorithm}:{digest.hexdigest()}"


def chunks_have_digest(chunks: Iterable[np.ndarray], digest: str) -> bool:
    """Return whether the bytes of all chunks of rows, one after the other, have a digest."""
    return digest_chunks(chunks, digest_algorithm(digest)) == digest
