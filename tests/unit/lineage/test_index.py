"""The index is up to date with the records, whatever happened to them or to the index."""

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from memtrain.lineage.index.building import INDEX_FILE
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.records.record_store import RecordStore
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


@pytest.mark.parametrize("content", ["", '{"eventType": "COM', "[]\n", "{}\n", "\0\0", "7\n"])
def test_a_damaged_record_is_named_and_the_others_are_indexed(records, folder, content):
    (path, *_) = sorted(folder.glob("events/*/*"))
    path.write_text(content)
    index = LineageIndex(folder)
    (damaged,) = index.damaged
    assert str(damaged).startswith(f"{path}: this record cannot be read")
    index.close()
    assert runs(folder) == [("second", "completed")]


def test_records_of_other_versions_are_read(records, folder):
    (path, *_) = sorted(folder.glob("events/*/*"))
    event = (
        '{"eventType": "%s", "eventTime": "2025-01-01T00:00:00Z", "run": {"runId": '
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


def test_an_index_of_another_version_is_built_again(records, folder):
    runs(folder)
    with sqlite3.connect(folder / INDEX_FILE) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("DELETE FROM run")
    assert len(runs(folder)) == 2


def test_a_read_only_folder_is_indexed_in_memory(records, folder):
    # Permissions do not stop root, so the process becomes another user. It does so after the
    # imports, since only root may be allowed to read the modules.
    program = (
        f"import os, sys; sys.path[:0] = {sys.path!r};"
        "from memtrain.lineage.index.lineage_index import LineageIndex;"
        "os.geteuid() or os.setuid(65534);"
        f"index = LineageIndex({str(folder)!r});"
        "print(len(index.runs()))"
    )
    temporary = Path(tempfile.gettempdir()).resolve()
    for path in [folder, *folder.parents]:
        if temporary in path.resolve().parents:
            os.chmod(path, 0o555 if path == folder else 0o755)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "2\n", done.stderr
    assert not (folder / INDEX_FILE).exists()


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


def test_sql_stays_in_the_index(repository):
    package = repository / "scripts/memtrain"
    modules = {*package.rglob("*.py"), *repository.glob("scripts/*.py")}
    for path in sorted(modules - {*(package / "lineage/index").glob("*.py")}):
        text = path.read_text()
        found = re.findall(r"\.execute\w*\(|\bsqlite3\b|\bSELECT\b|\bINSERT INTO\b", text)
        assert found == [], path
