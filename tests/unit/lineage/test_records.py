"""Records of real scripts: each is complete or absent, and holds nothing that is private."""

import argparse
import concurrent.futures
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from memtrain.config.lineage import LineageSettings
from memtrain.core.ranges import Range
from memtrain.lineage.records.arguments import (
    RecordingOptions,
    add_recording_arguments,
    recording_command_line,
    recording_options,
)
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_record import RunRecord
from tests.programs import quick_python
from tests.trainings import wait_until

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
ROWS = "{rows: 100, features: 3, seed: 1}"


def run(folder, script, *arguments, status=0, **environment):
    done = subprocess.run(
        [quick_python(), SCRIPTS / f"{script}.py", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == status, done.stderr
    return done


def generate(folder, *arguments, settings=ROWS, **how):
    given = ["--settings", settings, "--data", "data.npy", "--source", "source.json"]
    return run(folder, "generate_data", *given, *arguments, **how)


def records_in(folder):
    store = RecordStore(folder)
    return sorted(map(store.read, store.names()), key=lambda record: record.run_id)


def test_a_run_is_recorded_with_what_it_wrote_and_ran_with(tmp_path):
    parent = "01900000-0000-7000-8000-000000000001"
    given = ["--records", "records", "--workflow-run", parent, "--attempt", "2"]
    generate(tmp_path, *given, OMP_NUM_THREADS="1", HOME_TOKEN="private")
    (record,) = records_in(tmp_path / "records")
    assert (record.name, record.state, record.parent_id) == ("generate_data", "completed", parent)
    data, source = record.outputs
    assert (data.path, data.rows, data.rows_in_all) == ("data.npy", {"": [Range(0, 100)]}, 100)
    assert data.size == (tmp_path / "data.npy").stat().st_size
    done = subprocess.run(["sha256sum", tmp_path / "source.json"], capture_output=True, text=True)
    assert source.digest == f"sha256:{done.stdout.split()[0]}"
    assert record.parameters["mock.rows"] == 100
    assert record.parameters["seed"] == 1
    assert record.environment["packages"]["numpy"]
    assert record.environment["variables"]["OMP_NUM_THREADS"] == "1"
    assert record.machine["cores"] >= 1
    assert record.machine["attempt"] == 2
    assert record.effort["peak_memory_bytes"] > 1e6
    assert "scripts/generate_data.py" in record.code[0].files
    (text,) = [path.read_text() for path in (tmp_path / "records").glob("events/*/*")]
    assert "private" not in text
    assert str(tmp_path) not in text
    assert not list((tmp_path / "records/started").iterdir())


def test_only_arguments_say_where_a_run_is_recorded(tmp_path):
    """Two workflows in one process have one environment."""
    generate(tmp_path, MEMTRAIN_RECORDS="records", MEMTRAIN_RUN="x", MEMTRAIN_LINEAGE="{no: key}")
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("folder", [None, "it's $(here)/lineage"])
def test_options_come_through_a_shell_as_they_were(folder):
    settings = LineageSettings(required=True, environment=["A 'B'"])
    options = RecordingOptions(folder and Path(folder), settings, folder and "id", 3)
    parser = argparse.ArgumentParser()
    add_recording_arguments(parser)
    words = subprocess.check_output(
        ["sh", "-c", f"printf '%s\\n' {recording_command_line(options)}"], text=True
    ).splitlines()
    assert recording_options(parser.parse_args(words)) == options


def test_without_a_folder_nothing_is_recorded(tmp_path):
    generate(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npy", "source.json"]


def test_a_failure_is_recorded_with_its_reason(tmp_path):
    generate(tmp_path, "--records", "records", settings="{rows: many}", status=1)
    (record,) = records_in(tmp_path / "records")
    assert record.state == "failed"
    assert record.message.startswith("rows: found 'many'")


def test_a_mistake_ends_later_tries_in_the_same_run_of_the_workflow(tmp_path):
    run_id = "01900000-0000-7000-8000-00000000000"
    here = ("--records", "records", "--workflow-run", f"{run_id}1")
    first = generate(tmp_path, *here, settings="{rows: many}", status=1)
    second = generate(tmp_path, *here, status=1)
    assert second.stderr == first.stderr
    assert not (tmp_path / "data.npy").exists()
    generate(tmp_path, "--records", "records", "--workflow-run", f"{run_id}2")


def test_a_killed_run_stays_recorded_as_running(tmp_path):
    settings = "{rows: 30000000, features: 20}"
    command = [quick_python(), SCRIPTS / "generate_data.py", "--settings", settings]
    command += ["--data", "data.npy", "--source", "source.json", "--records", "records"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: list(tmp_path.glob("records/started/*.jsonl")))
        process.kill()
    (record,) = records_in(tmp_path / "records")
    assert (record.name, record.state, record.ended_at) == ("generate_data", "running", None)


@pytest.mark.parametrize("required", [False, True])
def test_a_run_that_cannot_be_recorded_causes_a_warning_or_an_error(tmp_path, required):
    (tmp_path / "records").write_text("a file where a folder should be")
    lineage = json.dumps({"required": required})
    done = generate(
        tmp_path, "--records", "records", "--lineage", lineage, status=1 if required else 0
    )
    assert "records: this run cannot be recorded" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "data.npy").exists() != required


def test_a_full_disk_is_reported_and_leaves_no_torn_record(tmp_path):
    # The limit on file sizes lets rows through and stops the record.
    program = (
        "import resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000));"
        f"sys.argv = ['generate_data.py', *sys.argv[1:]];"
        f"sys.path.insert(0, {str(SCRIPTS)!r});"
        f"runpy.run_path({str(SCRIPTS / 'generate_data.py')!r}, run_name='__main__')"
    )
    given = ["--settings", ROWS, "--data", "data.npy", "--source", "source.json"]
    for lineage, status in (("{}", 0), ("{required: true}", 1)):
        done = subprocess.run(
            [quick_python(), "-c", program, *given, "--records", "r", "--lineage", lineage],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        assert "this run cannot be recorded" in done.stderr
        assert "File too large" in done.stderr
        assert [path for path in (tmp_path / "r").rglob("*") if path.is_file()] == []


def record_some(folder, number):
    program = (
        "import sys; from memtrain.lineage.records.record_store import RecordStore;"
        "from memtrain.lineage.records.run_record import RunRecord, utc_now;"
        "from memtrain.lineage.records.run_id import new_uuid\n"
        "for turn in range(5):\n"
        f"  r = RunRecord(new_uuid(), 'job{number}', utc_now(), split=str(turn))\n"
        f"  store = RecordStore({str(folder)!r}); store.started(r)\n"
        "  r.ended_at, r.state = utc_now(), 'completed'\n"
        "  store.ended(r)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    subprocess.run([quick_python(), "-c", program], check=True, env=environment)


def test_many_processes_record_at_once(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda number: record_some(tmp_path, number), range(32)))
    records = records_in(tmp_path)
    assert len(records) == 160
    assert {(record.job, record.split) for record in records} == {
        (f"job{number}", str(turn)) for number in range(32) for turn in range(5)
    }


def test_a_record_reads_back_as_it_was_written(tmp_path):
    record = RunRecord(
        run_id="01900000-0000-7000-8000-000000000001",
        job="train",
        split="a",
        parent_id="01900000-0000-7000-8000-000000000002",
        started_at="2026-01-01T00:00:00.000000Z",
        ended_at="2026-01-01T00:00:01.000000Z",
        state="stopped",
        message="SIGTERM",
        parameters={"lr": 0.1, "hidden": [1, 2], "none": None},
        environment={"python": "3.11", "packages": {"a": "1"}, "variables": {"X": "1"}},
        machine={"host": "x"},
        effort={"seconds": 1.5},
        details={"training": {"order_digest": "sha256:0"}},
    )
    store = RecordStore(tmp_path)
    store.ended(record)
    assert store.read(*store.names()) == record


def test_allowed_variables_are_recorded_unless_they_are_secrets(tmp_path):
    lineage = yaml.safe_dump({"environment": ["CLUSTER_NAME", "CLUSTER_TOKEN"]})
    generate(
        tmp_path, "--records", "r", "--lineage", lineage, CLUSTER_NAME="one", CLUSTER_TOKEN="two"
    )
    (record,) = records_in(tmp_path / "r")
    assert record.environment["variables"]["CLUSTER_NAME"] == "one"
    assert "CLUSTER_TOKEN" not in record.environment["variables"]
