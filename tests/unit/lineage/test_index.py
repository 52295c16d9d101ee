"""The index is up to date with the records, whatever happened to them or to the index."""

import concurrent.futures
import hashlib
import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from memtrain.core.ranges import Range
from memtrain.lineage.index.building import INDEX_FILE
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.index.seal import is_sealed
from memtrain.lineage.queries.impact import downstream_of_rows
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_record import FileUse
from tests.unit.lineage.lineage_records import Records, file, rows, rows_written


def runs(folder):
    index = LineageIndex(folder)
    found = [(run.job, run.state) for run in map(index.run, index.runs())]
    index.close()
    return found


@pytest.fixture
def records(tmp_path):
    records = Records(tmp_path / "lineage")
    records.add("first", outputs=[file("a")])
    records.add("second", [file("a")], [file("b")])
    return records


@pytest.fixture
def folder(records):
    return records.store.folder


def test_new_records_are_added(records, folder):
    assert runs(folder) == [("first", "completed"), ("second", "completed")]
    before = (folder / INDEX_FILE).stat().st_ino
    assert runs(folder) == [("first", "completed"), ("second", "completed")]
    assert (folder / INDEX_FILE).stat().st_ino == before
    records.add("third", state="failed", message="no")
    assert runs(folder)[2] == ("third", "failed")


def test_the_record_of_a_started_run_is_replaced_when_the_run_ends(records, folder):
    started = records.add("third", [file("b")], state="running")
    assert runs(folder)[2] == ("third", "running")
    started.ended_at, started.state = "2026-01-02T00:00:00Z", "completed"
    records.store.ended(started)
    assert runs(folder)[2:] == [("third", "completed")]
    index = LineageIndex(folder)
    assert [len(index.uses(run)) for run in index.runs()] == [1, 2, 1]
    index.close()


def test_a_run_that_left_both_of_its_files_counts_as_ended(records, folder):
    record = records.add("third")
    RecordStore(folder).started(record)
    assert runs(folder)[2:] == [("third", "completed")]


def test_removed_records_leave_the_index(records, folder):
    runs(folder)
    for path in sorted(folder.glob("events/*/*"))[:1]:
        path.unlink()
    assert runs(folder) == [("second", "completed")]


def test_records_of_other_versions_are_read(records, folder):
    (path, *_) = sorted(folder.glob("events/*/*"))
    event = (
        '{"eventType": "%s", "eventTime": "2026-01-01T00:00:00Z", "run": {"runId": '
        '"01900000-0000-7000-8000-000000000001", "facets": {"new_facet": {"x": 1}}}, '
        '"job": {"namespace": "memtrain", "name": "train/a"}, "inputs": [{"namespace": '
        '"memtrain", "name": "old.txt"}], "later": true}'
    )
    path.write_text(f"{event % 'START'}\n{event % 'COMPLETE'}\n")
    assert runs(folder)[0] == ("train", "completed")
    index = LineageIndex(folder)
    assert not index.damaged
    index.close()


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(2000)])
def test_a_damaged_index_is_built_again(records, folder, content):
    (folder / INDEX_FILE).write_bytes(content)
    assert len(runs(folder)) == 2


def test_an_index_whose_rows_were_deleted_is_built_again(tmp_path):
    records = Records(tmp_path)
    records.add("train", [rows("data", (0, 9))], [file("model", "model")])
    runs(tmp_path)
    tables = ("run", "use", "version", "span", "current", "record")
    for table in tables:
        with sqlite3.connect(tmp_path / INDEX_FILE) as connection:
            connection.execute(f"DELETE FROM {table}")
        index = LineageIndex(tmp_path)
        assert [one.path for one in downstream_of_rows(index, "data", [Range(3, 4)])] == ["model"]
        index.close()


def test_every_changed_bit_of_an_index_is_noticed(records, folder):
    runs(folder)
    path = folder / INDEX_FILE
    content = path.read_bytes()
    for place in range(0, len(content), 997):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not is_sealed(path), place
    for size in (0, 50, 70, len(content) - 1, len(content) + 1):
        path.write_bytes((content + b" ")[:size])
        assert not is_sealed(path), size


def test_something_else_in_the_place_of_the_index_is_left_alone(records, folder):
    os.mkfifo(folder / "pipe")
    (folder / INDEX_FILE).mkdir()
    assert len(runs(folder)) == 2
    (folder / INDEX_FILE).rmdir()
    (folder / INDEX_FILE).symlink_to("pipe")
    assert len(runs(folder)) == 2


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_index_has_the_permissions_that_the_umask_leaves(records, folder, mask, mode):
    before = os.umask(mask)
    runs(folder)
    os.umask(before)
    assert stat.S_IMODE((folder / INDEX_FILE).stat().st_mode) == mode


def test_processes_that_index_at_once_each_see_every_record(records, folder):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: runs(folder), range(16)))
    assert found == [[("first", "completed"), ("second", "completed")]] * 16


