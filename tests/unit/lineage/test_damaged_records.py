"""A damaged record is named, with what is wrong, and no query fails because of it."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import lineage
from memtrain.lineage.index.building import INDEX_FILE
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.index.seal import seal
from tests.unit.lineage.lineage_records import Records, file, piece, rows

FACTS = {
    "parameters": {"lr": 0.1},
    "environment": {"python": "3.11", "packages": {"torch": "2"}, "variables": {"A": "b"}},
    "machine": {"host": "x", "processor": "one", "attempt": 1},
    "effort": {"seconds": 1.5},
    "details": {"training": {"order_digest": "sha256:0"}},
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with the records of a training and of a run of the workflow."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/d").mkdir(parents=True)
    records = Records(tmp_path / "results/d/lineage")
    jobs = [{"job": "train", "split": "a", "reason": "because"}]
    workflow = {"command": "--cores 1", "user": "me", "snakemake": "9", "jobs": jobs}
    records.add("workflow", details={"workflow": workflow})
    used = rows("results/d/data.npy", (0, 9), pieces=[piece(0, 0, 9, "1")])
    records.add("train", [used], [file("results/d/model", "model")], "a", **FACTS)
    return records


def record_of(project, job):
    """Return the path of a record."""
    (path,) = (one for one in project.store.folder.rglob("*.jsonl") if job in one.read_text())
    return path


def answers(capsys, caplog, *queries):
    """Return what queries print and warn of."""
    for query in queries:
        assert lineage.main([*query.split(), "--results", "results/d"]) in (0, 1), query
    return capsys.readouterr().out, caplog.text


QUERIES = ("log", "impact --rows 0:9", "log --json")


def expect_damage(path, capsys, caplog):
    printed, warned = answers(capsys, caplog, *QUERIES)
    assert f"{path.name}: this record cannot be read (" in warned
    assert "train/a" not in printed
    assert "workflow" in printed


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"eventType": "COM',
        b"[]\n",
        b"{}\n",
        b"\0\0",
        b"7\n",
        b"\xff\xfe",
        b"null\nnull\n",
        b"[" * 100_000 + b"]" * 100_000,
        b'"\\ud800' + b"[" * 5000,
        b"9" * 5000,
        b"NaN",
        b'{"run": 1, "run": 2}',
    ],
    ids=lambda content: repr(content[:8]),
)
def test_no_content_of_a_record_stops_a_query(project, capsys, caplog, content):
    path = record_of(project, '"train/a"')
    path.write_bytes(content)
    expect_damage(path, capsys, caplog)


DEEP = "[" * 700 + "]" * 700


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"size": 1}', f'"size": {size}}}')
        for size in ("1e30", "1000000000000000000000000", "[1]", '"1"', "-1", "null", "1e999")
    ]
    + [
        ('"datasetVersion": "', '"datasetVersion": 7, "x": "'),
        ('"modifiedNs": 0', '"modifiedNs": {}'),
        ('"role": "rows"', '"role": 7'),
        ('"name": "results/d/data.npy"', '"name": "a\\u0000b"'),
        ('"": [[0, 9]]', '"": [[9, 0]]'),
        ('"": [[0, 9]]', '"": [[0, 99999999999999999999]]'),
        ('"": [[0, 9]]', '"": [[0, 9, 3]]'),
        ('"": [[0, 9]]', '"": 5'),
        ('"seconds": 1.5', '"seconds": "long"'),
        ('"seconds": 1.5', '"seconds": 1e999'),
        ('"seconds": 1.5', f'"other": {DEEP}'),
        ('"attempt": 1', '"attempt": {"a": 1}'),
        ('"order_digest": "sha256:0"', '"order_digest": 5'),
        ('"packages": {"torch": "2"}', '"packages": []'),
        ('"value": "0.1"', '"value": 0.1'),
        ('"value": "0.1"', f'"value": "{DEEP}"'),
        ('"eventType": "COMPLETE"', '"eventType": "GONE"'),
        ('"eventTime": "2026', '"eventTime": "x026'),
        ('"runId": "0190', '"runId": "0191'),
    ],
    ids=lambda text: text[:40],
)
def test_no_value_of_a_record_stops_a_query(project, capsys, caplog, before, after):
    path = record_of(project, '"train/a"')
    text = path.read_text()
    changed = text.replace(before, after)
    assert changed != text
    path.write_text(changed)
    expect_damage(path, capsys, caplog)


@pytest.mark.parametrize("value", ["7", "[[]]", '"x"', '[{"job": "train"}]'])
def test_the_jobs_of_a_workflow_are_checked(project, capsys, caplog, value):
    path = record_of(project, '"because"')
    content = path.read_text()
    event = json.loads(content.splitlines()[1])
    event["run"]["facets"]["memtrain_details"]["details"]["workflow"]["jobs"] = json.loads(value)
    path.write_text(f"{content.splitlines()[0]}\n{json.dumps(event)}\n")
    _, warned = answers(capsys, caplog, *QUERIES)
    assert f"{path.name}: this record cannot be read (" in warned


def test_a_record_that_lost_its_last_line_is_damaged(project, capsys, caplog):
    path = record_of(project, '"train/a"')
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    expect_damage(path, capsys, caplog)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_no_record(project, capsys, caplog, make):
    path = record_of(project, '"train/a"')
    path.unlink()
    make(path)
    expect_damage(path, capsys, caplog)


def test_a_copy_under_another_name_is_no_record_of_its_own(project):
    path = record_of(project, '"train/a"')
    shutil.copy(path, path.with_name("copy.jsonl"))
    index = LineageIndex(project.store.folder)
    assert len(index.runs()) == 2
    (damaged,) = index.damaged
    assert "has another name" in str(damaged)


def test_a_record_that_was_brought_back_is_indexed(project, capsys, caplog):
    path = record_of(project, '"train/a"')
    content = path.read_bytes()
    path.write_bytes(content[:700])
    expect_damage(path, capsys, caplog)
    path.write_bytes(content)
    printed, _ = answers(capsys, caplog, "log")
    assert "train/a" in printed


def test_texts_with_surrogates_in_old_records_are_read(project):
    path = record_of(project, '"train/a"')
    path.write_text(path.read_text().replace('"host": "x"', '"host": "f\\udcfcr \\ud83d\\ude00"'))
    index = LineageIndex(project.store.folder)
    assert index.run(index.runs()[-1]).machine["host"] == "für 😀"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("what", ["record", "month"])
def test_unreadable_records_are_named(project, what):
    path = record_of(project, '"train/a"')
    locked = path if what == "record" else path.parent
    locked.chmod(0)
    for folder in [*path.parents][1:]:
        folder.chmod(0o755) if str(folder).startswith("/tmp/") else None
    program = (
        f"import os, sys; sys.path[:0] = {sys.path!r};"
        "from memtrain.lineage.index.lineage_index import LineageIndex; os.setuid(65534);"
        f"index = LineageIndex({str(project.store.folder)!r}); print(*index.damaged)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    locked.chmod(0o755)
    assert str(locked) in done.stdout, done.stderr
    assert "Permission denied" in done.stdout


@pytest.mark.parametrize("query", ["log", "impact --rows 0:9"])
def test_an_index_that_the_disk_damages_after_it_was_checked_is_named(project, query, caplog):
    """The seal is right, as when a page cannot be read a moment later."""
    LineageIndex("results/d/lineage").close()
    path = project.store.folder / INDEX_FILE
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(8192)
        file.write(b"\xff" * (size - 8192))
        seal(file)
    assert lineage.main([*query.split(), "--results", "results/d"]) == 2
    assert "results/d/lineage/index.sqlite: the index of the records cannot be" in caplog.text
