"""Trainings on a real server of MLflow, which may be down, silent, or back again."""

import csv
import json
import shutil
import time
from collections import Counter

import pytest
from mlflow import MlflowClient

from memtrain.config.results import ResultsLayout
from memtrain.config.tracking import TrackingSettings
from memtrain.tracking.sending import finished_training, send
from tests.trainings import wait_until
from tests.unit.tracking.conftest import tracking

pytestmark = pytest.mark.xdist_group("mlflow")

SLOW = {"SECONDS": "0.1"}
CURVES = {"history": "training", "validation": "validation"}


@pytest.fixture
def experiment(request, server):
    """An experiment of this test alone: its name, and a function that returns its runs."""
    name = request.node.name
    client = MlflowClient(f"http://127.0.0.1:{server}")

    def runs():
        found = client.get_experiment_by_name(name)
        return client.search_runs([found.experiment_id]) if found else []

    return name, runs, client


def assert_has_results(client, run, training):
    """Assert that a run has the numbers of the results, all digits, each step once."""
    for table, prefix in CURVES.items():
        with open(training.folder / f"{table}.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        for name in set(lines[0]) - {"step", "epoch", "rows"}:
            sent = client.get_metric_history(run.info.run_id, f"{prefix}/{name}")
            expected = [(int(line["step"]), float(line[name])) for line in lines]
            assert sorted((one.step, one.value) for one in sent) == expected, name


def send_again(training, name, line):
    """Send what is missing, as track.py does."""
    settings = {"mlflow": {"uri": line.uri, "experiment": name}}
    results = ResultsLayout(training.folder.parents[1])
    found = finished_training(results, "one", "run-1")
    return send("mlflow", TrackingSettings.model_validate(settings), results.tracking, [found])


def arguments(name, line):
    return tracking(mlflow={"uri": line.uri, "experiment": name})


@pytest.mark.slow
def test_a_killed_training_is_one_run_with_each_step_once(project, line, experiment):
    name, runs, client = experiment
    training = project()
    checkpoints = ["--running", "{checkpoint: {steps: 3}}"]
    with training.started(*arguments(name, line), *checkpoints, SECONDS="0.3") as process:
        # Live: the server has steps while the training is far from its end.
        wait_until(lambda: runs() and "training/loss" in runs()[0].data.metrics, pause=0.5)
        assert runs()[0].info.status == "RUNNING"
        wait_until(training.checkpoints)
        process.kill()
        process.wait()
    wait_until(lambda: runs()[0].info.status == "KILLED", pause=0.5)
    assert "tracking." not in training.run(*arguments(name, line), *checkpoints, **SLOW)
    (run,) = runs()
    assert_has_results(client, run, training)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "one"
    assert run.data.params["batch_size"] == "10"
    assert run.data.params["model.name"] == "own:Slow"
    recipe, tags = training.recipe, run.data.tags
    assert tags["memtrain.recipe"] == recipe.digest("training")
    assert tags["memtrain.split"] == "one"
    assert tags["memtrain.ranges"] == "[0, 400)"
    assert run.data.metrics["performance/seconds"] == training.performance()["seconds"]

    # Nothing is sent twice: where all is known, where a sending was cut, and without the notes.
    assert send_again(training, name, line).known == 1
    (note,) = training.folder.parents[1].glob("tracking/sent/mlflow/one.json")
    whole = json.loads(note.read_text())
    history = client.get_metric_history(run.info.run_id, "training/loss")
    at = max(history, key=lambda one: one.step).timestamp
    sent_with = [one.step for one in history if one.timestamp == at]
    cut = {"steps": whole["steps"] | {"training": min(sent_with) - 1}, "final": None}
    cut["sending"] = {"training": {"step": 20, "at": at / 1000}}
    note.write_text(json.dumps(whole | cut))
    assert send_again(training, name, line).sent == ["one"]
    assert_has_results(client, run, training)
    shutil.rmtree(note.parent)
    assert send_again(training, name, line).sent == ["one"]
    assert_has_results(client, run, training)
    assert len(runs()) == 1

    # A run that was removed from the server is sent anew.
    client.delete_run(run.info.run_id)
    assert send_again(training, name, line).known == 1
    whole = json.loads(note.read_text())
    note.write_text(json.dumps(whole | {"final": None}))
    send_again(training, name, line)
    assert_has_results(client, runs()[0], training)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["refuses", "is silent"])
def test_a_server_that_is_down_changes_nothing(project, line, experiment, trouble):
    name, runs, client = experiment
    plain, training = project("plain"), project()
    plain.run()
    if trouble == "refuses":
        line.cut()
    line.is_silent = True
    output = training.run(*arguments(name, line), **SLOW)
    after_results = time.time() - (training.folder / "model.safetensors").stat().st_mtime
    assert after_results < 15
    assert Counter(output.split())["warning:"] == 1, output
    assert f"tracking.mlflow: {line.uri}: " in output or "not all has arrived" in output
    assert "track.py send" in output
    assert training.digests() == plain.digests()
    assert not runs()

    sent = send_again(training, name, line) if trouble == "refuses" else None
    assert sent is None or (sent.missing == ["one"] and line.uri in str(sent.problem))
    line.cut()
    line.is_silent = False
    line.connect()
    assert send_again(training, name, line).sent == ["one"]
    assert_has_results(client, runs()[0], training)
    assert runs()[0].info.status == "FINISHED"
    assert runs()[0].data.tags["memtrain.lineage_run"] == "run-1"


@pytest.mark.slow
def test_a_server_that_comes_back_is_sent_what_it_missed(project, line, experiment):
    name, runs, client = experiment
    training = project()
    line.cut()
    with training.started(*arguments(name, line), SECONDS="0.2") as process:
        output = ""
        while "warning:" not in output and (line_of_log := process.stdout.readline()):
            output += line_of_log
        wait_until(lambda: training.is_at(5), pause=0.1)
        assert not runs()
        line.connect()
        wait_until(lambda: runs() and "training/loss" in runs()[0].data.metrics, pause=0.5)
        output += process.stdout.read()
        assert process.wait(timeout=120) == 0, output
    assert Counter(output.split())["warning:"] == 1, output
    assert_has_results(client, runs()[0], training)
