"""Digests of bytes, written with the name of their algorithm: "sha256:0123..."."""

import hashlib
import os
from typing import Any

from memtrain.core.errors import UserError
from memtrain.system.file_content import open_file


def new_digest(algorithm: str) -> Any:
    """Return a new digest object with the interface of ``hashlib``.

    Args:
        algorithm: "sha256" or "blake3". blake3 is faster on processors that have no instructions
            for sha256.

    Raises:
        UserError: where the algorithm is unknown, or blake3 is not installed.
    """
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm != "blake3":
        raise UserError(f"{algorithm!r} is not a known digest; known are sha256 and blake3.")
    try:
        from blake3 import blake3
    except ImportError:
        raise UserError(
            "shards.digest: blake3 is not installed. Install it by `pip install -r "
            "envs/requirements-blake3.txt`, or use sha256."
        ) from None
    return blake3()


def digest_algorithm(digest: str) -> str:
    """Return the name of the algorithm in a digest like "sha256:0123..."."""
    return digest.partition(":")[0]


def digest_of_file(path: str | os.PathLike) -> str:
    """Return the digest of a file's bytes, as "sha256:0123..."."""
    with open_file(path) as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
