"""Models of features without columns of their own predict arrays as their evaluation does."""

import sys

import numpy as np
import pyarrow as pa
import pytest

import memtrain
from memtrain.core.errors import UserError
from memtrain.evaluation.evaluator import Evaluator
from memtrain.training.trainer import Trainer
from tests.trainings import code_of_training

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((300, 4), dtype=np.float32)
NUMBERS = (FEATURES @ [1, -2, 3, 0.5] + 3).astype(np.float32)


@pytest.fixture
def train(resolve, tmp_path):
    """Return a function that trains a small model; it returns the model and the predictions."""

    def train(features, target, training=None, **how):
        settings = {"model": "linear", "epochs": 1, "device": "cpu"} | (training or {})
        data, recipe = resolve(features, target, settings, **how)
        recipe.write(tmp_path / "split.json")
        model = tmp_path / "model.safetensors"
        Trainer(recipe, data).run().write(
            model,
            tmp_path / "history.csv",
            tmp_path / "performance.json",
            code=code_of_training(recipe),
        )
        Evaluator(recipe, data, model).run(tmp_path / "predictions.npy", steps=1)
        return memtrain.load_model(tmp_path), np.load(tmp_path / "predictions.npy")

    return train


def assert_same(predicted, evaluated):
    assert predicted.values.dtype == evaluated["prediction"].dtype
    assert predicted.values.tobytes() == evaluated["prediction"].tobytes()


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "|u1", ">i4"])
def test_arrays_of_every_type_of_features(train, dtype):
    features = (FEATURES * 200).astype(dtype)
    model, evaluated = train(features, NUMBERS, {"transform": "standardize"})
    assert_same(model.predict(features), evaluated)
    assert_same(model.predict({f"x{at}": features[:, at] for at in range(4)}), evaluated)


def test_other_types_are_taken_where_no_integer_is_rounded(train):
    features = np.round(FEATURES * 2**20)
    model, evaluated = train(features, NUMBERS, {"transform": "standardize"})
    assert_same(model.predict(features.astype(np.int64)), evaluated)
    assert_same(model.predict(pa.table(list(features.T), [f"x{at}" for at in range(4)])), evaluated)
    features = features.astype(np.int64)
    features[17, 2] = 2**24 + 1
    with pytest.raises(UserError, match="row 17, feature x2: the integer 16777217 would become"):
        model.predict(features)


def test_a_target_of_doubles_gives_doubles(train):
    model, evaluated = train(FEATURES, NUMBERS.astype(np.float64), {"target": "standardize"})
    assert_same(model.predict(FEATURES), evaluated)
    assert evaluated["prediction"].dtype == np.float64


@pytest.mark.slow
def test_rows_of_several_batches(train):
    features = GENERATOR.random((1200, 8192), dtype=np.float32)
    model, evaluated = train(features, features[:, 0], {"batch_size": 64})
    assert_same(model.predict(features), evaluated)


def test_labels_give_the_probability_of_yes(train):
    labels = (NUMBERS > 4).astype(np.float32)
    model, evaluated = train(FEATURES, labels, {"loss": "BCEWithLogitsLoss"})
    predicted = model.predict(FEATURES)
    assert predicted.task == "binary"
    assert_same(predicted, evaluated)
    assert predicted.to_arrow().column_names == ["y"]


def test_classes_that_are_numbers(train):
    classes = np.digitize(NUMBERS, [3.5, 4.5])
    model, evaluated = train(FEATURES, classes, {"loss": "CrossEntropyLoss"}, classes=3)
    predicted = model.predict(FEATURES)
    assert_same(predicted, evaluated)
    assert (predicted.classes == evaluated["prediction"].argmax(1)).all()
    assert predicted.to_arrow().column_names == ["y", "y=0", "y=1", "y=2"]


def test_of_very_many_classes_the_most_probable_ones(train):
    classes = np.arange(300) * 4
    model, evaluated = train(FEATURES, classes, {"loss": "CrossEntropyLoss"}, classes=1200)
    predicted = model.predict(FEATURES)
    assert_same(predicted, evaluated)
    assert (predicted.class_numbers == evaluated["class"]).all()
    assert (predicted.classes == evaluated["class"][:, 0]).all()
    assert predicted.to_arrow().column_names == ["y", "y: probability"]


def test_arrays_that_do_not_fit_are_refused(train):
    model, _ = train(FEATURES, NUMBERS)
    for rows, reason in [
        (FEATURES[0], r"shape \(4,\); the features of this model are \(rows, 4\)"),
        (FEATURES[:, :3], r"shape \(300, 3\)"),
        (FEATURES[:0], "none to predict"),
        (None, "Give a pandas DataFrame"),
        ({"x0": [1]}, "no column 'x1'"),
        ({f"x{at}": ["a", "b"] for at in range(4)}, "column 'x0'"),
    ]:
        with pytest.raises(UserError, match=reason):
            model.predict(rows)


OWN_PARTS = """
import torch


def halve(row):
    return {"features": row["features"] - 0.5, "target": row["target"] / 2}


class Elements(torch.nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_features, in_features * out_features)

    def forward(self, x):
        return self.layer(x).reshape(*x.shape, -1)
"""


@pytest.fixture
def parts_to_predict_with(tmp_path, monkeypatch):
    """Make a module with a transform and a model of a user's own."""
    (tmp_path / "parts_to_predict_with.py").write_text(OWN_PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("parts_to_predict_with", None)


@pytest.mark.usefixtures("parts_to_predict_with")
def test_a_class_for_every_element(train):
    tokens = GENERATOR.integers(5, size=(300, 4))
    settings = {"loss": "CrossEntropyLoss", "model": "parts_to_predict_with:Elements"}
    model, evaluated = train(FEATURES, tokens, settings, classes=5)
    predicted = model.predict(FEATURES)
    assert predicted.values.shape == (300, 4)
    assert evaluated["accuracy"].tolist() == (predicted.classes == tokens).mean(1).tolist()


@pytest.mark.usefixtures("parts_to_predict_with")
def test_a_transform_of_ones_own_that_changes_the_target(train):
    labels = (NUMBERS > 4).astype(np.float32)
    settings = {"loss": "BCEWithLogitsLoss", "transform": "parts_to_predict_with:halve"}
    model, evaluated = train(FEATURES, labels, settings)
    predicted = model.predict(FEATURES)
    assert_same(predicted, evaluated)
    assert predicted.task == "regression"
