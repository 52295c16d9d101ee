"""Trackers of the workflow: what they are sent of a whole run, and that they change nothing."""

import copy
import json
import subprocess

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.programs import quick_python
from tests.unit.tracking.servers import free_port
from tests.workflow.conftest import CONFIGURATION

#: Results of a training whose bytes are the same everywhere.
PROMISED = ["splits/*/split.json", "splits/*/model.safetensors", "splits/*/evaluation.json"]


def track(project, *arguments):
    return subprocess.run(
        [quick_python(), "scripts/track.py", "send", *arguments],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )


def test_trackers_show_evaluations_and_change_nothing(new_project):
    configuration = copy.deepcopy(CONFIGURATION)
    configuration["splits"] = {"first": configuration["splits"]["first"]}
    uri = f"http://127.0.0.1:{free_port()}"
    tracking = {"tensorboard": {"folder": "runs"}, "mlflow": {"uri": uri}}
    project = new_project(configuration | {"tracking": tracking})
    run = project.snakemake()
    results = project.results(*PROMISED)

    # The terminal says once that a server is down; so does the log of the training.
    told = [line for line in run.output.splitlines() if uri in line]
    assert len(told) == 1
    assert "Not sent: first." in told[0]
    log = (project / "results/small/logs/train/first.log").read_text()
    assert log.count("tracking.mlflow") == 1

    (folder,) = (project / "runs").iterdir()
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    evaluation = json.loads((project / "results/small/splits/first/evaluation.json").read_text())
    for name, value in evaluation["metrics"].items():
        (shown,) = events.Scalars(f"evaluation/{name}")
        assert shown.value == pytest.approx(value)
        (error,) = events.Scalars(f"evaluation_standard_error/{name}")
        assert error.value == pytest.approx(evaluation["errors"][name])
    steps = [one.step for one in events.Scalars("training/loss")]
    assert steps == list(range(1, evaluation["steps"] + 1))
    (text,) = events.Tensors("made_from/text_summary")[0].tensor_proto.string_val
    explained = project.lineage("explain", "results/small/splits/first/model.safetensors")
    run_id = text.decode().partition("memtrain.lineage_run | ")[2].partition(" ")[0]
    assert run_id
    assert run_id in explained

    # Nothing is made again where trackers change, and one command sends what is missing.
    project.configure(lambda content: content.update(tracking={"tensorboard": {"folder": "new"}}))
    assert project.snakemake().jobs == []
    assert "tensorboard: 1 training sent" in track(project).stdout
    assert "1 training there already" in track(project, "--split", "first").stdout
    assert "there is no such split" in track(project, "--split", "none").stderr
    assert project.results(*PROMISED) == results
    project.configure(lambda content: content.pop("tracking"))
    assert "no tracker is set" in track(project).stderr
    (project / "results/small/splits/first/model.safetensors").unlink()
    assert project.snakemake().jobs[-1] == "train first"
    assert project.results(*PROMISED) == results
