"""From a file to a first model: what `memtrain init` proposes is run by `memtrain run`."""

import json
import os
import subprocess

import pytest
from benchmarks.first_datasets import DATASETS
from benchmarks.first_results import first_result

from tests.programs import quick_python
from tests.tables import KINDS
from tests.warm_python import PYTHON


@pytest.fixture(autouse=True)
def programs_start_quick_ones(monkeypatch):
    """Let `memtrain run` start a Snakemake that starts quickly, as its own Python does."""
    monkeypatch.setenv(PYTHON, quick_python())


def memtrain(repository, folder, *arguments):
    """Call the command of the checkout in a folder, and return what it printed."""
    done = subprocess.run(
        [quick_python(), repository / "scripts/memtrain_command.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["numbers", "words"])
def test_a_first_model_is_better_than_the_baseline(repository, tmp_path, kind):
    memtrain(repository, tmp_path, "init", *KINDS[kind](tmp_path))
    memtrain(repository, tmp_path, "run", "--cores", "2", "--quiet", "all")
    (found,) = tmp_path.glob("results/*/splits/all/evaluation.json")
    evaluation = json.loads(found.read_text())
    metrics, baseline = evaluation["metrics"], evaluation["baseline"]
    if kind == "numbers":
        assert metrics["rmse"] < 0.5 * baseline["rmse"]
        assert "finished" in memtrain(repository, tmp_path, "status", "--once")
    else:
        assert metrics["accuracy"] > 0.8 > baseline["accuracy"]


@pytest.mark.parametrize("kind", ["dates", "groups", "matrices"])
def test_the_rows_are_imported_and_the_splits_resolved(repository, tmp_path, kind):
    memtrain(repository, tmp_path, "init", *KINDS[kind](tmp_path))
    memtrain(repository, tmp_path, "run", "--quiet", "all", "--until", "resolve_splits")
    (recipe,) = tmp_path.glob("results/*/splits/all/split.json")
    assert json.loads(recipe.read_text())


@pytest.mark.parametrize("name", ["sorted", "plants", "tokens"])
def test_arrays_sorted_by_class_tables_without_names_and_tokens(tmp_path, name):
    """`python -m benchmarks first_results` runs datasets of all kinds, with more rows."""
    found = first_result(DATASETS[name], tmp_path, size=0.1, python=quick_python())
    for score in found.scores:
        assert score.gain > 3, score


def test_noise_is_not_taken_for_something(tmp_path):
    found = first_result(DATASETS["noise"], tmp_path, size=0.1, python=quick_python())
    (score,) = found.scores
    assert abs(score.gain) < 3


@pytest.mark.parametrize("name", ["digits", "demand", "trips"])
def test_datasets_of_other_kinds_are_read_and_resolved(repository, tmp_path, name):
    memtrain(repository, tmp_path, "init", *DATASETS[name].write(tmp_path, 400))
    memtrain(repository, tmp_path, "run", "--quiet", "all", "--until", "resolve_splits")
    (recipe,) = tmp_path.glob("results/*/splits/all/split.json")
    assert json.loads(recipe.read_text())
