"""A file that processes share: one is filled, all use it, none leaves it behind."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from memtrain.system.shared_file import shared_file
from tests.trainings import unnamed_files

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"

#: A process that says what it does, and goes on when a line comes in.
OTHER = """
import sys
from memtrain.system.shared_file import shared_file

folder, key, content = sys.argv[1:]


def fill(file):
    file.write(content.encode())
    print("filling", flush=True)
    if sys.stdin.readline().strip() == "fail":
        sys.exit("it fails")


with shared_file(folder, key, fill) as path:
    with open(path) as file:
        print("holding", file.read(), flush=True)
    sys.stdin.readline()
"""


@contextmanager
def other(folder, content="of another", key="k", within=()):
    """Yield another process that shares the file, started by the arguments of ``within``."""
    process = subprocess.Popen(
        [*within, sys.executable, "-c", OTHER, str(folder), key, content],
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


def namespaces(*kinds, setup="true"):
    """Return arguments that run a program in namespaces of its own, after a shell's setup."""
    within = ["unshare", "--map-root-user", *kinds, "sh", "-c", f'{setup} && exec "$@"', "sh"]
    if subprocess.run([*within, "true"], capture_output=True).returncode:
        pytest.skip(f"no namespaces can be made here: {' '.join(kinds)}, {setup}")
    return within


def says(process):
    return process.stdout.readline().strip()


def go_on(process, how=""):
    process.stdin.write(f"{how}\n")
    process.stdin.flush()


def fill_with(content):
    return lambda file: file.write(content)


def never(file):
    raise AssertionError("it is filled again")


def test_one_fills_it_and_others_read_the_same(tmp_path):
    with ExitStack() as first, ExitStack() as second:
        path = first.enter_context(shared_file(tmp_path, "k", fill_with(b"rows")))
        same = second.enter_context(shared_file(tmp_path, "k", never))
        assert path != same
        assert os.path.samefile(path, same)
        first.close()
        assert Path(same).read_bytes() == b"rows"
        with shared_file(tmp_path, "k", never) as third:
            assert Path(third).read_bytes() == b"rows"
        second.close()
        assert list(tmp_path.iterdir()) == []
    with shared_file(tmp_path, "k", fill_with(b"anew")) as path:
        assert Path(path).read_bytes() == b"anew"


def test_files_of_other_keys_are_others(tmp_path):
    with (
        shared_file(tmp_path, "a", fill_with(b"one")) as one,
        shared_file(tmp_path, "b", fill_with(b"two")) as two,
    ):
        assert (Path(one).read_bytes(), Path(two).read_bytes()) == (b"one", b"two")


def test_another_process_shares_it(tmp_path):
    with shared_file(tmp_path, "k", fill_with(b"ours")), other(tmp_path) as process:
        assert says(process) == "holding ours"


def test_who_cannot_see_into_the_process_that_holds_it_fills_another(tmp_path):
    """Containers that users start are namespaces of users, within which others are locked."""
    with (
        shared_file(tmp_path, "k", fill_with(b"ours")) as path,
        other(tmp_path, within=namespaces()) as process,
    ):
        assert says(process) == "filling"
        go_on(process)
        assert says(process) == "holding of another"
        assert Path(path).read_bytes() == b"ours"
        go_on(process)
        assert process.wait() == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kinds", "setup"),
    [(("--pid", "--kill-child"), "true"), (("--mount",), "mount --bind {others} /proc/$$/fd")],
    ids=["numbers of another namespace", "other files at the numbers"],
)
def test_nothing_is_filled_where_proc_leads_elsewhere(tmp_path, kinds, setup):
    folder, others = tmp_path / "folder", tmp_path / "others"
    folder.mkdir()
    others.mkdir()
    for descriptor in range(3, 20):
        (others / str(descriptor)).write_text("another")
    within = namespaces(*kinds, setup=setup.format(others=others))
    with other(folder, within=within) as process:
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 1
    assert "does not lead to the file" in said
    assert "filling" not in said
    assert list(folder.iterdir()) == []


def test_who_comes_while_it_is_filled_waits(tmp_path):
    waits = 0

    def wait():
        nonlocal waits
        waits += 1
        if waits == 2:
            go_on(process)

    with other(tmp_path) as process:
        assert says(process) == "filling"
        with shared_file(tmp_path, "k", never, wait) as path:
            assert Path(path).read_bytes() == b"of another"
    assert waits >= 2


