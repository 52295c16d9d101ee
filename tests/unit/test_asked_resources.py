"""What jobs ask for, beside what trainings of the same recipes use."""

import json
import subprocess
import sys

import numpy as np
import pytest

from memtrain import asked_resources as asked
from memtrain.recipe import recipe_facts

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((4000, 64), dtype=np.float32)
TARGET = FEATURES.sum(1)

SETTINGS = {
    "small": {"batch_size": 16},
    "wide": {"batch_size": 64, "model": {"name": "mlp", "hidden": [2048, 2048]}},
    "adam": {"batch_size": 64, "model": {"name": "mlp", "hidden": [1500] * 4}, "optimizer": "Adam"},
    "batch": {"batch_size": 4000, "model": {"name": "mlp", "hidden": [4096]}},
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
        data, recipe = resolve(FEATURES, TARGET, settings, shard=1000)
        recipe.write(tmp_path / "split.json")
        return data, tmp_path / "split.json"

    return recipe_of


@pytest.mark.parametrize("name", SETTINGS)
def test_a_training_stays_below_the_memory_that_is_asked_for(recipe_of, tmp_path, repository, name):
    data, recipe = recipe_of(SETTINGS[name])
    command = [sys.executable, str(repository / "scripts/train.py"), "--data", data]
    command += ["--split", str(recipe), "--state", str(tmp_path / "state")]
    for output in ("model", "history", "performance"):
        command += [f"--{output}", str(tmp_path / output)]
    subprocess.run(command, check=True, capture_output=True)
    used = json.loads((tmp_path / "performance").read_text())["peak_memory_bytes"] / 1e6
    needed = asked.memory_of_training(recipe_facts(recipe))
    assert used <= needed <= 3 * used


def test_every_try_asks_for_more(recipe_of):
    _, recipe = recipe_of(SETTINGS["small"])
    facts = recipe_facts(recipe)
    for resource in (
        asked.memory_of_training,
        asked.minutes_of_training,
        asked.memory_of_evaluation,
        asked.minutes_of_evaluation,
    ):
        first, second, third = (resource(facts, attempt) for attempt in (1, 2, 3))
        assert second == pytest.approx(2 * first, abs=1)
        assert third == pytest.approx(3 * first, abs=2)


@pytest.mark.parametrize(
    ("change", "resource"),
    [
        ({"epochs": 3000}, asked.minutes_of_training),
        ({"model": {"name": "mlp", "hidden": [4096, 4096]}}, asked.minutes_of_training),
        ({"model": {"name": "mlp", "hidden": [4096, 4096]}}, asked.memory_of_training),
        (
            {"model": {"name": "mlp", "hidden": [4096]}, "batch_size": 4000},
            asked.memory_of_training,
        ),
    ],
)
def test_more_work_asks_for_more(recipe_of, change, resource):
    _, recipe = recipe_of(SETTINGS["small"])
    before = resource(recipe_facts(recipe))
    _, recipe = recipe_of(SETTINGS["small"] | change)
    assert resource(recipe_facts(recipe)) > 1.2 * before
