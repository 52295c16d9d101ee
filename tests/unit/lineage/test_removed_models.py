"""Models that clean.py removed are named when a person asks what some rows have reached."""

import json
import os
import shutil
import signal
import sys

import pytest

import clean
import lineage
from memtrain.lineage.records.record_store import RecordStore
from tests.unit.lineage.test_models_on_disk import Project

OLD = "results/d/splits/old/model.safetensors"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with the splits a (rows 0 to 9), b (20 to 29) and old (0 to 9, not configured)."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def impact(capsys, *arguments):
    status = lineage.main(["impact", *arguments, "--json"])
    assert status == 0
    return {one["path"]: one for one in json.loads(capsys.readouterr().out)}


def clean_all():
    assert clean.main(["--yes"]) == 0


def test_a_removed_model_is_named_for_its_rows_alone(project, capsys):
    before = impact(capsys, "--rows", "5")
    assert before[OLD]["is_current"]
    clean_all()
    assert not os.path.exists(OLD)
    capsys.readouterr()
    after = impact(capsys, "--rows", "5")
    assert after.keys() == before.keys()
    assert after[OLD]["removed_at"]
    assert not after[OLD]["is_current"]
    assert after[OLD]["digest"] == before[OLD]["digest"]
    assert OLD not in impact(capsys, "--rows", "25")
    assert lineage.main(["impact", "--rows", "5"]) == 0
    printed = capsys.readouterr().out
    assert "(removed by clean.py at 20" in printed
    assert "2 of them models, 1 of these removed by clean.py" in printed
    assert lineage.main(["impact", "--rows", "5", "--targets"]) == 0
    assert OLD not in capsys.readouterr().out


def test_a_removed_model_of_unknown_rows_may_hold_any(project, capsys):
    project.results.split("old").recipe.unlink()
    clean_all()
    capsys.readouterr()
    assert "nothing tells which rows" in impact(capsys, "--rows", "77")[OLD]["note"]


def test_the_record_of_the_training_tells_where_an_earlier_version_cleaned(project, capsys):
    project.record_training("old", 0)
    shutil.rmtree(project.results.split("old").folder)
    facts = {"removed": [{"path": "results/d/splits/old", "why": "no longer configured"}]}
    project.records.add("clean", details={"cleaning": facts})
    assert impact(capsys, "--rows", "5")[OLD]["removed_at"]
    assert OLD not in impact(capsys, "--rows", "25")


def test_a_model_that_was_made_again_stands(project, capsys):
    kept = project.folder / "kept"
    shutil.copytree(project.results.split("old").folder, kept)
    clean_all()
    shutil.copytree(kept, project.results.split("old").folder)
    capsys.readouterr()
    assert impact(capsys, "--rows", "5")[OLD]["removed_at"] is None


@pytest.mark.slow
def test_a_killed_cleaning_says_what_it_removed(project, capsys):
    if not (child := os.fork()):

        def kill(event, arguments):
            if event == "os.remove" and str(arguments[0]).endswith("split.json"):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        clean.main(["--yes"])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    left = set(os.listdir(project.results.split("old").folder))
    assert impact(capsys, "--rows", "5")[OLD]["is_current"] == ("model.safetensors" in left)
    clean_all()
    capsys.readouterr()
    assert impact(capsys, "--rows", "5")[OLD]["removed_at"]
    store = RecordStore(project.results.records)
    found = [store.read(name) for name in store.names()]
    assert {one.state for one in found} <= {"completed", "stopped"}
    removed = [
        one["path"]
        for run in found
        if run.state == "completed"
        for one in run.details["cleaning"]["models"]
    ]
    assert removed == [OLD]


def test_a_damaged_record_of_a_cleaning_is_named_and_passed_over(project, caplog):
    project.records.add("clean", details={"cleaning": {"removed": [{"path": 3}]}})
    project.records.add("clean", details={"cleaning": {"models": [{"path": "x", "rows": [1]}]}})
    assert lineage.main(["impact", "--rows", "5"]) == 1
    assert caplog.text.count("this record cannot be read") == 2
