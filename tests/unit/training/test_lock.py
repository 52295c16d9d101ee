"""One training at a time writes into a folder of checkpoints; the lock ends with its holder."""

import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import memtrain
from memtrain.core.errors import UserError
from memtrain.system.process_identity import process_identity
from memtrain.training import lock
from memtrain.training.lock import LOCK_FILE, LockHolder, training_lock

#: Takes the lock of a folder, says so, and waits. Given "orphan", its parent ends first.
HOLD = """
import os, sys, time
from pathlib import Path
if sys.argv[2] == "orphan":
    if os.fork():
        time.sleep(0.3)
        os._exit(0)
from memtrain.training.lock import training_lock
with training_lock(Path(sys.argv[1]), "sha256:one"):
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def holder(folder):
    """Return a function that starts another process, which holds the lock; it returns its id."""
    started = []

    def start(kind="child"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder), kind],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(memtrain.__file__).parents[1])},
        )
        pid = int(process.stdout.readline())
        started.append((process, pid))
        if kind == "orphan":
            process.wait()
        return process, pid

    yield start
    for process, pid in started:
        if process.poll() is None or process.pid != pid:
            os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def refusal(folder, recipe="sha256:one"):
    with pytest.raises(UserError) as error, training_lock(folder, recipe):
        pass
    return str(error.value)


@pytest.mark.slow
def test_a_second_training_is_told_who_trains_already(folder, holder):
    _, pid = holder()
    message = refusal(folder)
    assert f"by process {pid} on " in message
    assert f"`kill {pid}`" in message
    assert "left over" not in message
    assert "another recipe" not in message
    assert "by another recipe" in refusal(folder, "sha256:two")
    assert (folder / LOCK_FILE).exists()


@pytest.mark.slow
def test_an_orphan_is_named_as_left_over(folder, holder):
    holder("orphan")
    assert "It is left over: the process that started it" in refusal(folder)


@pytest.mark.slow
def test_the_lock_of_a_killed_training_is_taken_over(folder, holder, caplog):
    process, pid = holder()
    process.kill()
    process.wait()
    with caplog.at_level(logging.WARNING), training_lock(folder, "sha256:one"):
        assert json.loads((folder / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert f"process {pid} on " in caplog.text
    assert not folder.exists()


@pytest.mark.slow
def test_a_lock_of_another_machine_is_watched(folder, monkeypatch):
    """Where locks stay on their node, as on some shared file systems, the note alone tells."""
    monkeypatch.setattr(lock, "SECONDS_UNTIL_GONE", 0.2)
    other = replace(LockHolder.of_this_process("sha256:one"), process="boot:1:2:3", host="far")
    folder.mkdir()
    (folder / LOCK_FILE).write_text(json.dumps(asdict(other)))
    touching = subprocess.Popen(
        ["sh", "-c", f"while :; do touch '{folder / LOCK_FILE}'; sleep 0.02; done"]
    )
    try:
        assert " on far " in refusal(folder)
    finally:
        touching.kill()
        touching.wait()
    with training_lock(folder, "sha256:one"):
        assert json.loads((folder / LOCK_FILE).read_text())["process"] == process_identity()


@pytest.mark.parametrize("note", ["", "{", "[" * 100_000, '{"host": 1}', "\x00"])
def test_a_damaged_note_is_no_hindrance(folder, note):
    folder.mkdir()
    (folder / LOCK_FILE).write_text(note)
    with training_lock(folder, "sha256:one"):
        pass


def test_a_lock_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "state").write_text("a file")
    assert "cannot be made" in refusal(tmp_path / "state")


def test_without_a_folder_nothing_is_locked():
    with training_lock(None, "sha256:one"):
        pass
