"""Trainings that Slurm stops in every way it knows go on, and end with the same bytes."""

from pathlib import Path

import pytest

from tests.cluster.calls import models
from tests.cluster.conftest import INTERRUPTED

#: All tests of this folder share one Slurm, so they run in one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="session")
def interrupted(slurm, interrupted_call):
    """The run of the interrupted call after its end, and its jobs by split."""
    interference = Interference(slurm, interrupted_call)
    interference.stop_by_signal("terminated")
    interference.set_minutes("out_of_time", 1)
    interference.set_minutes("warned", 2)
    interference.requeue("requeued")
    interference.preempt("preempted", "displaced")
    interference.fail_node("node_lost", "n4")
    for split in ("warned", "out_of_memory", "out_of_time"):
        interference.await_end(split)
    return interrupted_call.ended(), {name: jobs_of(slurm, name) for name in INTERRUPTED}


def jobs_of(slurm, split):
    return slurm.jobs(f"rule_train_wildcards_{split}")


class Interference:
    """Does to a job what a scheduler, its administrator or bad luck would do."""

    def __init__(self, slurm, call):
        self._slurm = slurm
        self._call = call

    def stop_by_signal(self, split):
        job = self._running_job(split)
        self._slurm.run("scancel", "--signal=TERM", job)
        self.await_end(split)

    def set_minutes(self, split, minutes):
        """Let the time of a running training end that many minutes from now, at most."""
        job = self._running_job(split, at_step=0 if split == "out_of_time" else 60)
        hours, passed, _ = map(int, self._first_job(split)["RunTime"].split(":"))
        limit = 60 * hours + passed + minutes
        self._slurm.run("scontrol", "update", f"JobId={job}", f"TimeLimit={limit}")

    def requeue(self, split):
        self._slurm.run("scontrol", "requeue", self._running_job(split))
        self._await_requeue(split)

    def preempt(self, *splits):
        for split in splits:
            self._running_job(split)
        self._slurm.run("srun", "--partition=urgent", "--exclusive", "--nodes=1", "true")
        for split in splits:
            self._await_requeue(split)

    def fail_node(self, split, node):
        self._running_job(split)
        self._slurm.kill_node(node)
        self._await_requeue(split)
        self._slurm.start_node(node)

    def await_end(self, split):
        """Wait until the first job of a split has ended, and let the next one run to its end."""
        self._call.wait_until(lambda: self._first_job(split)["JobState"] not in _ALIVE)
        self._let_finish(split)

    def _await_requeue(self, split):
        self._call.wait_until(lambda: int(self._first_job(split)["Restarts"]) > 0)
        self._let_finish(split)

    def _let_finish(self, split):
        for path in Path(self._call.project.folder).glob(f"{split}.s*"):
            path.unlink()

    def _running_job(self, split, at_step=60):
        """Wait until a training has reached a step, and return the id of its job."""
        self._call.wait_until(lambda: jobs_of(self._slurm, split))
        self._call.wait_until(lambda: self._first_job(split)["JobState"] == "RUNNING")
        self._call.wait_until(lambda: self._call.step_of(split) >= at_step)
        return self._first_job(split)["JobId"]

    def _first_job(self, split):
        return jobs_of(self._slurm, split)[0]


_ALIVE = ("PENDING", "RUNNING", "COMPLETING")


@pytest.mark.parametrize("split", INTERRUPTED)
def test_the_model_has_the_bytes_of_the_workstation(
    interrupted, interrupted_call, workstation, split
):
    for name in ("model.safetensors", "history.csv"):
        path = f"results/small/splits/{split}/{name}"
        assert (interrupted_call.project / path).read_bytes() == (workstation / path).read_bytes()


@pytest.mark.parametrize("split", ["terminated", "warned"])
def test_a_training_that_gets_a_signal_saves_its_state_and_is_submitted_again(interrupted, split):
    run, jobs = interrupted
    first, second = jobs[split]
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    assert "SIGTERM was received: stopped after step" in run.output


@pytest.mark.parametrize("split", ["requeued", "preempted", "displaced", "node_lost"])
def test_a_requeued_training_goes_on_as_the_same_job(interrupted, interrupted_call, split):
    _, jobs = interrupted
    (job,) = jobs[split]
    assert job["JobState"] == "COMPLETED"
    assert int(job["Restarts"]) >= 1
    assert "going on after step" in interrupted_call.log_of(split)


def test_the_workflow_does_not_hang_after_a_job_is_preempted_by_cancelling(interrupted):
    run, jobs = interrupted
    assert (
        f"Slurm's job {jobs['preempted'][0]['JobId']} was preempted and is put back" in run.output
    )


def test_jobs_out_of_time_or_memory_are_submitted_again_with_more(interrupted):
    _, jobs = interrupted
    assert jobs["out_of_time"][0]["JobState"] == "TIMEOUT"
    log = Path(jobs["out_of_memory"][0]["StdOut"]).read_text()
    assert "exceeded memory limit" in log
    for split in ("out_of_time", "out_of_memory"):
        first, second = jobs[split]
        assert second["JobState"] == "COMPLETED"
        assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("1200M", "2400M")
        assert second["TimeLimit"] == "00:20:00"


def test_the_record_of_a_training_names_job_node_and_attempt(interrupted, interrupted_call):
    _, jobs = interrupted
    explained = {
        split: interrupted_call.project.lineage("explain", *models(split)) for split in INTERRUPTED
    }
    job = jobs["terminated"][1]
    where = f"on {job['NodeList']}, attempt 2"
    assert f"as job {job['JobId']} of Slurm {where}" in explained["terminated"]
    job = jobs["node_lost"][0]
    assert f"as job {job['JobId']} of Slurm on n4, attempt 1" in explained["node_lost"]
