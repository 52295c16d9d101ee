"""The default configuration gives the same results on a cluster, and they can move both ways."""

import json
import re
import shutil

import pytest

from tests.cluster.calls import QUICKLY, Call, Recorder, profiles
from tests.workflow.conftest import REPRODUCIBLE, Project, make_project

#: All tests of this folder share one Slurm, so they run in one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("cluster")


#: Options of a job of one task and one processor; the recorder leaves out minutes and MB.
ONE_TASK = (
    "--parsable --export=ALL -p main -t _ --mem _ --requeue --ntasks=1 --cpus-per-task=1 "
    "--signal=TERM@60"
)

#: Splits of config.yaml.
DEFAULT_SPLITS = ("first_half", "second_half", "most", "outer")


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


def test_the_workstation_makes_nothing_again_that_the_cluster_made(default_call, tmp_path):
    default_call.ended()
    shutil.copytree(default_call.project.folder, tmp_path / "moved")
    run = Project(tmp_path / "moved").snakemake()
    assert "Nothing to be done" in run.output
    assert run.jobs == []


def test_the_cluster_makes_nothing_again_that_the_workstation_made(
    slurm, default_workstation, tmp_path
):
    shutil.copytree(default_workstation.folder, tmp_path / "moved")
    run = Call(Project(tmp_path / "moved"), *profiles("slurm"), *QUICKLY).ended()
    assert "Nothing to be done" in run.output


def test_logs_of_slurm_and_of_the_scripts_are_kept(default_call):
    default_call.ended()
    project = default_call.project
    for folder in ("logs/slurm/rule_train/most", "logs/slurm/rule_evaluate"):
        assert list((project / folder).glob("*.log"))
    assert (project / "results/mock/logs/train/most.log").read_text()


def test_evaluations_are_submitted_as_one_array(default_call, recorder):
    default_call.ended()
    (options,) = options_of_rule(recorder, "evaluate")
    assert options == f"{ONE_TASK} --array=1-4"


def test_figures_that_are_ready_at_the_same_time_are_submitted_as_an_array(default_call, recorder):
    """An array has one job for each evaluation that Snakemake has seen to end, so not always 4."""
    default_call.ended()
    submitted = options_of_rule(recorder, "draw")
    assert len(submitted) < len(DEFAULT_SPLITS)
    assert {re.sub(r" --array=1-[234]$", "", options) for options in submitted} == {ONE_TASK}
    assert submitted != [ONE_TASK] * len(submitted)


def options_of_rule(recorder, rule):
    """Return the options with which the jobs of a rule were first submitted, an array counted once.

    The comment of an array names only the first of its splits.
    """
    options = (recorder.options(f"rule_{rule}_wildcards_{split}") for split in DEFAULT_SPLITS)
    return [found for found in options if found is not None]


def test_no_job_exceeds_the_memory_that_it_requests(default_call):
    """A job that requests too little memory is killed, and submitted again with more."""
    default_call.ended()
    for path in (default_call.project / "logs/slurm").rglob("*.log"):
        assert "exceeded memory limit" not in path.read_text(), path


def test_jobs_are_submitted_with_the_options_that_this_version_of_the_plugin_gives(
    default_call, recorder
):
    """If a newer plugin fails this test, read what has changed before changing the options here."""
    default_call.ended()
    assert recorder.options("rule_generate_data") == (
        "--parsable --export=ALL -p main -t _ --mem _ --requeue --ntasks=1 --cpus-per-task=2 "
        "--signal=TERM@60"
    )
    assert recorder.options("rule_train_wildcards_most") == ONE_TASK


@pytest.fixture(scope="session")
def submitted(default_workstation, tmp_path_factory):
    """Return a function that submits a training with further profiles, and returns its options.

    An sbatch that fails takes the place of the real one.
    """

    def submit(*further_profiles):
        folder = tmp_path_factory.mktemp("submitted")
        shutil.copytree(default_workstation.folder, folder / "x")
        project = Project(folder / "x")
        recorder = Recorder(folder / "recorder", "false")
        model = "results/mock/splits/most/model.safetensors"
        (project / model).unlink()
        arguments = [*profiles("slurm", *further_profiles), *QUICKLY, "--retries", "0", model]
        Call(project, *arguments, first_in_path=recorder.folder).ended(status=1)
        return recorder.options("rule_train_wildcards_most")

    return submit


def test_gpus_are_requested_by_the_name_that_the_plugin_knows(slurm, submitted):
    assert submitted("slurm-gpu") == (
        "--parsable --export=ALL -p gpu -t _ --mem _ --requeue --cpus-per-task=1 "
        "--signal=TERM@60 --gpus=1"
    )


def test_several_nodes_are_requested_with_one_task_each(slurm, submitted):
    assert submitted("slurm-nodes") == (
        "--parsable --export=ALL -p main -t _ --mem _ --nodes=2 --requeue --ntasks=2 "
        "--cpus-per-task=1 --signal=TERM@60"
    )


def test_the_record_of_a_job_in_an_array_names_its_task(default_call):
    default_call.ended()
    path = "results/mock/splits/most/evaluation.json"
    text = default_call.project.lineage("explain", path)
    assert re.search(r"as job \d+ \(\d+_[1-4]\) of Slurm.*, attempt 1$", text, re.MULTILINE)
    assert json.loads(default_call.project.lineage("explain", path, "--json"))
