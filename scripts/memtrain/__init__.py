"""Trains PyTorch models on ranges of the rows of memory-mapped files.

``memtrain.api`` lists the public names. They can be imported from here as well, and are loaded when
they are first used: importing one module of the package imports no other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memtrain.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Return a public name."""
    if not name.startswith("_"):
        # Named by a string: what a script imports decides which code its results depend on.
        public = import_module("memtrain.api")
        if name in public.__all__:
            return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
