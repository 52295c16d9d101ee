"""What nothing needs any more is listed, and removed only when a person says so."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from memtrain.config.results import ResultsLayout
from memtrain.lineage.records.record_store import RecordStore
from memtrain.recipes.model_file import ModelOrigin
from memtrain.system import checked_json
from memtrain.system.digests import digest_of_file
from memtrain.training.lock import training_lock
from memtrain.training.weights import write_weights
from memtrain.workflow.leftovers import find_leftovers, remove

CONFIGURATION = {
    "dataset": {"name": "d", "mock": {"rows": 20, "features": 2}},
    "splits": {"kept": {"train": [0, 10], "evaluate": [10, 20]}},
}


@pytest.fixture
def project(tmp_path, monkeypatch, resolve):
    """A project in whose results the split `gone` lies, which is not configured."""
    monkeypatch.chdir(tmp_path)
    results = ResultsLayout.of_dataset("d")
    for split in ("kept", "gone"):
        for path in results.all_of_split(split):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix or "verdicts" in path.parts:
                path.write_text("x")
            else:
                path.mkdir()
                (path / "file").write_bytes(b"x" * 1000)
    for path in (results.configuration, Path("config.yaml")):
        path.write_text(yaml.safe_dump(CONFIGURATION))
    return results


def clean(repository, *arguments):
    return subprocess.run(
        [sys.executable, repository / "scripts/clean.py", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def found(results):
    return {
        str(one.path.relative_to(results.root))
        for one in find_leftovers(results, ["kept"], ["kept"])
    }


GONE = {
    "splits/gone",
    "state/gone",
    *(f"logs/{rule}/gone.log" for rule in ("train", "evaluate", "draw", "offer_base")),
    *(f"benchmarks/{rule}/gone.jsonl" for rule in ("train", "evaluate", "draw")),
    *(f"verdicts/{rule}/gone" for rule in ("train", "evaluate", "draw", "offer_base")),
    *(f"tracking/sent/{tracker}/gone.json" for tracker in ("tensorboard", "mlflow")),
}


def test_a_split_that_is_no_longer_configured_is_left_over_with_all_its_files(project):
    assert found(project) == GONE


@pytest.mark.slow
def test_nothing_is_removed_without_a_yes(project, repository):
    shown = clean(repository)
    assert shown.returncode == 0
    assert "results/d/splits/gone  (split gone is no longer configured)" in shown.stdout
    assert shown.stdout.endswith("nothing was removed; use --yes\n")
    assert found(project) == GONE
    assert clean(repository, "--yes").stdout.endswith("removed: 15 paths\n")
    assert found(project) == set()
    assert (project.splits / "kept/file").exists()
    assert clean(repository).stdout == "results/d: there is nothing to remove\n"
    store = RecordStore(project.records)
    (record,) = map(store.read, store.names())
    assert record.job == "clean"
    assert "results/d/splits/gone (split gone is no longer configured)" in record.message
    removed = {one["path"] for one in record.details["cleaning"]["removed"]}
    assert removed == {f"results/d/{path}" for path in GONE}


@pytest.mark.slow
def test_nothing_is_removed_while_snakemake_works(project, repository):
    lock = Path(".snakemake/locks/0.input.lock")
    lock.parent.mkdir(parents=True)
    lock.touch()
    refused = clean(repository, "--yes")
    assert refused.returncode == 1
    assert "Snakemake is working in this folder, or was killed" in refused.stderr
    assert found(project) == GONE


@pytest.mark.slow
def test_nothing_is_removed_while_a_split_is_trained(project, repository):
    with training_lock(project.state("gone"), "sha256:recipe"):
        refused = clean(repository, "--yes")
        assert refused.returncode == 1
        assert "results/d/state/gone: this split is being trained already" in refused.stderr
        assert found(project) == GONE
    assert clean(repository, "--yes").returncode == 0


def test_the_state_of_a_finished_training_is_left_over(project, resolve, tmp_path):
    (tmp_path / "rows").mkdir(exist_ok=True)
    _, recipe = resolve(torch.rand(8, 2).numpy(), torch.rand(8).numpy())
    files = project.split("kept")
    recipe.write(files.recipe)
    write_weights(files.model, {"w": torch.zeros(1)}, ModelOrigin({"recipe": "another"}))
    assert found(project) == GONE
    made_from = {"recipe": recipe.digest("training")}
    write_weights(files.model, {"w": torch.zeros(1)}, ModelOrigin(made_from))
    assert found(project) == GONE | {"state/kept"}


def test_predictions_of_no_evaluation_are_left_over(project):
    files = project.split("kept")
    files.predictions.write_bytes(b"old")
    assert found(project) == GONE | {"splits/kept/predictions.npy"}
    digest = digest_of_file(files.predictions)
    checked_json.write(files.evaluation, {"files": {"predictions.npy": digest}})
    assert found(project) == GONE


def test_groups_of_rows_that_have_none_are_left_over(project):
    project.groups.write_bytes(b"old")
    assert found(project) == GONE | {"groups.npy"}
    checked_json.write(project.source, {"files": {"groups.npy": "sha256:1"}})
    assert found(project) == GONE


def test_rows_that_were_copied_are_left_over_where_files_are_read_in_place(project):
    project.data.write_bytes(b"old")
    assert found(project) == GONE
    (project.root / "rows.json").write_text("{}")
    assert found(project) == GONE | {"data.npy"}


def test_an_evaluation_without_rows_for_one_is_left_over(project):
    left = {
        str(one.path.relative_to(project.root)) for one in find_leftovers(project, ["kept"], [])
    }
    assert "splits/kept/evaluation.json" not in left
    project.split("kept").evaluation.write_text("x")
    left = {
        str(one.path.relative_to(project.root)) for one in find_leftovers(project, ["kept"], [])
    }
    assert "splits/kept/evaluation.json" in left


def test_files_that_killed_programs_left_are_left_over_and_those_being_written_are_not(project):
    left, written = (project.root / f".data.npy.{name * 8}.part" for name in "ab")
    left.write_bytes(b"x")
    with open(written, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert found(project) == GONE | {left.name}


def test_of_a_link_the_link_alone_is_removed(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    os.rename(project.splits / "gone", elsewhere)
    (project.splits / "gone").symlink_to(elsewhere)
    for one in find_leftovers(project, ["kept"], ["kept"]):
        remove(one)
    assert not os.path.lexists(project.splits / "gone")
    assert (elsewhere / "file").exists()


def test_what_lies_elsewhere_by_a_link_is_not_left_over(project, tmp_path):
    os.rename(project.splits, tmp_path / "elsewhere")
    project.splits.symlink_to(tmp_path / "elsewhere")
    assert found(project) == {path for path in GONE if not path.startswith("splits")}
