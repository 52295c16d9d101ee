"""Fails tests of single functions that start processes, but for those that are marked as slow.

`make test-quick` leaves those out: starting, killing and waiting takes most of the time.
"""

import sys
from contextlib import contextmanager

import pytest

#: What Python tells its audit hooks before it starts a process; see the table of audit events in
#: Python's documentation.
_STARTS = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})

#: The test that runs, if it may not start a process.
_confined = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Fail a fixture that starts a process for a test without the mark."""
    with _confinement(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Fail a test that starts a process without the mark."""
    with _confinement(item):
        return (yield)


@contextmanager
def _confinement(item):
    if not item.get_closest_marker("slow"):
        _confined.append(item.nodeid)
    try:
        yield
    finally:
        _confined.clear()


def _refuse_processes(event, arguments):
    if _confined and event in _STARTS:
        pytest.fail(f"{_confined[0]} starts a process: mark it with @pytest.mark.slow")


sys.addaudithook(_refuse_processes)
