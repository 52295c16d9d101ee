"""Where tests find the programs `python` and `snakemake` that they call as users do."""

import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.sharing import is_worker, made_once
from tests.warm_python import PYTHON, start

#: The folder of programs that start quickly, once a test has asked for one.
_WARM = "MEMTRAIN_TESTS_PROGRAMS"

#: Makes the folders of this run of the tests.
_factories = []


def let_programs_start_quickly(factory):
    """Let programs start quickly from now on; see ``tests.warm_python``.

    Args:
        factory: the fixture ``tmp_path_factory``.
    """
    _factories[:] = [factory]


def quick_python():
    """Return the program `python` that starts quickly, or the real one outside of tests.

    A program of its own is no child of its caller, and in a process group of its own.
    """
    folder = _quick_programs()
    return os.path.join(folder, "python") if folder else sys.executable


def starting_quickly():
    """Return the environment of a program that starts programs of its own by ``quick_python``."""
    return os.environ | {PYTHON: quick_python()}


def search_path(last=None, warm=True):
    """Return PATH as `make` sets it: the programs of this Python's folder come first.

    Args:
        last: folder that comes last; None for no such folder.
        warm: whether programs may start quickly. Those do not share a process group with their
            caller, so a test of such groups needs the real ones.
    """
    first = _quick_programs() if warm else None
    folders = [first, str(Path(sys.executable).parent), os.environ["PATH"], last and str(last)]
    return os.pathsep.join(filter(None, folders))


def _quick_programs():
    """Return the folder of the programs that start quickly; None where there are none.

    The first call starts their server, which all processes of a run of the tests share, and which
    ends with the run.
    """
    if _WARM not in os.environ and _factories:
        # A worker of pytest-xdist is a child of the process that the user has started.
        owner = os.getppid() if is_worker() else os.getpid()
        made = made_once(_factories[0], "programs", lambda path: start(path, owner))
        os.environ[_WARM] = str(made)
    return os.environ.get(_WARM)


def processes_in(folder):
    """Return the ids of all processes whose working folder this is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if path.readlink() == Path(folder).resolve():
                found.append(int(path.parent.name))
    return found


def kill_processes_in(folder):
    """Kill all processes whose working folder this is, and wait for their ends.

    A program that starts quickly is killed with its caller, but a moment later.
    """
    while found := processes_in(folder):
        for pid in found:
            with suppress(ProcessLookupError):
                process = os.pidfd_open(pid)
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [])
                os.close(process)
