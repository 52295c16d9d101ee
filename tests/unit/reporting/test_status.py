"""What users see of running trainings, from the files that the trainings write."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import yaml

import status
from memtrain.core.errors import UserError
from memtrain.system.process_identity import has_ended, process_identity
from memtrain.training.history import StepRecord, write_history
from memtrain.training.performance import Performance
from memtrain.training.progress_file import PROGRESS_FILE, TrainingStatus
from tests.trainings import wait_until

SPLITS = ["first", "second", "third"]


def progress(**changes):
    now = time.time()
    alive = TrainingStatus(
        split="first",
        state="running",
        step=40,
        steps=160,
        epoch=2,
        epochs=5,
        loss=0.125,
        rows_per_second=12345.0,
        waiting_share=0.25,
        seconds_left=90.0,
        checkpoint_step=30,
        checkpoint_at=now - 65,
        started_at=now - 100,
        updated_at=now,
        host="node7",
        process=process_identity(),
        processes=2,
        job="4711",
        message=None,
    )
    return replace(alive, **changes)


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results" / "rows"
    folder.mkdir(parents=True)
    configure(folder, SPLITS)
    return folder


def configure(folder, names):
    splits = {name: {"train": [0, 50], "evaluate": [50, 100]} for name in names}
    content = {"dataset": {"name": "rows", "mock": {"rows": 100}}, "splits": splits}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))


def finish(folder, split, **changes):
    outputs = folder / "splits" / split
    outputs.mkdir(parents=True)
    (outputs / "model.safetensors").touch()
    records = [
        StepRecord(
            step, 1 + step // 100, rows=128, loss=1 / step, learning_rate=1e-3, gradient_norm=1
        )
        for step in range(1, 301)
    ]
    write_history(outputs / "history.csv", records)
    measured = Performance(
        seconds=30.0,
        rows_per_second=999.0,
        waiting_share=0.5,
        saving_share=0.0,
        validating_share=0.0,
        runs=1,
        processes=1,
        peak_memory_bytes=1 << 20,
        peak_gpu_memory_bytes=None,
        device="cpu",
        threads=1,
        host="n",
        torch="2.12",
    )
    replace(measured, **changes).write(outputs / "performance.json")


def look(capsys, results, *arguments):
    assert status.main([str(results), *arguments]) == 0
    return capsys.readouterr().out


def look_as_json(capsys, results):
    found = json.loads(look(capsys, results, "--json"))
    assert found["results"] == str(results)
    return {one["split"]: one for one in found["splits"]}


def test_the_state_of_every_training_is_shown(capsys, results):
    finish(results, "third")
    progress().write(results / "state" / "first")
    found = look_as_json(capsys, results)
    assert {name: one["state"] for name, one in found.items()} == {
        "first": "running",
        "second": "waiting",
        "third": "finished",
    }
    assert found["first"]["step"] == 40
    assert found["first"]["checkpoint_age"] == pytest.approx(65, abs=5)
    assert found["third"] | {"step": 300, "steps": 300, "loss": 1 / 300} == found["third"]
    table = look(capsys, results, "--once")
    for part in (
        "40/160",
        "2/5",
        "0.125",
        "12,345",
        "25%",
        "1:30",
        "1:05 ago",
        "node7 x2 job 4711",
    ):
        assert part in table
    assert "1 running, 1 waiting, 1 finished" in table


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_the_table_says_why_a_training_ended_and_where_it_will_resume(capsys, results, state):
    progress(state=state, message="SIGTERM was received").write(results / "state" / "first")
    assert look_as_json(capsys, results)["first"]["state"] == state
    table = look(capsys, results, "--once")
    assert "first: SIGTERM was received; it will go on after step 30" in table


def test_how_rows_are_read_is_told_where_they_do_not_fit(capsys, results):
    reader = "direct (reads with O_DIRECT: 8 GiB of rows, 389.2 MiB of memory is free for them)"
    progress(reader=reader).write(results / "state" / "first")
    progress(split="second", reader="mmap (a local file system)").write(results / "state/second")
    progress(split="third", state="stopped", reader=reader).write(results / "state" / "third")
    assert look_as_json(capsys, results)["first"]["reader"] == reader
    table = " ".join(look(capsys, results, "--once").split())
    assert table.count("reader: ") == 1
    assert f"first: reader: {reader}" in table


def test_a_silent_training_is_lost(capsys, results):
    folder, long_ago = results / "state" / "first", time.time() - 61
    progress(updated_at=long_ago, process="other:1:1:1").write(folder)
    # By the clock of the file system, the last sign of life was a moment ago.
    assert look_as_json(capsys, results)["first"]["state"] == "running"
    os.utime(folder / PROGRESS_FILE, (long_ago, long_ago))
    assert look_as_json(capsys, results)["first"]["state"] == "lost"
    # Here it was a moment ago by the clock of the machine, and the other clock may be wrong.
    progress(process="other:1:1:1").write(folder)
    os.utime(folder / PROGRESS_FILE, (long_ago, long_ago))
    assert look_as_json(capsys, results)["first"]["state"] == "running"


@pytest.mark.slow
def test_a_killed_training_is_lost_at_once(capsys, results):
    program = (
        "import sys, time; sys.path.insert(0, 'scripts');"
        "from memtrain.system.process_identity import process_identity;"
        "print(process_identity(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        identity = process.stdout.readline().strip()
        progress(process=identity).write(results / "state" / "first")
        assert look_as_json(capsys, results)["first"]["state"] == "running"
        process.kill()
        process.wait()
    first = look_as_json(capsys, results)["first"]
    assert first["state"] == "lost"
    assert first["message"].startswith(f"it was killed after step {first['step']}: its process")


def test_another_process_with_the_same_pid_is_not_mistaken_for_this_one():
    boot, space, pid, start = process_identity().split(":")
    assert not has_ended(process_identity())
    assert has_ended(f"{boot}:{space}:{pid}:{int(start) - 1}")
    assert not has_ended(f"another-boot:{space}:{pid}:1")
    assert not has_ended(f"{boot}:1:{pid}:1")
    assert not has_ended("nonsense:::")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"split": "first"}', "\0\0\0"])
def test_an_unreadable_progress_file_is_no_error(capsys, results, content):
    folder = results / "state" / "first"
    folder.mkdir(parents=True)
    (folder / PROGRESS_FILE).write_text(content)
    assert look_as_json(capsys, results)["first"]["state"] == "waiting"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", "30"),
        ("step", 10**400),
        ("loss", []),
        ("seconds_left", 1e300),
        ("updated_at", "now"),
        ("process", 7),
        ("state", "asleep"),
    ],
)
def test_a_progress_file_of_wrong_types_is_no_error(capsys, results, key, value):
    progress().write(results / "state" / "first")
    file = results / "state" / "first" / PROGRESS_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    assert look_as_json(capsys, results)["first"]["state"] == "waiting"


def test_numbers_that_are_not_finite_are_null(capsys, results):
    progress(loss=float("nan")).write(results / "state" / "first")
    assert look_as_json(capsys, results)["first"]["loss"] is None


def test_a_file_that_is_constantly_replaced_is_always_complete(results):
    folder, ends = results / "state" / "first", threading.Event()
    progress().write(folder)

    def replace_it():
        step = 0
        while not ends.is_set():
            progress(step=(step := step + 1)).write(folder)

    thread = threading.Thread(target=replace_it)
    thread.start()
    steps_seen = set()

    def another_step_is_seen():
        found = TrainingStatus.read(folder)
        assert found is not None
        steps_seen.add(found.step)
        return len(steps_seen) > 50

    try:
        wait_until(another_step_is_seen)
    finally:
        ends.set()
        thread.join()


def test_the_only_dataset_is_found_and_several_are_listed(capsys, results, monkeypatch):
    monkeypatch.chdir(results.parents[1])
    assert status.main(["--json"]) == 0
    other = results.parent / "other"
    other.mkdir()
    configure(other, ["one"])
    with pytest.raises(UserError, match="name one of results/other, results/rows"):
        status.main(["--json"])
    monkeypatch.chdir(other)
    with pytest.raises(UserError, match=r"config\.yaml: there is no such file here"):
        status.main([])


class Terminal:
    """The status program on a terminal of its own."""

    def __init__(self, results, columns, lines):
        self._end, end = pty.openpty()
        size = {"COLUMNS": str(columns), "LINES": str(lines), "TERM": "xterm"}
        script = status.__file__
        self.process = subprocess.Popen(
            [sys.executable, script, str(results)],
            stdout=end,
            stderr=end,
            env=os.environ | size,
            # Tests that a shell runs in the background ignore SIGINT, and so would the program.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(end)
        self.text = ""

    def read_until(self, text, seconds=30):
        deadline = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self._end], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self._end, 65536).decode(errors="replace")
                except OSError:
                    break
        assert text in self.text

    def wait(self, seconds=30):
        """Wait for the end, and read until then: a program that nobody reads waits to write."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self._end], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.text += os.read(self._end, 65536).decode(errors="replace")
        return self.process.wait(timeout=1)