def test_waiting_can_be_given_up(tmp_path):
    def give_up():
        raise TimeoutError

    with other(tmp_path) as process:
        assert says(process) == "filling"
        with pytest.raises(TimeoutError), shared_file(tmp_path, "k", never, give_up):
            pass
        go_on(process)
        assert says(process) == "holding of another"


@pytest.mark.parametrize("when", ["filling", "holding"])
def test_nothing_is_left_of_a_process_that_was_killed(tmp_path, when):
    with other(tmp_path) as process:
        assert says(process) == "filling"
        if when == "holding":
            go_on(process)
            assert says(process).startswith("holding")
        assert len(unnamed_files(tmp_path)) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert unnamed_files(tmp_path) == []
    (lock,) = tmp_path.iterdir()
    assert lock.stat().st_size < 200
    # Whoever comes next removes the lock file, for whatever it comes itself.
    with shared_file(tmp_path, "b", fill_with(b"")):
        assert not lock.exists()
    assert list(tmp_path.iterdir()) == []


def test_the_next_fills_it_where_the_one_before_was_killed(tmp_path):
    with other(tmp_path) as process:
        assert says(process) == "filling"

        def kill():
            process.kill()

        with shared_file(tmp_path, "k", fill_with(b"ours"), kill) as path:
            assert Path(path).read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == []


def test_who_waited_in_vain_is_found_by_those_that_come_later(tmp_path):
    """The one before has removed the lock file that was waited for."""
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
            assert Path(path).read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == []


def test_it_outlives_the_process_that_made_it(tmp_path):
    with other(tmp_path) as process, ExitStack() as stack:
        assert says(process) == "filling"
        go_on(process)
        assert says(process).startswith("holding")
        path = stack.enter_context(shared_file(tmp_path, "k", never))
        process.kill()
        process.wait()
        assert Path(path).read_bytes() == b"of another"
        with shared_file(tmp_path, "k", never) as again:
            assert os.path.samefile(path, again)


def test_an_error_while_filling_leaves_nothing(tmp_path):
    def fail(file):
        file.write(b"half")
        raise KeyError("rows")

    with pytest.raises(KeyError), shared_file(tmp_path, "k", fail):
        pass
    assert list(tmp_path.iterdir()) == []
    assert unnamed_files(tmp_path) == []


def test_an_error_while_it_is_used_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), shared_file(tmp_path, "k", fill_with(b"rows")):
        raise KeyError("rows")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_swept_meanwhile(tmp_path):
    folder = tmp_path / "swept"
    folder.mkdir()
    with shared_file(folder, "k", fill_with(b"rows")) as path:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        assert Path(path).read_bytes() == b"rows"


def test_lines_that_speak_of_other_files_are_not_believed(tmp_path):
    """Numbers of processes and descriptors are given again."""
    with shared_file(tmp_path, "k", fill_with(b"rows")):
        (lock,) = tmp_path.iterdir()
        process, _, identity = lock.read_text().split()
    with open(tmp_path / "other", "w+b") as file:
        lines = [f"{process} {file.fileno()} {identity}", "", "not a line", "1 0 1:2:3:4", "\xff"]
        lock.write_text("\n".join(lines))
        with shared_file(tmp_path, "k", fill_with(b"anew")) as path:
            assert Path(path).read_bytes() == b"anew"
            assert len(lock.read_text().splitlines()) == 1


def test_a_lock_file_that_is_a_link_or_of_another_user_is_not_used(tmp_path, monkeypatch):
    with shared_file(tmp_path, "k", fill_with(b"rows")):
        (lock,) = tmp_path.iterdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"), shared_file(tmp_path, "k", never):
        pass
    assert victim.read_text() == "precious"
    lock.unlink()
    if os.geteuid() == 0:
        lock.write_text("")
        os.chown(lock, 12345, -1)
        error = pytest.raises(PermissionError, match="another user")
        with error, shared_file(tmp_path, "k", never):
            pass


def test_many_that_come_and_go_at_once(tmp_path):
    """Every one of them sees the whole content, and the last one leaves nothing."""
    code = """
import random, sys, time
from memtrain.system.shared_file import shared_file

for number in range(40):
    with shared_file(sys.argv[1], "k", lambda file: file.write(b"x" * 100_000)) as path:
        assert open(path, "rb").read() == b"x" * 100_000
        time.sleep(random.random() / 500)
"""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, env=environment) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert list(tmp_path.iterdir()) == []
