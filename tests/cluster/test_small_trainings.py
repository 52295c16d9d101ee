"""Small splits that share one job of Slurm, or a few, give the results of a workstation."""

import copy
import json
import math
import re
import shutil
import subprocess
from collections import Counter

import pytest
import yaml

from tests.cluster.calls import Call, profiles
from tests.cluster.conftest import PREPARING
from tests.trainings import wait_until
from tests.workflow.conftest import CONFIGURATION, REPRODUCIBLE, Project, environment, make_project

#: All tests of this folder share one Slurm, so they run in one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("cluster")

SPLITS = ("slow", "second", "third", "fourth", "fifth", "sixth")

#: The comment of jobs that splits share, which is the name that Snakemake gives their group.
SHARED = "split_draw_evaluate_train"

GROUPS = (
    *(*profiles("slurm-groups"), "--group-components", "split=3"),
    *("--cores", "2", "--latency-wait", "10"),
)


def configuration():
    """Return a configuration of six splits; a file lets the first be interrupted."""
    content = copy.deepcopy(CONFIGURATION)
    content["splits"] = {
        name: {
            "train": [0, 1500],
            "evaluate": [19000, 20000],
            "training": {"transform": {"name": "preparing:eventful", "split": name}},
        }
        for name in SPLITS
    }
    content["training"]["epochs"] = 20
    content["running"] = {"checkpoint": {"steps": 20}}
    return content


@pytest.fixture(scope="session")
def resolved(tmp_path_factory, repository):
    """A project with recipes and no models. Tests do not change it."""
    project = make_project(tmp_path_factory.mktemp("small") / "x", repository, configuration())
    (project / "preparing.py").write_text(PREPARING)
    project.snakemake("--until", "resolve_splits")
    return project


@pytest.fixture(scope="session")
def copied(resolved, tmp_path_factory):
    """Return a function that copies the project with recipes."""

    def make():
        return Project(shutil.copytree(resolved.folder, tmp_path_factory.mktemp("small") / "x"))

    return make


@pytest.fixture(scope="session")
def small_workstation(copied):
    project = copied()
    project.snakemake()
    return project


class OneJob:
    """The whole workflow of a project as one job of Slurm."""

    def __init__(self, slurm, project):
        self.project = project
        self._slurm = slurm
        self._comment = f"one_job_{project.folder.parent.name}"
        options = ["--cpus-per-task=2", "--mem=8G", "--time=60", "--output=log"]
        subprocess.run(
            ["sbatch", f"--comment={self._comment}", *options, "profiles/slurm/one_job.sh"],
            cwd=project.folder,
            env=environment(warm=False),
            check=True,
        )

    @property
    def jobs(self):
        return self._slurm.jobs(self._comment)

    def ended(self):
        """Wait until the job has ended well, and return what it printed."""
        ended = ("COMPLETED", "FAILED")
        wait_until(lambda: self.jobs[-1]["JobState"] in ended, 300, pause=0.5)
        output = (self.project / "log").read_text()
        assert self.jobs[-1]["JobState"] == "COMPLETED", output
        return output


@pytest.fixture(scope="session")
def started(slurm, copied):
    """All calls by their names, which run side by side; the jobs of two were requeued."""
    projects = {way: copied() for way in ("one_job", "grouped", "mistaken")}
    for way in ("one_job", "grouped"):
        (projects[way] / "slow.slow").touch()
    mistake = {"training": {"optimizer": {"name": "SGD", "lr": 1e30}}}
    projects["mistaken"].configure(lambda content: content["splits"]["third"].update(mistake))
    calls = {
        "one_job": OneJob(slurm, projects["one_job"]),
        "grouped": Call(projects["grouped"], *GROUPS),
        "mistaken": Call(projects["mistaken"], *GROUPS, "--group-components", "split=6"),
    }
    requeue_while_slow(slurm, projects["one_job"], lambda: calls["one_job"].jobs)
    grouped = projects["grouped"]
    requeue_while_slow(slurm, grouped, lambda: jobs_of(slurm, grouped))
    yield calls
    calls["grouped"].stop()
    calls["mistaken"].stop()


@pytest.fixture(scope="session")
def one_job(started):
    """The call that is one job, and what it printed."""
    return started["one_job"], started["one_job"].ended()


@pytest.fixture(scope="session")
def grouped(started):
    """The call whose splits share jobs, and its run."""
    return started["grouped"], started["grouped"].ended()


