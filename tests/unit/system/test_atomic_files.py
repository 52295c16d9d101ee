"""Files that are whole or absent: after kills, on full disks, for devices and links."""

import errno
import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from memtrain.core.errors import UserError
from memtrain.system.atomic_files import atomic_file, write_text

WRITE_AND_WAIT = """
import sys, time
from memtrain.system.atomic_files import atomic_file
with atomic_file(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("begun", flush=True)
    time.sleep(60)
"""

WRITE = "import sys; from memtrain.system.atomic_files import write_text as w; w(sys.argv[1], 'x')"


@pytest.fixture
def command(repository):
    """Return the start of a command, which its code and its arguments follow."""
    return ["env", f"PYTHONPATH={repository / 'scripts'}", sys.executable, "-c"]


@contextmanager
def writing(command, path):
    """Let a process hold a half-written file; kill it in the end."""
    with subprocess.Popen(
        [*command, WRITE_AND_WAIT, path], text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == "begun\n"
        yield
        process.kill()


@pytest.mark.slow
def test_the_next_program_removes_what_killed_ones_left_and_no_file_that_is_held(tmp_path, command):
    path = tmp_path / "data.npy"
    for name in ("data.npy", "record-1"):
        with writing(command, tmp_path / name):
            pass
    with writing(command, path):
        subprocess.run([*command, WRITE, path], check=True)
        [held] = tmp_path.glob(".*.part")
        assert held.read_bytes() == b"half"
    subprocess.run([*command, WRITE, path], check=True)
    assert os.listdir(tmp_path) == ["data.npy"]


def test_without_locks_only_age_tells_what_is_left_over(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    new, old = tmp_path / ".a.12345678.part", tmp_path / ".b.12345678.part"
    new.touch()
    old.touch()
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    write_text(tmp_path / "a", "whole")
    assert sorted(os.listdir(tmp_path)) == [".a.12345678.part", "a"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to("target")
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with atomic_file(pipe) as file:
        file.write(b"two, one")
        file.seek(0)
        assert file.read(3) == b"two"
    assert os.read(reader, 100) == b"two, one"
    os.close(reader)
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)


@pytest.mark.slow
def test_standard_output_keeps_what_was_printed_before(tmp_path, command):
    out = tmp_path / "out"
    out.write_text("before\n")
    with out.open("a") as file:
        code = f"{WRITE}; print('after')"
        subprocess.run([*command, code, "/dev/stdout"], stdout=file, check=True)
    assert out.read_text() == "before\nxafter\n"


def test_a_full_device_is_told(tmp_path):
    with pytest.raises(UserError, match=r"/dev/full: .* \(No space left on device\)\. Free some"):
        write_text("/dev/full", "x")


def test_a_pipe_that_nobody_reads_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: this is a pipe or a socket that nobody reads"):
        write_text(tmp_path / "pipe", "x")
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("folder", "folder: this is a folder"),
        ("file/below", r"below: this file cannot be written \((Not a directory|File exists)"),
        ("n" * 300, r"cannot be written \(File name too long\)"),
    ],
)
def test_a_name_that_cannot_be_written_is_told(tmp_path, path, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=words):
        write_text(tmp_path / path, "x")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_what_is_too_large_leaves_nothing_and_the_old_file(tmp_path):
    path = tmp_path / "a"
    write_text(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match=r"a: this file cannot be written \(File too large\)"):
            write_text(path, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_text() == "old"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
def test_a_full_disk_leaves_nothing_and_the_old_file(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path])
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        write_text(tmp_path / "a", "old")
        with pytest.raises(UserError, match=r"a: .* \(No space left on device\)\. Free some space"):
            write_text(tmp_path / "a", "x" * 100_000)
        assert os.listdir(tmp_path) == ["a"]
        assert (tmp_path / "a").read_text() == "old"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"), atomic_file(tmp_path / "a"):
        (tmp_path / "none").read_text()
    assert os.listdir(tmp_path) == []
