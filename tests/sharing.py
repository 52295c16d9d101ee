"""Folders that are made once in a run of the tests, whichever of its processes asks first."""

import fcntl
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def is_worker() -> bool:
    """Return whether this process is one of several that run the tests."""
    return "PYTEST_XDIST_WORKER" in os.environ


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first process makes, and for which the others wait.

    Tests must not change what is in it. One that fails to be made is tried again by the next
    process.

    Args:
        factory: the fixture ``tmp_path_factory``.
        name: the name of the folder.
        make: makes the content; gets the path of an empty folder.
    """
    root = factory.getbasetemp()
    if is_worker():
        # The folders of all processes lie side by side.
        root = root.parent
    around = root / "made-once"
    around.mkdir(exist_ok=True)
    with open(around / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for number in itertools.count():
            folder, done = around / f"{name}-{number}", around / f"{name}-{number}.done"
            if done.exists():
                return folder
            if not folder.exists():
                folder.mkdir()
                make(folder)
                done.touch()
                return folder
    raise AssertionError("a try gives a folder, or fails")
