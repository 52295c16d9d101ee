"""A job of a fork server does what Python does: the same output, status and files."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.forking import Owner, children
from tests.trainings import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="fork servers need Linux"),
]

#: Scripts that are run by Python and by a server, with what they are about as their names.
SCRIPTS = {
    "the main module": """
import sys
print(__name__, __file__, __spec__, __package__, __doc__, __cached__, sorted(globals()))
print(sys.argv, sys.orig_argv[1:], sys.path, sys.flags, sys.executable, sys.warnoptions)
print(sys.modules["__main__"].__file__, type(__loader__).__name__, __builtins__)
""",
    "what a process starts with": """
import os, resource, signal, tempfile
mask = os.umask(0)
print(oct(mask), os.getcwd(), tempfile.gettempdir(), os.nice(0), os.sched_getaffinity(0))
print([(number, signal.getsignal(number)) for number in signal.valid_signals()])
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
print([resource.getrlimit(getattr(resource, n)) for n in dir(resource) if n.startswith("RLIMIT")])
names = sorted(os.environ)
print([(name, os.environ[name]) for name in names if name not in ("_", "PWD")])
print(sorted(os.listdir("/proc/self/fd"))[:-1], len(os.listdir("/proc/self/task")))
""",
    "streams": """
import sys
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream.name, stream.mode, stream.encoding, stream.errors, stream.newlines)
    print(stream.seekable(), stream.buffer.name, stream.buffer.mode)
    print(stream.line_buffering, stream.write_through, stream.isatty(), type(stream.buffer))
sys.stdout.reconfigure(errors="backslashreplace")
print("\\udc80 \\u2713")
print("to standard error", file=sys.stderr)
sys.__stdout__.write("the original stream\\n")
print(repr(sys.stdin.read()))
""",
    "what is imported": """
import sys
print([name for name in sys.modules if name.startswith("memtrain")])
import random, numpy, torch
print(torch.get_num_threads(), torch.get_num_interop_threads(), torch.is_grad_enabled())
print(numpy.random.default_rng(1).random(), torch.rand(2, generator=torch.manual_seed(3)))
""",
    "status 3": "import sys; print('x', end=''); sys.exit(3)",
    "status 300": "import sys; sys.exit(300)",
    "a text as status": "import sys; sys.exit('the reason')",
    "no status": "import sys; sys.exit()",
    "an error": "def f():\n    raise ValueError('x')\n\nf()",
    "an error of another": "try:\n    1 / 0\nexcept ValueError:\n    pass\nfinally:\n    f()",
    "no syntax": "print(1\nprint(2)",
    "Ctrl-C": "raise KeyboardInterrupt",
    "an end at once": "import os; print('lost'); os._exit(7)",
    "an abortion": "import os; os.abort()",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "terminated": "import os; os.kill(os.getpid(), 15)",
    "a broken pipe": "import signal; signal.signal(13, signal.SIG_DFL); signal.raise_signal(13)",
    "a stream that cannot be written": "import os; print('x'); os.close(1)",
    "what is done at the end": """
import atexit, tempfile, threading, time
folder = tempfile.TemporaryDirectory()
print(folder.name.count("/"))
atexit.register(print, "at the end")
def late():
    time.sleep(0.2)
    print("of a thread")
threading.Thread(target=late).start()
""",
    "files that nobody closes": """
file = open("left-open", "w")
file.write("not flushed")
class Late:
    def __del__(self):
        print("taken down")
late = Late()
""",
    "what C prints": """
import ctypes, sys
ctypes.CDLL(None).printf(b"from C\\n")
""",
    "processes of its own": """
import multiprocessing, subprocess, sys
def double(value):
    return 2 * value
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(pool.map(double, [1, 2]))
    print(subprocess.run([sys.executable, "-c", "print('child')"], capture_output=True).stdout)
