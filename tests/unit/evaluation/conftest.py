"""Trains the small models of these tests."""

import pytest

from memtrain.training.trainer import Trainer
from tests.trainings import code_of_training
from tests.unit.evaluation.trained_splits import FEATURES, RANGES, Split


@pytest.fixture
def train(resolve, tmp_path):
    """Return a function that trains a small model on a few rows, and returns the split."""

    def train(target, training=None, task=None, evaluation=None, **how):
        data, recipe = resolve(FEATURES, target, training, evaluate=RANGES, **how)
        parts = {"training": recipe.training, "evaluation": recipe.evaluation}
        if task:
            changed = parts["training"].task.model_copy(update=task)
            parts["training"] = parts["training"].model_copy(update={"task": changed})
        parts["evaluation"] = parts["evaluation"].model_copy(update=evaluation or {})
        recipe = recipe.model_copy(update=parts)
        split = Split(tmp_path, data, recipe)
        trained = Trainer(recipe, data).run()
        trained.write(
            split.model,
            split.history,
            tmp_path / "performance.json",
            code=code_of_training(recipe),
        )
        return split

    return train
