"""Fork servers, their jobs and their clients when something ends or stops them."""

import os
import signal
import subprocess
import sys

import pytest

from tests.forking import LAUNCH, Owner, children, is_alive, kill, state_of
from tests.trainings import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="fork servers need Linux"),
]

#: Says who it is, counts that it ran, and waits for its end.
WAITS = """
import os, sys, time
with open("runs", "a") as file:
    file.write("x")
print("pid", os.getpid(), flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
print("done")
"""

#: Prints the signals that it gets, until it gets SIGUSR2.
LISTENS = """
import os, signal
def heard(number, frame):
    print("heard", number, flush=True)
caught = signal.valid_signals() - {9, 19, 17, 11, 7, 8, 4, 5, 31, 13, 18, 20, 21, 22}
for number in caught - {12}:
    signal.signal(number, heard)
print("pid", os.getpid(), flush=True)
while True:
    signal.pause()
"""


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "waits.py").write_text(WAITS)
    (folder / "listens.py").write_text(LISTENS)
    with Owner(folder) as owner:
        yield owner


@pytest.fixture
def runs(owner):
    """Return a function: how many times the waiting script has run in this test."""
    path = owner.folder / "runs"
    path.unlink(missing_ok=True)
    return lambda: len(path.read_text())


def test_every_signal_reaches_the_job_once(owner):
    job = owner.start("listens.py")
    job.pid()
    sent = [1, 2, 3, 6, 10, 14, 15, 23, 24, 25, 26, 27, 28, 29, 30, 34, 50, 64]
    for number in sent:
        job.send(number)
        job.wait_for(f"heard {number}\n")
    job.send(signal.SIGUSR2)
    status, printed = job.end()
    assert status == -signal.SIGUSR2
    assert printed.splitlines()[1:] == [f"heard {number}" for number in sent]


def test_a_signal_ends_client_and_job_as_it_ends_python(owner):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        ended = []
        for forked in (False, True):
            job = owner.start("waits.py", "never", forked=forked)
            pid = job.pid()
            job.send(number)
            status, printed = job.end()
            ended.append((status, printed.splitlines()[1:]))
            assert not is_alive(pid)
        assert ended[0] == ended[1]


def test_a_stopped_job_goes_on(owner):
    """As after Ctrl-Z and `fg` in a terminal."""
    job = owner.start("waits.py", "go-on")
    pid = job.pid()
    for number in (signal.SIGTSTP, signal.SIGTTIN):
        job.send(number)
        wait_until(lambda: state_of(pid) == state_of(job.client) == "T")
        job.send(signal.SIGCONT)
        wait_until(lambda: "T" not in (state_of(pid), state_of(job.client)))
    (owner.folder / "go-on").touch()
    assert job.end() == (0, f"pid {pid}\ndone\n")


