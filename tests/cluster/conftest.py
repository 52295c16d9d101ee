"""One Slurm for all tests here, and Snakemake's calls on it, which run beside each other."""

import copy
import fcntl
import os
import shutil
import textwrap
from pathlib import Path

import pytest

from tests.cluster.slurm import CONFIGURATION_FILE, Slurm, what_is_missing
from tests.workflow.conftest import CONFIGURATION, Project, make_project

#: A transform that is slow for as long as a file is there: time to interrupt the training. What
#: else a split has to go through is told by files as well, so that its recipe does not know of it.
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
            time.sleep(0.05)
        return row


    eventful.batched = True
    """
)


def pytest_collection_modifyitems(items):
    """Keep all tests of this folder in one process of pytest-xdist: they share one Slurm."""
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.xdist_group("cluster"))


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A Slurm that runs; where none can be, its tests are skipped (or fail, if they may not)."""
    if reason := what_is_missing():
        if "MEMTRAIN_TESTS_NEED_SLURM" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    CONFIGURATION_FILE.parent.mkdir(exist_ok=True)
    # Another process of pytest's may be at it.
    lock = os.open(CONFIGURATION_FILE.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Slurm(tmp_path_factory.mktemp("slurm")) as running:
            yield running
    finally:
        os.close(lock)


#: Named for what happens to them.
SPLITS = (
    "terminated",
    "warned",
    "requeued",
    "preempted",
    "displaced",
    "node_lost",
    "out_of_time",
    "out_of_memory",
    "on_two_nodes",
)


def configuration():
    """Return settings of trainings that can be interrupted, each by what its name says."""
    content = copy.deepcopy(CONFIGURATION)
    content["splits"] = {
        name: {
            "train": [0, 1500],
            "evaluate": [19000, 20000],
            "training": {"transform": {"name": "preparing:eventful", "split": name}},
        }
        for name in SPLITS
    }
    content["training"]["epochs"] = 60
    content["running"] = {"checkpoint": {"steps": 50}}
    return content


@pytest.fixture(scope="session")
def workstation(tmp_path_factory, repository):
    """The trainings that the cluster interrupts, run through without it. Not to be changed."""
    folder = tmp_path_factory.mktemp("workstation") / "x"
    project = make_project(folder, repository, configuration())
    (project / "preparing.py").write_text(PREPARING)
    project.snakemake()
    return project


@pytest.fixture(scope="session")
def without(workstation, tmp_path_factory):
    """Return a function that moves the workstation's project, without the models of some splits."""

    def make(*splits):
        folder = tmp_path_factory.mktemp("cluster") / "x"
        shutil.copytree(workstation.folder, folder)
        for name in splits:
            for result in ("model.safetensors", "history.csv", "performance.json"):
                (folder / "results/small/splits" / name / result).unlink()
        return Project(folder)

    return make


@pytest.fixture(scope="session", autouse=True)
def started_together(request):
    """Start the calls of all tests that will run: most of their time, they wait."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in ("default_call", "mistaken_call", "two_node_call", "interrupted_call"):
        if name in wanted:
            request.getfixturevalue(name)
