"""The default configuration on a cluster: the same results, which can be moved both ways."""

import json
import re
import shutil

import pytest

from tests.cluster.calls import QUICKLY, Call, Recorder, profiles
from tests.workflow.conftest import REPRODUCIBLE, Project, make_project

#: All tests of this folder share one Slurm, so that they run in one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="session")
def default_workstation(tmp_path_factory, repository):
    project = make_project(tmp_path_factory.mktemp("default") / "x", repository)
    project.snakemake()
    return project


def test_the_results_are_those_of_the_workstation(default_call, default_workstation):
    default_call.ended()
    results = default_call.project.results(*REPRODUCIBLE, name="mock")
    assert results == default_workstation.results(*REPRODUCIBLE, name="mock")
    assert len(results) == 4 + 5 * 4


def test_what_the_cluster_made_is_not_made_again_on_the_workstation(default_call, tmp_path):
    default_call.ended()
    shutil.copytree(default_call.project.folder, tmp_path / "moved")
    run = Project(tmp_path / "moved").snakemake()
    assert "Nothing to be done" in run.output
    assert run.jobs == []


def test_what_the_workstation_made_is_not_made_again_on_the_cluster(
    slurm, default_workstation, tmp_path
):
    shutil.copytree(default_workstation.folder, tmp_path / "moved")
    run = Call(Project(tmp_path / "moved"), *profiles("slurm"), *QUICKLY).ended()
    assert "Nothing to be done" in run.output


def test_what_slurm_and_the_scripts_said_is_kept(default_call):
    default_call.ended()
    project = default_call.project
    for folder in ("logs/slurm/rule_train/most", "logs/slurm/rule_evaluate"):
        assert list((project / folder).glob("*.log"))
    assert (project / "results/mock/logs/train/most.log").read_text()


def test_evaluations_went_into_the_queue_as_one_array(default_call):
    output = default_call.ended().output
    assert re.search(r"Submitted array job with .* individual task IDs are 1-4\.", output)


def test_jobs_are_submitted_as_they_were_with_this_version_of_the_plugin(default_call, recorder):
    """Fails when the plugin is raised and submits otherwise: then look at what has changed."""
    default_call.ended()
    assert recorder.options("rule_generate_data") == (
        "--parsable --export=ALL -p main -t _ --mem _ --requeue --ntasks=1 --cpus-per-task=2 "
        "--signal=TERM@60"
    )
    (array,) = [
        options
        for name in ("first_half", "second_half", "most", "outer")
        if (options := recorder.options(f"rule_evaluate_wildcards_{name}"))
    ]
    assert array == (
        "--parsable --export=ALL -p main -t _ --mem _ --requeue --ntasks=1 --cpus-per-task=1 "
        "--signal=TERM@60 --array=1-4"
    )
    assert recorder.options("rule_train_wildcards_most") == (
        "--parsable --export=ALL -p main -t _ --mem _ --requeue --ntasks=1 --cpus-per-task=1 "
        "--signal=TERM@60"
    )


@pytest.fixture(scope="session")
def submitted(default_workstation, tmp_path_factory):
    """Return a function that submits a training with more profiles, to an sbatch that refuses."""

    def submit(*more):
        folder = tmp_path_factory.mktemp("submitted")
        shutil.copytree(default_workstation.folder, folder / "x")
        project = Project(folder / "x")
        recorder = Recorder(folder / "recorder", "false")
        model = "results/mock/splits/most/model.safetensors"
        (project / model).unlink()
        arguments = [*profiles("slurm", *more), *QUICKLY, "--retries", "0", model]
        Call(project, *arguments, first_in_path=recorder.folder).ended(status=1)
        return recorder.options("rule_train_wildcards_most")

    return submit


def test_gpus_are_asked_for_by_the_name_that_the_plugin_knows(slurm, submitted):
    assert submitted("slurm-gpu") == (
        "--parsable --export=ALL -p gpu -t _ --mem _ --requeue --cpus-per-task=1 "
        "--signal=TERM@60 --gpus=1"
    )


def test_several_nodes_are_asked_for_with_a_task_each(slurm, submitted):
    assert submitted("slurm-nodes") == (
        "--parsable --export=ALL -p main -t _ --mem _ --nodes=2 --requeue --ntasks=2 "
        "--cpus-per-task=1 --signal=TERM@60"
    )


def test_records_of_arrays_say_which_task(default_call):
    default_call.ended()
    path = "results/mock/splits/most/evaluation.json"
    text = default_call.project.lineage("explain", path)
    assert re.search(r"as job \d+ \(\d+_[1-4]\) of Slurm.*, attempt 1$", text, re.MULTILINE)
    assert json.loads(default_call.project.lineage("explain", path, "--json"))
