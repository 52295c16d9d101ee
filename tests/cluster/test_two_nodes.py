"""A training on two nodes loses a process, gets a signal, and still gives the same model."""

import os
import signal
from pathlib import Path

import pytest

#: All tests of this folder share one Slurm, so they run in one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("cluster")

SPLIT = "on_two_nodes"


@pytest.fixture(scope="session")
def trained_on_two_nodes(slurm, two_node_call):
    """The run after its end, its jobs, and the log of the first job when it had failed."""
    call = two_node_call
    call.wait_until(lambda: call.step_of(SPLIT) >= 60)
    os.kill(second_process(call.project.folder), signal.SIGKILL)
    call.wait_until(lambda: jobs(slurm)[0]["JobState"] == "FAILED")
    first_log = call.log_of(SPLIT)
    call.wait_until(lambda: len(jobs(slurm)) == 2 and jobs(slurm)[1]["JobState"] == "RUNNING")
    call.wait_until(lambda: "going on after step" in call.log_of(SPLIT))
    slurm.run("scancel", "--signal=TERM", jobs(slurm)[1]["JobId"])
    (call.project / f"{SPLIT}.slow").unlink()
    return call.ended(), jobs(slurm), first_log


def jobs(slurm):
    return slurm.jobs(f"rule_train_wildcards_{SPLIT}")


def second_process(folder):
    """Return the process id of rank 1, which may run on either node."""
    variables = {process: found for process, found in environments(folder) if "RANK" in found}
    assert {found["SLURMD_NODENAME"] for found in variables.values()} == {"n1", "n2"}
    assert {found["LOCAL_RANK"] for found in variables.values()} == {"0"}
    assert {found["OMP_NUM_THREADS"] for found in variables.values()} == {"1"}
    (process,) = (process for process, found in variables.items() if found["RANK"] == "1")
    return process


def environments(folder):
    """Yield the id and the environment variables of every process that runs in a folder."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(folder):
                words = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                yield int(entry.name), dict(word.split("=", 1) for word in words if "=" in word)
        except OSError:
            continue


def test_the_model_has_the_bytes_of_one_process(trained_on_two_nodes, two_node_call, workstation):
    assert "processes: 2" in two_node_call.log_of(SPLIT)
    for name in ("model.safetensors", "history.csv"):
        path = f"results/small/splits/{SPLIT}/{name}"
        assert (two_node_call.project / path).read_bytes() == (workstation / path).read_bytes()


def test_a_lost_process_ends_the_job_with_a_clear_message(trained_on_two_nodes):
    _, (first, *_), log = trained_on_two_nodes
    assert first["JobState"] == "FAILED"
    assert first["NodeList"] == "n[1-2]"
    assert "train.py: error: process 0 of 2 has lost process 1" in log
    assert "it goes on from its last checkpoint" in log


def test_the_next_jobs_go_on_from_the_saved_state(trained_on_two_nodes, two_node_call):
    run, (_, second, third), _ = trained_on_two_nodes
    assert "SIGTERM was received: stopped after step" in run.output
    assert (second["JobState"], third["JobState"]) == ("FAILED", "COMPLETED")
    assert "going on after step" in two_node_call.log_of(SPLIT)