def test_a_killed_client_ends_its_job_alone(owner, runs):
    lost, other = owner.start("waits.py", "x"), owner.start("waits.py", "now")
    pid = lost.pid()
    other.pid()
    lost.send(signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
    (owner.folder / "now").touch()
    assert other.end()[0] == 0
    assert runs() == 2


def test_a_client_that_is_killed_early_leaves_nothing(owner):
    for seconds in (0.0, 0.02, 0.03, 0.04, 0.05, 0.1):
        job = owner.start("waits.py", "never")
        signal.sigtimedwait([], seconds)
        job.send(signal.SIGKILL)
        job.end()
    (server,) = owner.servers()
    wait_until(lambda: not children(server), seconds=10)


def test_a_killed_server_ends_its_jobs_which_are_not_run_again(owner, runs):
    job = owner.start("waits.py", "never")
    pid = job.pid()
    (server,) = owner.servers()
    kill(server)
    status, printed = job.end()
    assert status == -signal.SIGKILL
    assert "error: the fork server was killed, and the job with it" in printed
    assert not is_alive(pid)
    assert runs() == 1
    # The next jobs, all of which come at once, have one other server.
    jobs = [owner.start("waits.py", "all") for _ in range(6)]
    pids = {job.pid() for job in jobs}
    (other,) = owner.servers()
    assert other != server
    assert pids == set(children(other))
    (owner.folder / "all").touch()
    assert [job.end()[0] for job in jobs] == [0] * 6


def test_a_server_holds_no_stream_of_the_job_that_started_it(owner):
    """`snakemake | tee log` would not end otherwise."""
    (owner.folder / "x.py").write_text("print('x')")
    owner.run("x.py")
    (server,) = owner.servers()
    files = [os.readlink(f"/proc/{server}/fd/{number}") for number in (0, 1, 2)]
    assert files == ["/dev/null"] * 3


def test_trouble_leads_to_plain_python(tmp_path):
    """A server that has a second thread, that lost a package, or that nobody may start."""
    (tmp_path / "x.py").write_text("import os; print(os.getppid())")
    library = tmp_path / "library"
    library.mkdir()
    threads = "import threading, time\nthreading.Thread(target=time.sleep, args=[99], daemon=True)"
    with Owner(tmp_path) as owner:
        (library / "sitecustomize.py").write_text(f"{threads}.start()")
        plain = f"{owner.process.pid}\n"
        printed = owner.run("x.py", PYTHONPATH=str(library))[1]
        assert "the server has 2 threads" in printed
        assert printed.endswith(plain)
        (library / "sitecustomize.py").unlink()
        (library / "yaml.py").write_text("raise ImportError('no such thing')")
        for number in (1, 2, 3):
            printed = owner.run("x.py", PYTHONPATH=str(library), OTHER=str(number))[1]
            assert "an import failed (ImportError: no such thing)" in printed
            assert printed.endswith(plain)
        printed = owner.run("x.py", OTHER="4")[1]
        assert "4 servers run, for jobs that start otherwise" in printed
        assert printed.endswith(plain)


def test_a_server_lives_as_long_as_its_packages_and_its_owner(tmp_path):
    """What its packages print when they are imported is printed by every job."""
    (tmp_path / "x.py").write_text("import yaml; print('x')")
    (tmp_path / "waits.py").write_text(WAITS)
    library = tmp_path / "library"
    library.mkdir()
    (library / "yaml.py").write_text("import sys; print('noise', file=sys.stderr)")
    way = {"PYTHONPATH": str(library)}
    with Owner(tmp_path) as owner:
        for _ in range(2):
            assert owner.run("x.py", **way) == (0, "noise\nx\n")
        (server,) = owner.servers()

        (library / "new.py").touch()
        assert "a package was changed" in owner.run("x.py", **way)[1]
        wait_until(lambda: not is_alive(server))
        assert owner.run("x.py", **way) == (0, "noise\nx\n")

        # Python goes on when Snakemake is killed, and so does a job.
        job = owner.start("waits.py", "end", **way)
        pid = int(job.wait_for("pid ").split()[2])
        (server,) = owner.servers()
        owner.process.kill()
        owner.process.wait()
        signal.sigtimedwait([], 0.3)
        assert all(map(is_alive, (server, pid, job.client)))
        (tmp_path / "end").touch()
        wait_until(lambda: not any(map(is_alive, (server, pid, job.client))), seconds=10)
        assert job.printed() == f"noise\npid {pid}\ndone\n"


def test_a_client_imports_little():
    """It starts in 0.03 CPU seconds, of which Python takes the half."""
    command = [sys.executable, "-ESs", "-X", "importtime", LAUNCH, "no-such-script"]
    printed = subprocess.run(command, capture_output=True, text=True).stderr
    imported = {line.rpartition("|")[2].strip() for line in printed.splitlines()}
    assert "memtrain.workflow.fork_server.client" in imported
    slow = {"torch", "numpy", "json", "subprocess", "ctypes", "tempfile", "pathlib", "asyncio"}
    assert not imported & slow
