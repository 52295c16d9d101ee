"""Fixtures that tests of several folders share."""

import gc
import json
import os
import subprocess
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

from memtrain.config.reading import parse_configuration
from memtrain.data.indexing import index_shards
from memtrain.data.record_file import create, record_dtype
from memtrain.data.source import Source
from memtrain.planning.split_resolution import resolve_splits
from tests.programs import let_programs_start_quickly

# The time of an example depends more on what else the machine does than on the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# As trainings have it. There are more processes of tests than cores, and threads of PyTorch that
# wait for each other spin, which takes several times as long as the sums.
torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_xdist_auto_num_workers():
    """Return one process more than there are cores, since the tests on Slurm mostly wait."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_make_parametrize_id(val, argname):
    """Name a case after its argument where the value is bytes, which may hold the time.

    gzip writes the time, and processes of pytest-xdist that name a test differently run none.
    """
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Put the tests of single functions last: they are short, and keep every core busy to the end.

    pytest-xdist hands tests out in this order, but for its groups, which come first. Tests of a
    file that share what they make once are such a group: every process would make it again.
    """
    items.sort(key=lambda item: item.path.is_relative_to(REPOSITORY / "tests/unit"))
    for item in items:
        file = item.nodeid.partition("::")[0]
        if shares_fixtures(item, file) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(file))


def shares_fixtures(item, file):
    """Return whether a test uses a fixture of its file that is made once for several tests."""
    found = item._fixtureinfo.name2fixturedefs.values()
    return any(one.baseid == file and one.scope != "function" for ones in found for one in ones)


def pytest_collection_finish():
    """Collect garbage again, but never look through what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def programs(tmp_path_factory):
    """Programs that start quickly, for the tests that ask for them."""
    let_programs_start_quickly(tmp_path_factory)


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


@pytest.fixture
def validate(repository, tmp_path):
    """Return a function that runs a validator and returns its exit status and its output."""
    python = repository / ".venv-validators/bin/python"
    if not python.exists():
        pytest.fail(
            "the validators are not installed; `make .venv-validators/installed` installs them",
            pytrace=False,
        )

    def validate(script, *arguments):
        program = repository / "tests/validators" / script
        done = subprocess.run([python, program, *arguments], capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout) if done.stdout[:1] == "{" else done.stdout

    return validate


@pytest.fixture
def write_rows(tmp_path):
    """Return a function that writes features and targets as a record file."""

    def write(features, target, name="data.npy"):
        features = np.atleast_2d(features)
        target = np.asarray(target).reshape(len(features), -1)
        dtype = record_dtype(
            features=(features.dtype.str, features.shape[1]),
            target=(target.dtype.str, target.shape[1]),
        )
        rows = np.empty(len(features), dtype)
        rows["features"] = features
        rows["target"] = target
        with create(tmp_path / name, dtype, len(rows)) as writer:
            writer.write(0, rows)
        return tmp_path / name

    return write


@pytest.fixture
def resolve(write_rows):
    """Return a function that writes rows, resolves one split of them, and returns data and recipe.

    The data is the path of the record file.
    """

    def resolve(
        features,
        target,
        training=None,
        train=None,
        evaluate=None,
        classes=None,
        shard=8,
        validate=None,
    ):
        data = write_rows(features, target)
        rows = len(features)
        configuration = parse_configuration(
            {
                "dataset": {
                    "name": "test",
                    "import": {"path": "x", "features": ["x"], "target": ["y"]},
                },
                "splits": {
                    "one": {
                        "train": train or [0, rows],
                        "evaluate": evaluate or [0, rows],
                        "validate": validate,
                        "allow_overlap": True,
                    }
                },
                "training": training or {},
            }
        )
        source = Source(
            features=[f"x{number}" for number in range(features[0].size)],
            target=["y"],
            task="classification" if classes else "regression",
            classes=classes,
        )
        (recipe,) = resolve_splits(configuration, data, index_shards(data, shard), source)
        return str(data), recipe

    return resolve


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """Path of a file of records whose first feature and target are the number of the row."""
    path = tmp_path_factory.mktemp("rows") / "data.npy"
    dtype = record_dtype(features=("<f4", 20), target=("<f4", 1))
    rows = np.zeros(3000, dtype)
    rows["features"] = np.arange(3000)[:, None] + np.arange(20) / 32
    rows["target"] = np.arange(3000)[:, None]
    with create(path, dtype, 3000) as writer:
        writer.write(0, rows)
    return str(path)


@pytest.fixture
def plain(tmp_path):
    """Path of a plain file of float32 whose rows are their own number, 128 times."""
    path = tmp_path / "plain.npy"
    with create(path, np.dtype("<f4"), 3000, (128,)) as writer:
        writer.write(0, np.arange(3000, dtype="<f4")[:, None].repeat(128, axis=1))
    return str(path)
