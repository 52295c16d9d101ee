"""Predictions that the configuration asks for are made again when model or rows change."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.workflow.conftest import Project, environment, make_project
from tests.workflow.imported import CONFIGURATION, rows, write_imported, write_rows
from tests.workflow.test_verdicts import ROWS, expect, of_split

PREDICTIONS = {
    "next": {"split": "first", "files": "own/*.csv"},
    "tail": {"split": "first", "rows": [[0, 10], [500, "100%"]]},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, repository):
    """A finished project with predictions for a file of its own, and for rows of the dataset."""
    splits = {"first": CONFIGURATION["splits"]["first"]}
    configuration = CONFIGURATION | {"splits": splits, "predictions": PREDICTIONS}
    project = make_project(tmp_path_factory.mktemp("predictions") / "x", repository, configuration)
    write_imported(project)
    (project / "own").mkdir()
    write_rows(project / "own/x.csv", rows()[:40])
    expect(project.snakemake(), *ROWS, *of_split("first"), "predict", "predict")
    return project


@pytest.fixture
def project(tmp_path, finished):
    """A copy of the finished project."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    return Project(tmp_path / "copy")


def predicted(project, name):
    return np.load(project / f"results/small/predictions/{name}/predictions.npy")


def test_rows_are_predicted_as_they_are_evaluated_and_nothing_runs_twice(finished):
    evaluated = np.load(finished / "results/small/splits/first/predictions.npy")
    tail = predicted(finished, "tail")
    assert tail["row"].tolist() == [*range(10), *range(500, 600)]
    assert np.allclose(tail["prediction"][10:], evaluated["prediction"], rtol=1e-6)
    assert predicted(finished, "next")["row"].tolist() == list(range(40))
    statement = json.loads((finished / "results/small/predictions/next/made_from.json").read_text())
    assert statement["packages"]["torch"] == torch.__version__
    assert statement["device"] == "cpu"
    expect(finished.snakemake())


def test_only_what_reads_changed_files_is_predicted_again(project):
    before = predicted(project, "next")
    write_rows(project / "own/y.csv", rows()[40:45])
    found = project.lineage("verify", status=1)
    assert "stale: results/small/predictions/next/predictions.npy: rows changed" in found
    assert "1 finding" in found
    run = project.snakemake()
    expect(run, "predict")
    assert "predict: prediction next, rows changed" in run.output
    after = predicted(project, "next")
    assert len(after) == 45
    assert after["prediction"][:40].tobytes() == before["prediction"].tobytes()
    project.configure(lambda content: content["predictions"]["tail"].update(rows=[0, 20]))
    expect(project.snakemake(), "predict")
    assert predicted(project, "tail")["row"].tolist() == list(range(20))


def test_withdrawn_rows_reach_predictions_and_are_predicted_no_more(project):
    assert "predictions/tail/predictions.npy" in project.lineage("impact", "--rows", "505")
    assert "predictions/next" in project.lineage("impact", "--rows", "5")
    make_by_hand(project)
    told = json.loads(project.lineage("withdraw", "--rows", "5", "--reason", "asked for", "--json"))
    again = {Path(one["path"]).parent.name: one["is_made_again"] for one in told["predictions"]}
    assert again == {"next": True, "tail": True, "hand": False}
    assert {Path(one["path"]).parent for one in told["exports"]} == {Path("hand/exported")}
    run = project.snakemake()
    assert run.jobs.count("predict") == 2
    assert predicted(project, "tail")["row"].tolist()[:10] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 500]
    assert " 0 findings" in project.lineage("verify")


def test_a_withdrawal_says_what_was_predicted_and_exported(project):
    make_by_hand(project)
    told = project.lineage("withdraw", "--rows", "505", "--reason", "asked for").splitlines()
    start = "holds predictions for these rows, or by such a model: "
    again, by_hand = "; the next run of snakemake makes it again", "export again, or remove it"
    # No model was trained on row 505, which is evaluated and predicted.
    assert f"{start}results/small/predictions/tail/predictions.npy{again}" in told
    assert len([line for line in told if line.startswith(start)]) == 1
    assert told[-1] == "exported with an evaluation on such rows: hand/exported; " + by_hand
    told = project.lineage("withdraw", "--rows", "5", "--reason", "asked for").splitlines()
    assert f"{start}results/small/predictions/next/predictions.npy{again}" in told
    assert f"{start}hand/predictions.npy; predict again, or remove it" in told
    assert told[-1] == "exported from such a model: hand/exported; " + by_hand


def make_by_hand(project):
    """Predict a file and export the model, as a user does."""
    (project / "hand").mkdir()
    split, new = "results/small/splits/first", "hand/predictions.npy"
    for script, *arguments in (
        ["predict", "--split", split, "--data", "own/x.csv", "--predictions", new],
        ["export", split, "hand/exported"],
    ):
        command = ["python", f"scripts/{script}.py", *arguments]
        done = subprocess.run(
            command, cwd=project.folder, capture_output=True, text=True, env=environment()
        )
        assert done.returncode == 0, done.stderr


def test_predictions_that_nobody_asks_for_any_more_can_be_removed(project):
    project.configure(lambda content: content["predictions"].pop("next"))
    expect(project.snakemake())
    clean = ["python", "scripts/clean.py", "--yes"]
    done = subprocess.run(
        clean, cwd=project.folder, capture_output=True, text=True, env=environment()
    )
    assert "results/small/predictions/next  (the predictions next are no longer" in done.stdout
    assert not (project / "results/small/predictions/next").exists()
    assert (project / "results/small/predictions/tail").exists()


def test_predictions_that_fail_are_told_once_and_recorded_with_their_reasons(project):
    (project / "own/x.csv").write_text("area\n3\n")
    run = project.snakemake(check=False)
    assert run.status == 1
    # The summary of what is finished names it; what to do stands below, once.
    assert run.output.count("predict/next failed: own/x.csv: there is no column 'a'. Log: ") == 1
    assert run.output.count("predict/next cannot be made:\n") == 1
    assert "predict failed" not in run.output
    runs = json.loads(project.lineage("log", "--json"))
    [failed] = [one for one in runs if one["state"] == "failed" and one["name"] != "workflow"]
    assert (failed["name"], failed["reason"]) == ("predict/first", "rows changed")
    assert "area" in failed["message"]


def test_mistakes_are_told_before_anything_runs(project):
    project.configure(lambda content: content["predictions"]["next"].update(files="none/*.csv"))
    (project / "results/small/splits/first/model.safetensors").unlink()
    run = project.snakemake(check=False)
    assert run.status != 0
    assert "none/*.csv" in run.output
    assert "Traceback" not in run.output
    assert run.jobs == []
