"""The memory cgroups in which tests and benchmarks run programs."""

import shutil
import subprocess
import sys

import pytest

from memtrain.system.memory import V1, V2, MemoryCgroup
from tests import cgroups
from tests.cgroups import LimitedMemory, UnavailableError, memory_cgroup

pytestmark = pytest.mark.slow

MIB = 2**20
ALLOCATE = "import sys; taken = b'x' * int(sys.argv[1]); print(len(taken), flush=True)"


@pytest.fixture
def cgroup():
    try:
        with memory_cgroup(100 * MIB) as cgroup:
            yield cgroup
    except UnavailableError as reason:
        pytest.skip(str(reason))
    assert not cgroup.folder.exists()


def test_a_program_that_exceeds_the_limit_is_killed(cgroup):
    done = cgroup.run([sys.executable, "-c", ALLOCATE, str(200 * MIB)], stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout, cgroup.oom_kills) == (-9, b"", 1)
    assert cgroup.peak_bytes == pytest.approx(100 * MIB, rel=0.02)


def test_a_program_below_the_limit_runs(cgroup):
    done = cgroup.run(
        [sys.executable, "-c", ALLOCATE, str(50 * MIB)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert (int(done.stdout), cgroup.oom_kills) == (50 * MIB, 0)
    assert 50 * MIB < cgroup.peak_bytes < 90 * MIB


def test_arguments_arrive_as_they_are(cgroup):
    program = ["printf", "%s|", "a b", "$0", "'"]
    assert cgroup.run(program, stdout=subprocess.PIPE).stdout == b"a b|$0|'|"


def test_anonymous_memory_is_the_memory_that_processes_hold(cgroup):
    with waiting_process(cgroup, 30 * MIB) as process:
        assert 30 * MIB < cgroup.anonymous_bytes < 60 * MIB
        process.stdin.close()
    assert cgroup.anonymous_bytes < MIB


def test_kill_ends_processes_that_still_run(cgroup):
    with waiting_process(cgroup, MIB) as process:
        cgroup.kill()
        assert process.wait() == -9


def waiting_process(cgroup, size):
    """Return a process that holds memory until its input is closed."""
    program = f"{ALLOCATE}; sys.stdin.read()"
    argv = cgroup.inside([sys.executable, "-c", program, str(size)])
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def reason_unavailable(monkeypatch, *parents):
    """Return the message of the error if these are the cgroups above this process."""
    monkeypatch.setattr(cgroups, "memory_cgroups", lambda: iter(parents))
    with pytest.raises(UnavailableError) as caught, memory_cgroup(MIB):
        pass
    return str(caught.value)


def test_without_cgroups_the_error_says_that_none_is_mounted(monkeypatch):
    assert reason_unavailable(monkeypatch) == "no memory cgroup can be made: none is mounted"


def test_the_error_gives_the_reason_of_every_cgroup(monkeypatch, tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu io\n")
    gone = tmp_path / "gone"
    parents = [MemoryCgroup(V2, tmp_path, "/"), MemoryCgroup(V1, gone, "/gone")]
    reason = reason_unavailable(monkeypatch, *parents)
    assert f"{tmp_path}: it has no memory controller; {gone}/" in reason
    assert reason.endswith(": No such file or directory")


def test_a_cgroup_that_no_process_may_enter_is_removed(monkeypatch, tmp_path):
    monkeypatch.setattr(LimitedMemory, "inside", lambda self, argv: ["false"])
    monkeypatch.setattr(LimitedMemory, "remove", lambda self: shutil.rmtree(self.folder))
    reason = reason_unavailable(monkeypatch, MemoryCgroup(V1, tmp_path, "/"))
    assert reason.endswith(": no process may enter it")
    assert not list(tmp_path.iterdir())


def test_limit_and_use_of_version_2_are_in_its_files(monkeypatch, tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu io memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    monkeypatch.setattr(cgroups, "memory_cgroups", lambda: iter([MemoryCgroup(V2, tmp_path, "/")]))
    monkeypatch.setattr(LimitedMemory, "remove", lambda self: shutil.rmtree(self.folder))
    with memory_cgroup(MIB) as cgroup:
        assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
        assert (cgroup.folder / "memory.max").read_text() == f"{MIB}\n"
        (cgroup.folder / "memory.peak").write_text("70\n")
        (cgroup.folder / "memory.stat").write_text("anon 50\nfile 9\nanon_thp 8\n")
        (cgroup.folder / "memory.events").write_text("oom 3\noom_kill 2\noom_group_kill 1\n")
        assert (cgroup.peak_bytes, cgroup.anonymous_bytes, cgroup.oom_kills) == (70, 50, 2)