@pytest.mark.slow
def test_a_terminal_shows_progress_and_ends_with_the_last_training(results):
    configure(results, ["first"])
    folder = results / "state" / "first"
    progress(step=40).write(folder)
    terminal = Terminal(results, 130, 30)
    terminal.read_until("40/160")
    progress(step=80).write(folder)
    terminal.read_until("80/160")
    finish(results, "first")
    (folder / PROGRESS_FILE).unlink()
    terminal.read_until("1 finished")
    assert terminal.wait() == 0


@pytest.mark.slow
def test_a_small_terminal_shows_failures_first(results):
    names = [f"split_{number:03}" for number in range(500)]
    configure(results, names)
    progress(split=names[400], state="failed", message="out of rows").write(
        results / "state" / names[400]
    )
    terminal = Terminal(results, 40, 16)
    terminal.read_until("not shown)")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait() == 130
    assert "Traceback" not in terminal.text
    assert terminal.text.index("split_400") < terminal.text.index("split_000")
    assert "1 failed, 499 waiting" in terminal.text
    assert "40/160" in terminal.text
    assert "12,345" not in terminal.text


@pytest.mark.parametrize(("exchanging_share", "is_told"), [(0.6, True), (0.2, False)])
def test_processes_that_cost_more_than_they_bring_are_told(
    results, capsys, exchanging_share, is_told
):
    configure(results, ["one"])
    finish(results, "one", processes=2, gradient_share=0.3, exchanging_share=exchanging_share)
    said = " ".join(look(capsys, results).split())
    assert ("one: 2 processes cost more than they bring" in said) == is_told
    if is_told:
        assert "each computes gradients for 30 ms and exchanges them for 60 ms" in said


def test_a_performance_without_shares_of_exchanges_is_read(results, capsys):
    configure(results, ["one"])
    finish(results, "one")
    path = results / "splits/one/performance.json"
    content = json.loads(path.read_text())
    del content["gradient_share"], content["exchanging_share"]
    path.write_text(json.dumps(content))
    assert "999" in look(capsys, results)
