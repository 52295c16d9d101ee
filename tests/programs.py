"""Where tests find the programs `python` and `snakemake` that they call as users do."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

from tests.warm_python import warm_programs

#: The folder of programs that start quickly, where there are some.
_WARM = "MEMTRAIN_TESTS_PROGRAMS"


@contextmanager
def quick_start():
    """Let programs start quickly in the block; see ``tests.warm_python``."""
    if _WARM in os.environ:
        yield
        return
    with warm_programs() as folder:
        os.environ[_WARM] = str(folder)
        try:
            yield
        finally:
            del os.environ[_WARM]


def quick_python():
    """Return the program `python` that starts quickly, or the real one where there is none.

    A program of its own is no child of its caller, and in a process group of its own.
    """
    return os.path.join(os.environ[_WARM], "python") if _WARM in os.environ else sys.executable


def search_path(last=None, warm=True):
    """Return PATH as `make` sets it: the programs of this Python's folder come first.

    Args:
        last: folder that comes last; None for no such folder.
        warm: whether programs may start quickly. Those do not share a process group with their
            caller, so a test of such groups needs the real ones.
    """
    first = os.environ.get(_WARM) if warm else None
    folders = [first, str(Path(sys.executable).parent), os.environ["PATH"], last and str(last)]
    return os.pathsep.join(filter(None, folders))
