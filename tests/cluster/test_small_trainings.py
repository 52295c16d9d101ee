"""Small splits that share one job of Slurm give the results of a workstation."""

import json
import re
import shutil
import subprocess
from collections import Counter

import pytest

from tests.cluster.conftest import PREPARING, configuration
from tests.trainings import wait_until
from tests.workflow.conftest import REPRODUCIBLE, Project, environment, make_project

#: All tests of this folder share one Slurm, so they run in one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("cluster")

SPLITS = ("slow", "second", "third", "fourth", "fifth", "sixth")


@pytest.fixture(scope="session")
def resolved(tmp_path_factory, repository):
    """A project with recipes and no models. Tests do not change it."""
    project = make_project(
        tmp_path_factory.mktemp("small") / "x",
        repository,
        configuration(SPLITS, epochs=20, checkpoint_steps=20),
    )
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
def one_job(slurm, copied):
    """One job that was put back into the queue while it ran, and what it printed."""
    project = copied()
    (project / "slow.slow").touch()
    call = OneJob(slurm, project)
    requeue_while_slow(slurm, project, lambda: call.jobs)
    return call, call.ended()


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


def test_the_results_are_those_of_the_workstation(small_workstation, one_job):
    call, _ = one_job
    results = call.project.results(*REPRODUCIBLE)
    assert results == small_workstation.results(*REPRODUCIBLE)
    assert len(results) > 5 * len(SPLITS)


def test_trainings_come_from_a_server_and_go_on_after_a_requeue(one_job):
    call, output = one_job
    for rule in ("train", "evaluate"):
        benchmarks = call.project.results(f"benchmarks/{rule}/*.jsonl").values()
        assert len(benchmarks) == len(SPLITS)
        assert all(b"launch.py" in text for text in benchmarks)
    assert "going on after step" in (call.project / "results/small/logs/train/slow.log").read_text()
    assert int(call.jobs[0]["Restarts"]) == 1
    assert "Unlocked" in output


def test_records_name_the_job(small_workstation, one_job):
    call, _ = one_job
    assert set(recorded(call.project)) == set(recorded(small_workstation))
    for split in ("slow", "sixth"):
        model = f"results/small/splits/{split}/model.safetensors"
        text = call.project.lineage("explain", model)
        assert f"as job {call.jobs[0]['JobId']} of Slurm" in text


def test_a_second_job_runs_nothing(slurm, one_job):
    call, output = one_job
    assert "Nothing to be done" not in output
    assert "Nothing to be done" in OneJob(slurm, call.project).ended()
