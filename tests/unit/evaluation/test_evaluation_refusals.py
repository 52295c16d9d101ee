"""What an evaluation refuses: models, rows and histories that are not those of its recipe."""

import numpy as np
import pytest
import safetensors.torch
import torch

from memtrain.core.errors import UserError
from memtrain.evaluation.evaluator import Evaluator
from memtrain.training.history import read_history
from tests.unit.evaluation.trained_splits import FEATURES, NUMBERS


def refused(split):
    with pytest.raises(UserError) as refusal:
        Evaluator(split.recipe, split.data, split.model)
    return str(refusal.value)


def test_a_model_file_that_is_missing_damaged_or_of_another_model(train):
    split = train(NUMBERS)
    whole = split.model.read_bytes()
    split.set_weights(lambda weights: weights | {"layers.0.bias": torch.zeros(3)})
    assert "layers.0.bias is (3,) and should be (64,)" in refused(split)
    split.set_weights(lambda weights: {"other": torch.zeros(3)})
    assert "other is (3,) and should be None" in refused(split)
    safetensors.torch.save_file({"x": torch.zeros(1)}, split.model)
    assert "it does not hold the digest of its weights" in refused(split)
    split.model.write_bytes(whole[:100])
    assert "this is not a safetensors file" in refused(split)
    split.model.unlink()
    assert refused(split) == f"{split.model}: there is no such file. Run train to make it."


def test_data_of_other_rows_is_refused(train, write_rows):
    split = train(NUMBERS)
    write_rows(FEATURES[:299], NUMBERS[:299])
    assert "it has 299 rows, but the recipe has rows up to 300" in refused(split)
    write_rows(FEATURES, NUMBERS.astype(np.float64))
    assert "Run resolve_splits again" in refused(split)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file. Run train to make it"),
        ("", "this is not the history of a training"),
        ("step,epoch,rows,loss\n", "it has no steps"),
        ("step,epoch,rows\n1,1,8\n", "'loss' is not in list"),
        ("step,epoch,rows,loss\n1,1,8,much\n", "this is not the history of a training"),
    ],
)
def test_a_history_that_is_missing_or_damaged(tmp_path, content, message):
    path = tmp_path / "history.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message) as refusal:
        read_history(path)
    assert str(refusal.value).startswith(str(path))