""",
    "a warning": "import warnings; warnings.warn('careful')",
}


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    with Owner(tmp_path_factory.mktemp("jobs")) as owner:
        yield owner


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_does_the_same_as_under_python(owner, name):
    (owner.folder / "script.py").write_text(SCRIPTS[name])
    left_open = owner.folder / "left-open"
    ended = []
    for forked in (False, True):
        left_open.write_text("")
        status, printed = owner.run("script.py", "a b", "--x", forked=forked)
        ended.append((status, printed, left_open.read_text()))
    plain, by_server = ended
    assert by_server == plain
    assert "note:" not in plain[1]
    assert owner.servers()


@pytest.mark.parametrize("name", ["/", "folder/", "link/"])
def test_a_script_is_found_from_where_it_lies(owner, name):
    folder = owner.folder / "folder"
    folder.mkdir(exist_ok=True)
    (folder / "beside.py").write_text("value = 3")
    (folder / "uses.py").write_text(
        "import beside, sys; print(beside.value, sys.path[0], __file__)"
    )
    link = owner.folder / "link"
    link.is_symlink() or link.symlink_to(folder)
    path = f"{folder}/uses.py" if name == "/" else f"{name}uses.py"
    assert owner.run(path) == owner.run(path, forked=False)


def test_a_missing_script_is_what_python_says(owner):
    assert owner.run("missing.py") == owner.run("missing.py", forked=False)


def test_jobs_differ_in_what_is_random(owner):
    (owner.folder / "random_numbers.py").write_text(
        "import random, numpy, torch\n"
        "print(random.random(), numpy.random.rand(), torch.rand(1, dtype=torch.float64).item())"
    )
    numbers = [owner.run("random_numbers.py")[1].split() for _ in range(3)]
    assert all(len(set(column)) == 3 for column in zip(*numbers, strict=True))


def test_an_edit_shows_in_the_next_job(owner):
    """Of the script, and of a module of the user's own in the folder."""
    script = "import sys, os; sys.path.append(os.getcwd()); import own; print({}, own.value)"
    servers = owner.servers()
    for value in (1, 2, 3):
        (owner.folder / "edited.py").write_text(script.format(value))
        (owner.folder / "own.py").write_text(f"value = {value}")
        assert owner.run("edited.py") == (0, f"{value} {value}\n")
    assert owner.servers() == servers


def test_temporary_folders_may_differ(owner):
    (owner.folder / "folder.py").write_text("import tempfile; print(tempfile.gettempdir())")
    servers = owner.servers()
    for name in ("one", "two"):
        folder = owner.folder / name
        folder.mkdir()
        assert owner.run("folder.py", TMPDIR=str(folder)) == (0, f"{folder}\n")
    assert owner.servers() == servers


def test_jobs_that_start_otherwise_have_another_server(tmp_path):
    names = ("what a process starts with", "what is imported", "streams")
    script = "".join(SCRIPTS[name] for name in names).replace("\\u2713", "é")
    (tmp_path / "script.py").write_text(script)
    folder = {"prefix": ["nohup", "nice", "-n", "3", "bash", "-c", "umask 77; exec $0 $@"]}
    ways = [
        {"OMP_NUM_THREADS": "2", "OTHER": "x", "PYTHONUNBUFFERED": "1"},
        {"PYTHONIOENCODING": "latin-1", "PYTHONUNBUFFERED": ""} | folder,
    ]
    with Owner(tmp_path) as owner:
        for servers, way in enumerate(ways, start=1):
            status, printed = owner.run("script.py", forked=False, **way)
            assert owner.run("script.py", **way) == (status, printed)
            assert status == 0
            assert len(owner.servers()) == servers


def test_the_server_does_not_grow_and_keeps_no_dead(owner):
    (owner.folder / "allocates.py").write_text("import numpy; numpy.ones(3_000_000)")
    owner.run("allocates.py")
    (server,) = owner.servers()
    before, files = resident_mib(server), os.listdir(f"/proc/{server}/fd")
    for _ in range(20):
        assert owner.run("allocates.py") == (0, "")
    assert resident_mib(server) < before + 10
    # The server closes the files of a job after it has told the job's end.
    wait_until(lambda: len(os.listdir(f"/proc/{server}/fd")) <= len(files), seconds=10)
    assert children(server) == []


def resident_mib(pid):
    """Return the resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def test_the_client_ends_by_the_signal_that_ends_the_job(owner):
    (owner.folder / "dies.py").write_text("import os, sys; os.kill(os.getpid(), int(sys.argv[1]))")
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM, signal.SIGKILL, signal.SIGSEGV):
        assert owner.run("dies.py", int(number)) == (-number, "")