def jobs_of(slurm, project):
    """Return the jobs that splits of a project share."""
    return [job for job in slurm.jobs(SHARED) if job["WorkDir"] == str(project.folder)]


def requeue_while_slow(slurm, project, jobs):
    """Put running jobs back into the queue during the slow training, and let it be fast then."""
    wait_until(lambda: step_of_slow(project) >= 30, 200, pause=0.3)
    running = [job["JobId"] for job in jobs() if job["JobState"] == "RUNNING"]
    slurm.run("scontrol", "requeue", ",".join(running))
    wait_until(lambda: any(int(job["Restarts"]) > 0 for job in jobs()), 100, pause=0.3)
    (project / "slow.slow").unlink()


def step_of_slow(project):
    """Return the last step that the slow training has reported; 0 before its first report."""
    path = project / "results/small/state/slow/progress.json"
    return json.loads(path.read_text())["step"] if path.exists() else 0


def recorded(project):
    """Return how often something was recorded of each job that has a split."""
    texts = project.results("lineage/events/*/*.jsonl").values()
    names = re.findall(r'"name": ?"((?:train|evaluate|draw)/\w+)"', b"".join(texts).decode())
    return Counter(names)


@pytest.mark.parametrize("way", ["one_job", "grouped"])
def test_the_results_are_those_of_the_workstation(small_workstation, request, way):
    call, _ = request.getfixturevalue(way)
    results = call.project.results(*REPRODUCIBLE)
    assert results == small_workstation.results(*REPRODUCIBLE)
    assert len(results) > 5 * len(SPLITS)


@pytest.mark.parametrize("way", ["one_job", "grouped"])
def test_trainings_come_from_a_server_and_go_on_after_a_requeue(request, way):
    call, _ = request.getfixturevalue(way)
    for rule in ("train", "evaluate"):
        benchmarks = call.project.results(f"benchmarks/{rule}/*.jsonl").values()
        assert len(benchmarks) == len(SPLITS)
        assert all(b"launch.py" in text for text in benchmarks)
    assert "going on after step" in (call.project / "results/small/logs/train/slow.log").read_text()


@pytest.mark.parametrize("way", ["one_job", "grouped"])
def test_records_name_the_job(small_workstation, slurm, request, way):
    call, _ = request.getfixturevalue(way)
    jobs = call.jobs if way == "one_job" else jobs_of(slurm, call.project)
    assert set(recorded(call.project)) == set(recorded(small_workstation))
    for split in ("slow", "sixth"):
        model = f"results/small/splits/{split}/model.safetensors"
        text = call.project.lineage("explain", model)
        assert any(f"as job {job['JobId']} of Slurm" in text for job in jobs)


def test_one_job_goes_on_as_the_same_job(one_job):
    call, output = one_job
    job = call.jobs[0]
    assert int(job["Restarts"]) == 1
    assert "Unlocked" in output


def test_splits_share_as_few_jobs_as_the_profile_says(grouped, slurm):
    assert len(jobs_of(slurm, grouped[0].project)) == len(SPLITS) / 3


def test_a_thousand_splits_are_twenty_jobs_at_most(repository):
    profile = yaml.safe_load((repository / "profiles/slurm-groups/profile.yaml").read_text())
    splits_per_job = int(profile["group-components"].removeprefix("split="))
    others = ("generate_data", "index_shards", "resolve_splits", "summarize")
    assert math.ceil(1000 / splits_per_job) + len(others) <= 20


def test_a_second_call_runs_nothing(one_job, grouped, slurm):
    assert "Nothing to be done" not in one_job[1]
    assert "Nothing to be done" in OneJob(slurm, one_job[0].project).ended()
    project = grouped[0].project
    assert "Nothing to be done" in Call(project, *GROUPS).ended().output
    assert project.snakemake().jobs == []


def test_a_split_that_fails_costs_no_other_split_of_its_job(started):
    call = started["mistaken"]
    output = call.ended(status=1).output
    assert "train/third cannot be made:\n  - the loss is" in output
    assert output.count("Error in rule") == 1
    assert len(call.project.results("splits/*/evaluation.json")) == len(SPLITS) - 1
    call.project.configure(lambda content: content["splits"]["third"].pop("training"))
    assert call.project.snakemake().jobs == [
        "draw third",
        "evaluate third",
        "resolve_splits",
        "summarize",
        "train third",
    ]
