"""A file that processes share: one fills it, all use it, and the last one removes it."""

import os
import signal
import stat
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from memtrain.system.shared_file import shared_file

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"

#: A process that says what it does, and continues when it reads a line.
OTHER = """
import sys
from memtrain.system.shared_file import shared_file

folder, name, content = sys.argv[1:]


def fill(file):
    file.write(content.encode())
    print("filling", flush=True)
    if sys.stdin.readline().strip() == "fail":
        sys.exit("it fails")


with shared_file(folder, name, fill) as path:
    print("holding", path.read_text(), flush=True)
    sys.stdin.readline()
"""


@contextmanager
def other(folder, content="of another", name="k"):
    """Yield another process that shares the file."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder), name, content],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def says(process):
    return process.stdout.readline().strip()


def go_on(process, how=""):
    process.stdin.write(f"{how}\n")
    process.stdin.flush()


def fill_with(content):
    return lambda file: file.write(content)


def never(file):
    raise AssertionError("it is filled again")


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_process_fills_the_file_and_others_read_the_same(tmp_path):
    with ExitStack() as first, ExitStack() as second:
        path = first.enter_context(shared_file(tmp_path, "k", fill_with(b"rows")))
        same = second.enter_context(shared_file(tmp_path, "k", never))
        assert path == same
        first.close()
        assert same.read_bytes() == b"rows"
        with shared_file(tmp_path, "k", never) as third:
            assert third.read_bytes() == b"rows"
        second.close()
        assert files_in(tmp_path) == []
    with shared_file(tmp_path, "k", fill_with(b"anew")) as path:
        assert path.read_bytes() == b"anew"


def test_another_name_is_another_file(tmp_path):
    with (
        shared_file(tmp_path, "a", fill_with(b"one")) as one,
        shared_file(tmp_path, "b", fill_with(b"two")) as two,
    ):
        assert (one.read_bytes(), two.read_bytes()) == (b"one", b"two")


@pytest.mark.slow
def test_another_process_shares_the_file(tmp_path):
    with shared_file(tmp_path, "k", fill_with(b"ours")), other(tmp_path) as process:
        assert says(process) == "holding ours"


@pytest.mark.slow
def test_a_process_in_a_container_shares_the_file(tmp_path):
    """A container numbers its processes itself, and may not see those outside."""
    within = ["unshare", "--map-root-user", "--pid", "--kill-child"]
    if os.geteuid() != 0 or subprocess.run([*within, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces can be made here, or users have other numbers within them")
    command = [*within, sys.executable, "-c", OTHER, str(tmp_path), "k", "of another"]
    with shared_file(tmp_path, "k", fill_with(b"ours")):
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
            capture_output=True,
            input="\n",
            text=True,
        )
        assert done.stdout == "holding ours\n", done.stderr


def test_no_other_user_can_read_the_file(tmp_path):
    seen = []

    def fill(file):
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))

    before = os.umask(0)
    try:
        with shared_file(tmp_path, "k", fill) as path:
            seen.append(stat.S_IMODE(path.stat().st_mode))
    finally:
        os.umask(before)
    assert seen == [0o600, 0o600]


@pytest.mark.slow
def test_a_process_waits_while_another_fills_the_file(tmp_path):
    waits = 0

    def wait():
        nonlocal waits
        waits += 1
        if waits == 2:
            go_on(process)

    with other(tmp_path) as process:
        assert says(process) == "filling"
        with shared_file(tmp_path, "k", never, wait) as path:
            assert path.read_bytes() == b"of another"
    assert waits >= 2


@pytest.mark.slow
def test_waiting_can_be_given_up(tmp_path):
    def give_up():
        raise TimeoutError

    with other(tmp_path) as process:
        assert says(process) == "filling"
        with pytest.raises(TimeoutError), shared_file(tmp_path, "k", never, give_up):
            pass
        go_on(process)
        assert says(process) == "holding of another"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["k", "b"], ids=["the same file", "another file"])
@pytest.mark.parametrize("when", ["filling", "holding"])
def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path, when, name):
    with other(tmp_path) as process:
        assert says(process) == "filling"
        if when == "holding":
            go_on(process)
            assert says(process).startswith("holding")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(files_in(tmp_path)) == 1
    # It is not used, even if it was whole: the machine may have crashed since.
    with shared_file(tmp_path, name, fill_with(b"ours")) as path:
        assert path.read_bytes() == b"ours"
        assert files_in(tmp_path) == [path.name]
    assert files_in(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("when", ["filling", "holding"])
def test_a_file_in_use_is_not_removed_by_processes_that_use_another(tmp_path, when):
    with other(tmp_path) as process:
        assert says(process) == "filling"
        if when == "holding":
            go_on(process)
            assert says(process).startswith("holding")
        before = files_in(tmp_path)
        with shared_file(tmp_path, "b", fill_with(b"ours")):
            assert set(before) < set(files_in(tmp_path))
        if when == "filling":
            go_on(process)
            assert says(process) == "holding of another"
        go_on(process)
        assert process.wait() == 0
    assert files_in(tmp_path) == []


@pytest.mark.slow
def test_the_next_process_fills_the_file_after_one_was_killed(tmp_path):
    with other(tmp_path) as process:
        assert says(process) == "filling"
        with shared_file(tmp_path, "k", fill_with(b"ours"), process.kill) as path:
            assert path.read_bytes() == b"ours"
    assert files_in(tmp_path) == []


@pytest.mark.slow
def test_the_next_process_fills_the_file_after_one_failed(tmp_path):
    with other(tmp_path) as process:
        assert says(process) == "filling"

        def let_it_fail():
            if process.poll() is None:
                go_on(process, "fail")
                process.wait()

        with (
            shared_file(tmp_path, "k", fill_with(b"ours"), let_it_fail),
            shared_file(tmp_path, "k", never) as path,
        ):
            assert path.read_bytes() == b"ours"
    assert files_in(tmp_path) == []


@pytest.mark.slow
def test_the_file_outlives_the_process_that_made_it(tmp_path):
    with other(tmp_path) as process, ExitStack() as stack:
        assert says(process) == "filling"
        go_on(process)
        assert says(process).startswith("holding")
        path = stack.enter_context(shared_file(tmp_path, "k", never))
        process.kill()
        process.wait()
        assert path.read_bytes() == b"of another"
        with shared_file(tmp_path, "k", never) as again:
            assert os.path.samefile(path, again)
    assert files_in(tmp_path) == []


def test_an_error_while_filling_leaves_nothing(tmp_path):
    def fail(file):
        file.write(b"half")
        raise KeyError("rows")

    with pytest.raises(KeyError), shared_file(tmp_path, "k", fail):
        pass
    assert files_in(tmp_path) == []


def test_an_error_while_the_file_is_used_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), shared_file(tmp_path, "k", fill_with(b"rows")):
        raise KeyError("rows")
    assert files_in(tmp_path) == []


def test_the_folder_may_be_removed_while_the_file_is_used(tmp_path):
    """A scheduler may clean up before the last process has left."""
    folder = tmp_path / "swept"
    folder.mkdir()
    with shared_file(folder, "k", fill_with(b"rows")) as path, open(path, "rb") as file:
        path.unlink()
        folder.rmdir()
        assert file.read() == b"rows"


def test_files_of_other_users_in_the_folder_are_left_alone(tmp_path):
    names = ["another", f"memtrain-{os.geteuid()}", "memtrain-x-k"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / f"memtrain-{os.geteuid()}-folder").mkdir()
    with shared_file(tmp_path, "k", fill_with(b"rows")):
        pass
    assert files_in(tmp_path) == sorted([*names, f"memtrain-{os.geteuid()}-folder"])


def test_a_link_or_a_file_of_another_user_is_not_used(tmp_path):
    with shared_file(tmp_path, "k", fill_with(b"rows")) as path:
        pass
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"), shared_file(tmp_path, "k", never):
        pass
    assert victim.read_text() == "precious"
    path.unlink()
    if os.geteuid() == 0:
        path.write_text("")
        os.chown(path, 12345, -1)
        error = pytest.raises(PermissionError, match="another user")
        with error, shared_file(tmp_path, "k", never):
            pass


@pytest.mark.slow
def test_many_processes_may_come_and_go_at_once(tmp_path):
    """Each of them sees the whole content, and the last one leaves nothing."""
    code = """
import random, sys, time
from memtrain.system.shared_file import shared_file

for number in range(40):
    with shared_file(sys.argv[1], "k", lambda file: file.write(b"x" * 100_000)) as path:
        assert path.read_bytes() == b"x" * 100_000
        time.sleep(random.random() / 500)
"""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, env=environment) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert files_in(tmp_path) == []
