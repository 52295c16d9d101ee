"""The report of `make gpu`: its rehearsal on the CPU, and points that fail or never end."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.gpu.__main__ import POINTS, table
from benchmarks.gpu.running import GRACE_SECONDS, Point, run_point

from tests.programs import quick_python, starting_quickly

pytestmark = pytest.mark.slow

FINDS_ONE = """
from benchmarks.gpu.findings import Finding

def find(setting):
    yield Finding("what came before", 1234.5, "rows/s", 0.5)
"""


@pytest.fixture
def new_point(tmp_path, monkeypatch):
    """Return a function that makes a point of some lines of code."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def new_point(name, lines, seconds=60):
        (tmp_path / f"{name}.py").write_text(FINDS_ONE + lines)
        return Point(name, "A title", seconds)

    return new_point


@pytest.fixture
def points_start_quickly(monkeypatch):
    monkeypatch.setattr(sys, "executable", quick_python())


def test_all_points_together_end_within_eight_minutes():
    assert sum(point.seconds + GRACE_SECONDS for point in POINTS) <= 8 * 60


def test_the_rehearsal_on_a_cpu_runs_every_point(repository, tmp_path):
    path = tmp_path / "gpu.json"
    done = subprocess.run(
        [quick_python(), "-m", "benchmarks.gpu", "--device", "cpu", "--json", path],
        cwd=repository,
        env=starting_quickly(),
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout
    outcomes = json.loads(path.read_text())["points"]
    assert [outcome["state"] for outcome in outcomes] == ["done"] * len(POINTS)
    assert all(outcome["findings"] for outcome in outcomes)
    found = [finding["found"] for outcome in outcomes for finding in outcome["findings"]]
    assert "needs a GPU" in found
    assert "NO" not in found


@pytest.mark.usefixtures("points_start_quickly")
def test_a_point_that_fails_tells_why_and_what_it_found_before(new_point):
    outcome = run_point(new_point("fails", "    raise ArithmeticError('a kernel broke')\n"), "cpu")
    assert (outcome.state, outcome.is_good) == ("failed", False)
    assert [one.text for one in outcome.findings] == ["1,234 rows/s"]
    assert "| what it said last | ArithmeticError: a kernel broke |" in table(outcome)


def test_a_point_that_never_ends_leaves_no_process_and_what_it_found_before(new_point, tmp_path):
    lines = f"""
    import os, signal, subprocess
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"])
    open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
    child.wait()
"""
    start = time.monotonic()
    outcome = run_point(new_point("hangs", lines, seconds=15), "cpu")
    assert time.monotonic() - start < 30
    assert outcome.state == "out of time"
    assert [one.found for one in outcome.findings] == [1234.5]
    pids = (tmp_path / "pids").read_text().split()
    deadline = time.monotonic() + 20  # A process that was killed takes a moment to end.
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [pid for pid in pids if is_running(pid)]


def is_running(pid):
    """Return whether a process runs; one that has ended may wait for its parent to notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@pytest.mark.usefixtures("points_start_quickly")
def test_what_must_not_be_is_told_by_the_exit_status(new_point):
    lines = "    yield Finding('two runs are equal', 'NO', is_wrong=True)\n"
    outcome = run_point(new_point("wrong", lines), "cpu")
    assert (outcome.state, outcome.is_good) == ("done", False)
    assert "| two runs are equal | **NO** |" in table(outcome)
