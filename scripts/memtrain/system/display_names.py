"""What messages call a file whose path tells people nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_names: dict[str, str] = {}


@contextmanager
def called(path: str | os.PathLike, name: str) -> Iterator[None]:
    """Let messages of this process call a file by a name instead of its path."""
    _names[os.fspath(path)] = name
    try:
        yield
    finally:
        del _names[os.fspath(path)]


def name_of(path: str | os.PathLike) -> str:
    """Return what messages call a file: its path, unless it is called otherwise."""
    return _names.get(os.fspath(path), os.fspath(path))
