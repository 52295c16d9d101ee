"""Where tests find the programs `python` and `snakemake` that they call as users do."""

import os
import sys
from pathlib import Path

from tests.sharing import is_worker, made_once
from tests.warm_python import start

#: The folder of programs that start quickly, where there are some.
_WARM = "MEMTRAIN_TESTS_PROGRAMS"


def let_programs_start_quickly(factory):
    """Let programs start quickly from now on; see ``tests.warm_python``.

    All processes of a run of the tests share a server, which ends with the run.

    Args:
        factory: the fixture ``tmp_path_factory``.
    """
    if _WARM not in os.environ:
        # A worker of pytest-xdist is a child of the process that the user has started.
        owner = os.getppid() if is_worker() else os.getpid()
        os.environ[_WARM] = str(made_once(factory, "programs", lambda path: start(path, owner)))


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
