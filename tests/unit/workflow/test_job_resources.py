"""What jobs request, beside what trainings of the same recipes use."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memtrain.recipes.recipe_facts import read_recipe_facts
from memtrain.workflow import job_resources as requested
from tests.cgroups import UnavailableError, memory_cgroup

pytestmark = pytest.mark.slow

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((2048, 64), dtype=np.float32)
TARGET = FEATURES.sum(1)

SETTINGS = {
    "small": {"batch_size": 16},
    "wide": {"batch_size": 64, "model": {"name": "mlp", "hidden": [2048, 2048]}},
    "adam": {"batch_size": 64, "model": {"name": "mlp", "hidden": [1500] * 4}, "optimizer": "Adam"},
    "batch": {"batch_size": 2048, "model": {"name": "mlp", "hidden": [4096]}},
    "slots": {
        "batch_size": 16,
        "accumulation_steps": 128,
        "model": {"name": "mlp", "hidden": [900]},
    },
}


@pytest.fixture
def recipe_of(resolve, tmp_path):
    """Return a function that resolves settings; gives the data and the recipe's file."""

    def recipe_of(settings):
        # All memory is in use after a few steps.
        data, recipe = resolve(FEATURES, TARGET, {"epochs": 1} | settings, shard=1000)
        recipe.write(tmp_path / "split.json")
        return data, tmp_path / "split.json"

    return recipe_of


@pytest.mark.parametrize("name", SETTINGS)
def test_a_training_stays_below_the_memory_that_it_requests(recipe_of, tmp_path, repository, name):
    data, recipe = recipe_of(SETTINGS[name])
    command = [sys.executable, *training(repository, tmp_path, data, recipe)]
    subprocess.run(command, check=True, capture_output=True)
    used = json.loads((tmp_path / "performance").read_text())["peak_memory_bytes"] / 1e6
    needed = requested.memory_of_training(read_recipe_facts(recipe).workload)
    assert used <= needed <= 3 * used


def training(repository, folder, data, recipe):
    """Return the arguments of Python that train a recipe."""
    outputs = [f"--{output}={folder / output}" for output in ("model", "history", "performance")]
    inputs = [f"--data={data}", f"--split={recipe}", f"--state={folder / 'state'}"]
    return [str(repository / "scripts/train.py"), *inputs, *outputs]


@pytest.mark.parametrize("name", ["wide"])
def test_processes_of_one_machine_stay_below_what_all_request(
    recipe_of, tmp_path, repository, name
):
    data, recipe = recipe_of(SETTINGS[name])
    needed = requested.memory_of_training(read_recipe_facts(recipe).workload, processes=2)
    command = [Path(sys.executable).with_name("torchrun"), "--standalone", "--nproc-per-node=2"]
    command += training(repository, tmp_path, data, recipe)
    try:
        with memory_cgroup(needed * 10**6) as cgroup:
            done = cgroup.run(command, capture_output=True, text=True)
            assert (done.returncode, cgroup.oom_kills) == (0, 0), done.stderr
            assert needed <= 3 * cgroup.peak_bytes / 1e6
    except UnavailableError as error:
        pytest.skip(str(error))


def test_every_try_requests_more(recipe_of):
    _, recipe = recipe_of(SETTINGS["small"])
    workload = read_recipe_facts(recipe).workload
    for resource in (
        requested.memory_of_training,
        requested.minutes_of_training,
        requested.memory_of_evaluation,
        requested.minutes_of_evaluation,
        requested.memory_of_drawing,
        requested.minutes_of_drawing,
    ):
        first, second, third = (resource(workload, attempt) for attempt in (1, 2, 3))
        assert second == pytest.approx(2 * first, abs=1)
        assert third == pytest.approx(3 * first, abs=2)


@pytest.mark.parametrize(
    ("change", "resource"),
    [
        ({"epochs": 3000}, requested.minutes_of_training),
        ({"model": {"name": "mlp", "hidden": [4096, 4096]}}, requested.minutes_of_training),
        ({"model": {"name": "mlp", "hidden": [4096, 4096]}}, requested.memory_of_training),
        (
            {"model": {"name": "mlp", "hidden": [4096]}, "batch_size": 4000},
            requested.memory_of_training,
        ),
    ],
)
def test_more_work_requests_more(recipe_of, change, resource):
    _, recipe = recipe_of(SETTINGS["small"])
    before = resource(read_recipe_facts(recipe).workload)
    _, recipe = recipe_of(SETTINGS["small"] | change)
    assert resource(read_recipe_facts(recipe).workload) > 1.2 * before
