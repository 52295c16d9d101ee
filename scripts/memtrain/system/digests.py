"""Digests of bytes, each written with the name of its algorithm: "sha256:0123..."."""

import hashlib
import os
from typing import Any

from memtrain.core.errors import UserError


def new_digest(algorithm: str) -> Any:
    """Return a digest to update, as ``hashlib`` has them.

    Args:
        algorithm: sha256, or blake3, which is faster where a processor has no instructions for the
            former.

    Raises:
        UserError: where blake3 is asked for and not installed.
    """
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm != "blake3":
        raise UserError(f"{algorithm!r} is no digest that is known here; sha256 and blake3 are.")
    try:
        from blake3 import blake3
    except ImportError:
        raise UserError(
            "shards.digest: blake3 is asked for and not installed. Install it by `pip install -r "
            "envs/requirements-blake3.txt`, or use sha256."
        ) from None
    return blake3()


def algorithm_of(digest: str) -> str:
    """Return the algorithm of a digest that is written with its name."""
    return digest.partition(":")[0]


def digest_of_file(path: str | os.PathLike) -> str:
    """Return "sha256:" and the digest of a file's bytes."""
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