@pytest.mark.slow
def test_a_full_disk_leaves_the_index_in_memory(records, folder):
    done = as_another_user(folder, "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))", 0)
    assert done.stdout == "2\n", done.stderr
    assert [path.name for path in folder.iterdir()] == ["events"]


def test_an_index_of_another_version_is_built_again(records, folder):
    runs(folder)
    with sqlite3.connect(folder / INDEX_FILE) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("DELETE FROM run")
    assert len(runs(folder)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("folder_mode", [0o555, 0o755])
@pytest.mark.parametrize("index_mode", [None, 0o600, 0o644])
def test_who_may_not_write_the_index_gets_one_in_memory(records, folder, folder_mode, index_mode):
    if index_mode is not None:
        runs(folder)
        (folder / INDEX_FILE).chmod(index_mode)
        records.add("third")
    before = sorted(path.name for path in folder.iterdir())
    folder.chmod(folder_mode)
    done = as_another_user(folder)
    folder.chmod(0o755)
    assert done.stdout == f"{records.count}\n", done.stderr
    assert sorted(path.name for path in folder.iterdir()) == before


def as_another_user(folder, before="pass", user=65534):
    """Return a finished process that printed the number of runs, as another user where it may."""
    # It changes its user after the imports, since only root may be allowed to read the modules.
    program = (
        f"import os, resource, signal, sys; sys.path[:0] = {sys.path!r};"
        "from memtrain.lineage.index.lineage_index import LineageIndex;"
        f"signal.signal(signal.SIGXFSZ, signal.SIG_IGN); {before};"
        f"os.geteuid() or os.setuid({user});"
        f"index = LineageIndex({str(folder)!r});"
        "print(len(index.runs()))"
    )
    temporary = Path(tempfile.gettempdir()).resolve()
    for path in folder.parents:
        if temporary in path.resolve().parents:
            path.chmod(0o755)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_rows_that_are_read_are_of_the_version_that_was_written_last(tmp_path):
    records = Records(tmp_path)
    records.add("make", outputs=[rows_written("data", (0, 9), text="1")])
    reading = rows("data", (0, 9))
    records.add("read", [reading], [file("x")])
    # Changed by hand: no run has written what this run reads.
    changed = rows("data", (0, 9))
    object.__setattr__(changed, "modified_ns", 5)
    records.add("read", [changed], [file("y")])
    # Made again with the same bytes, and read again.
    records.add("make", outputs=[rows_written("data", (0, 9), text="1")])
    again = rows("data", (0, 9))
    object.__setattr__(again, "modified_ns", 7)
    records.add("read", [again], [file("z")])
    index = LineageIndex(tmp_path)
    uses = [use for run in index.runs() for use in index.uses(run)]
    versions = [use.version.id for use in uses if use.role == "rows"]
    index.close()
    made, first, by_hand, made_again, last = versions
    assert made == first == made_again == last
    assert by_hand != made


def test_what_lies_on_the_disk_is_current_whatever_clocks_say(tmp_path):
    texts = {text: f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for text in "xyz"}
    records = Records(tmp_path / "lineage")
    for text in "xy":
        records.add("train", outputs=[FileUse("model", "model", 1, 0, texts[text])])

    def current(on_disk):
        if on_disk:
            (tmp_path / "model").write_text(on_disk)
        index = LineageIndex(tmp_path / "lineage", tmp_path)
        found = index.current("model")
        (listed,) = index.current_files()
        index.close()
        assert listed == found
        return index_digest(tmp_path / "lineage", found.version)

    assert current(None) == texts["y"]
    assert current("x") == texts["x"]
    assert current("y") == texts["y"]
    # No run wrote this.
    assert current("z") == texts["y"]
    assert current("longer") == texts["y"]


def index_digest(folder, version):
    index = LineageIndex(folder)
    digest = index.version(version).digest
    index.close()
    return digest


def test_sql_stays_in_the_index(repository):
    package = repository / "scripts/memtrain"
    modules = {*package.rglob("*.py"), *repository.glob("scripts/*.py")}
    for path in sorted(modules - {*(package / "lineage/index").glob("*.py")}):
        text = path.read_text()
        found = re.findall(r"\.execute\w*\(|\bimport sqlite3\b|\bSELECT\b|\bINSERT INTO\b", text)
        assert found == [], path


def test_renamed_results_keep_their_lineage(tmp_path, monkeypatch):
    """Records name files as they were called then; what lies beside the results keeps its name."""
    monkeypatch.chdir(tmp_path)
    records = Records("results/d/lineage")
    written = [file("results/d/model"), file("results/dd/model")]
    records.add("train", [file("data/x.csv")], written)
    assert LineageIndex("results/d/lineage").paths() == [
        "data/x.csv",
        "results/d/model",
        "results/dd/model",
    ]
    Path("results/d").rename("results/e")
    for project in (tmp_path, tmp_path / "results"):
        monkeypatch.chdir(project)
        folder = os.path.relpath(tmp_path / "results/e/lineage")
        known = ["data/x.csv", f"{os.path.dirname(folder)}/model", "results/dd/model"]
        assert sorted(LineageIndex(folder).paths()) == sorted(known)
