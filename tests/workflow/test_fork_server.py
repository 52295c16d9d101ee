"""Jobs that come from a fork server: the same results, in the workflow."""

import csv
import json
import os
import signal
import subprocess
import sys

import pytest

from tests.forking import children, commands_with, is_alive, servers_of
from tests.trainings import wait_until
from tests.workflow.conftest import CONFIGURATION, REPRODUCIBLE, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fork servers need Linux")

SAID = "are forked from a process that has imported PyTorch already"

#: What differs from run to run in a record: times, sizes of files that have times, and ids.
VARYING = {"eventTime", "runId", "modifiedNs", "parent", "memtrain_effort"}

MODEL = "results/small/splits/first/model.safetensors"

#: A model of the user's own.
OWN = """
import torch


class Net(torch.nn.Linear):
    def __init__(self, in_features, out_features):
        {first}
        super().__init__(in_features, out_features)
"""


def configuration(setting="auto"):
    """Return a configuration of five splits."""
    more = {name: {"train": [0, 2000], "evaluate": [19900, 20000]} for name in ("fourth", "fifth")}
    splits = CONFIGURATION["splits"] | more
    predictions = {name: {"split": name, "rows": [[0, 100]]} for name in splits}
    running = {"fork_server": setting}
    return CONFIGURATION | {"splits": splits, "predictions": predictions, "running": running}


def test_results_records_and_logs_are_those_of_plain_python(new_project):
    plain, forked = (new_project(configuration(name), name) for name in ("never", "auto"))
    assert SAID not in plain.snakemake().output
    assert forked.snakemake().output.count(SAID) == 1
    assert forked.results(*REPRODUCIBLE) == plain.results(*REPRODUCIBLE)
    assert records(forked) == records(plain)
    others = ["splits/*/figures/*.png", "splits/*/figures/made_from.json", "predictions/*/*.npy"]
    assert forked.results(*others) == plain.results(*others)
    assert len(forked.results(*others)) == 15 + 5 + 5
    for rule in ("train", "evaluate", "draw", "predict"):
        assert log(forked, rule) == log(plain, rule)
        (benchmark,) = forked.results(f"benchmarks/{rule}/fourth.jsonl").values()
        assert b"launch.py" in benchmark
    assert_memory_of_training(forked)
    # Another setting makes nothing again.
    plain.configure(lambda content: content["running"].update(fork_server="always"))
    assert plain.snakemake().jobs == []


def records(project):
    """Return what was recorded of trainings and evaluations, without what varies."""
    events = []
    for content in project.results("lineage/events/*/*.jsonl").values():
        for line in content.splitlines():
            event = json.loads(line)
            if event["job"]["name"].startswith(("train/", "evaluate/", "draw/", "predict/")):
                events.append(json.dumps(lasting(event), sort_keys=True))
    assert len(events) == 40
    return sorted(events)


def lasting(value):
    """Return a value of JSON without what varies from run to run."""
    if isinstance(value, list):
        return [lasting(part) for part in value if "performance.json" not in json.dumps(part)]
    if isinstance(value, dict):
        return {key: lasting(part) for key, part in value.items() if key not in VARYING}
    return value


def log(project, rule):
    """Return the lines of a log that tell no times."""
    (text,) = project.results(f"logs/{rule}/fourth.log").values()
    return [line for line in text.decode().splitlines() if "/s" not in line]


def assert_memory_of_training(project):
    """Snakemake sees the client alone; the summary tells the memory of the training."""
    (table,) = project.results("summary/summary.csv").values()
    used = [float(row["used_memory_mb"]) for row in csv.DictReader(table.decode().splitlines())]
    assert len(used) == 5
    assert min(used) > 150


def test_edits_and_mistakes_of_the_user_show(new_project):
    content = configuration("always")
    content["splits"] = {"first": CONFIGURATION["splits"]["first"]}
    del content["predictions"]
    content["training"] = content["training"] | {"model": {"name": "own:Net"}}
    project = new_project(content)
    mistake = "import sys; assert 'train' not in sys.argv[0], 'a mistake of mine'"
    (project / "own.py").write_text(OWN.format(first=mistake))
    run = project.snakemake(MODEL, check=False)
    assert run.status == 1
    assert "AssertionError: a mistake of mine" in run.output
    (project / "own.py").write_text(OWN.format(first="pass"))
    assert "train first" in project.snakemake(MODEL).jobs


def started(project):
    """Start Snakemake in a process group of its own."""
    return subprocess.Popen(
        project.command("--cores", "2"),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(warm=False),
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_workflow_that_is_ended(new_project, number):
    """By Ctrl-C, which all processes get, or by a signal for Snakemake alone."""
    content = configuration()
    content["training"] = content["training"] | {"epochs": 50}
    project = new_project(content)
    project.snakemake("--until", "resolve_splits")
    process = started(project)
    wait_until(lambda: list(project.folder.glob("results/small/state/*/progress.json")), 120)
    (server,) = servers_of(process.pid)
    jobs = children(server)
    assert jobs
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.wait(timeout=60)
    if number == signal.SIGKILL:
        # As without a server, the trainings go on. Whoever ends them ends all.
        assert is_alive(server)
        os.killpg(process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, [server, *jobs])), seconds=60)
    # After SIGTERM, Snakemake has waited for the trainings that ran.
    project.snakemake("--unlock")
    project.snakemake(MODEL)
    assert (project / MODEL).exists()


def test_splits_that_share_a_job_of_a_cluster_have_its_server(new_project):
    """Trainings, evaluations and figures of all splits are one job of an executor for clusters."""
    project = new_project(configuration())
    project.snakemake("--until", "resolve_splits")
    rules = [f"{rule}=split" for rule in ("train", "evaluate", "draw")]
    submit = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "bash"]
    groups = ["--groups", *rules, "--group-components", "split=5", "--jobs", "1"]
    run = project.snakemake(*submit, *groups, "--latency-wait", "5")
    assert SAID not in run.output
    for rule in ("train", "evaluate", "draw"):
        benchmarks = project.results(f"benchmarks/{rule}/*.jsonl").values()
        assert len(benchmarks) == 5
        assert all(b"launch.py" in benchmark for benchmark in benchmarks)
        assert not any(b"note:" in text for text in project.results(f"logs/{rule}/*").values())
    assert not commands_with("--serve", str(project.folder))
