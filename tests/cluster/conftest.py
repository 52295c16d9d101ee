"""The Slurm of all tests in this folder, and calls of Snakemake that run on it side by side."""

import copy
import fcntl
import os
import shutil
import textwrap

import pytest
import yaml

from tests.cluster.calls import QUICKLY, Call, Recorder, models, profiles
from tests.cluster.slurm import CONFIGURATION_FILE, Slurm, program, reason_unavailable
from tests.workflow.conftest import CONFIGURATION, Project, make_project

#: A transform that is slow as long as a file exists, which gives time to interrupt the training.
#: Other files make a training large or stuck. They are no settings, so the recipe stays the same.
PREPARING = textwrap.dedent(
    """
    import time
    from pathlib import Path

    import numpy as np

    held = None


    def eventful(row, split):
        global held
        if Path(f"{split}.large").exists() and held is None:
            held = np.ones(1_600_000_000 // 8)
        while Path(f"{split}.stuck").exists():
            time.sleep(0.1)
        if Path(f"{split}.slow").exists():
            time.sleep(0.16)
        return row


    eventful.batched = True
    """
)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A running Slurm.

    If none can be started, tests are skipped, or fail if MEMTRAIN_TESTS_NEED_SLURM is set.
    """
    if reason := reason_unavailable():
        if "MEMTRAIN_TESTS_NEED_SLURM" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    CONFIGURATION_FILE.parent.mkdir(exist_ok=True)
    # Another process of pytest may be using the same configuration file.
    lock = os.open(CONFIGURATION_FILE.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Slurm(tmp_path_factory.mktemp("slurm")) as running:
            yield running
    finally:
        os.close(lock)


#: Splits that are named after what happens to their trainings.
INTERRUPTED = (
    "terminated",
    "warned",
    "requeued",
    "preempted",
    "displaced",
    "node_lost",
    "out_of_time",
    "out_of_memory",
)

#: The profile of a site: the partition of each training, and the resources of its first try.
SITE = {
    "set-resources": {
        "train": {
            "slurm_partition": "{'preempted': 'cancelled', 'displaced': 'requeued', "
            "'node_lost': 'doomed'}.get(wildcards.split, 'main')",
            "mem_mb": "1200 * attempt",
            "runtime": "10 * attempt",
        }
    }
}


def configuration(splits=(*INTERRUPTED, "on_two_nodes"), *, epochs=60, checkpoint_steps=50):
    """Return a configuration of small splits whose trainings can be interrupted."""
    content = copy.deepcopy(CONFIGURATION)
    content["splits"] = {
        name: {
            "train": [0, 1500],
            "evaluate": [19000, 20000],
            "training": {"transform": {"name": "preparing:eventful", "split": name}},
        }
        for name in splits
    }
    # The steps are those of four micro-batches of half as many rows, and take half as much work.
    content["training"] |= {"batch_size": 64, "accumulation_steps": 2, "epochs": epochs}
    content["running"] = {"checkpoint": {"steps": checkpoint_steps}}
    return content


@pytest.fixture(scope="session")
def workstation(tmp_path_factory, repository):
    """A project whose trainings ran without interruption. Tests do not change it."""
    folder = tmp_path_factory.mktemp("workstation") / "x"
    project = make_project(folder, repository, configuration())
    (project / "preparing.py").write_text(PREPARING)
    project.snakemake(*models(*INTERRUPTED, "on_two_nodes"))
    return project


@pytest.fixture(scope="session")
def project_without_models(workstation, tmp_path_factory):
    """Return a function that copies the workstation's project without the models of some splits."""

    def make(*splits):
        folder = tmp_path_factory.mktemp("cluster") / "x"
        shutil.copytree(workstation.folder, folder)
        for name in splits:
            for result in ("model.safetensors", "history.csv", "performance.json"):
                (folder / "results/small/splits" / name / result).unlink()
        return Project(folder)

    return make


@pytest.fixture(scope="session")
def recorder(tmp_path_factory):
    return Recorder(tmp_path_factory.mktemp("recorder") / "x", program("sbatch"))


@pytest.fixture(scope="session")
def default_call(slurm, recorder, tmp_path_factory, repository):
    project = make_project(tmp_path_factory.mktemp("default") / "x", repository)
    call = Call(project, *profiles("slurm"), *QUICKLY, first_in_path=recorder.folder)
    yield call
    call.stop()


@pytest.fixture(scope="session")
def interrupted_call(slurm, project_without_models):
    """A call whose trainings are slow, stuck or large because of files in the project."""
    project = project_without_models(*INTERRUPTED)
    (project / "profiles/site").mkdir()
    (project / "profiles/site/profile.yaml").write_text(yaml.safe_dump(SITE))
    for name in INTERRUPTED:
        (project / f"{name}.slow").touch()
    (project / "out_of_time.stuck").touch()
    (project / "out_of_memory.large").touch()
    call = Call(project, *profiles("slurm", "site"), *QUICKLY, *models(*INTERRUPTED))
    yield call
    call.stop()


@pytest.fixture(scope="session")
def two_node_call(slurm, project_without_models):
    project = project_without_models("on_two_nodes")
    (project / "on_two_nodes.slow").touch()
    call = Call(project, *profiles("slurm", "slurm-nodes"), *QUICKLY, *models("on_two_nodes"))
    yield call
    call.stop()


@pytest.fixture(scope="session")
def mistaken_call(slurm, tmp_path_factory, repository):
    """A call with a learning rate at which the loss is not finite, and with two retries."""
    configuration = copy.deepcopy(CONFIGURATION)
    configuration["splits"] = {"first": configuration["splits"]["first"]}
    configuration["training"]["optimizer"] = {"name": "SGD", "lr": 1e30}
    project = make_project(tmp_path_factory.mktemp("mistaken") / "x", repository, configuration)
    project.snakemake("--until", "resolve_splits")
    call = Call(project, *profiles("slurm"), *QUICKLY, "--retries", "2")
    yield call
    call.stop()


@pytest.fixture(scope="session", autouse=True)
def started_together(request):
    """Start the calls of all selected tests at the beginning, since they mostly wait."""
    fixtures = {
        name for item in request.session.items for name in getattr(item, "fixturenames", ())
    }
    for name in ("default_call", "mistaken_call", "interrupted_call"):
        if name in fixtures:
            request.getfixturevalue(name)
