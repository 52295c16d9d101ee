"""Evaluations, from rows and weights to predictions and metrics."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import evaluate
from memtrain.config.evaluation import EvaluationSettings
from memtrain.core.errors import UserError
from memtrain.evaluation import training_classes
from memtrain.evaluation.result import Evaluation
from memtrain.training.history import read_history
from tests.unit.evaluation.trained_splits import (
    CLASSES,
    FEATURES,
    NUMBERS,
    RANGES,
)


def without_resamples():
    return {"settings": EvaluationSettings(bootstrap=0)}


def rows_of(ranges):
    return np.concatenate([np.arange(*piece) for piece in ranges])


@pytest.mark.parametrize("shift", [0, 1e8])
def test_numbers_of_float64_are_evaluated_in_their_own_unit_and_precision(train, shift):
    target = NUMBERS.astype(np.float64) + shift
    split = train(target, {"target": "standardize"}, evaluation=without_resamples())
    evaluation, predictions = split.evaluate()
    rows = rows_of(RANGES)
    assert np.array_equal(predictions["target"][:, 0], target[rows])
    said = predictions["prediction"][:, 0]
    mean = target.mean()  # All rows are training rows.
    expected = {
        "rmse": np.sqrt(np.mean((said - target[rows]) ** 2)),
        "mae": np.mean(np.abs(said - target[rows])),
    }
    assert {name: evaluation.metrics[name] for name in expected} == pytest.approx(expected)
    baseline = np.sqrt(np.mean((mean - target[rows]) ** 2))
    assert evaluation.baseline["rmse"] == pytest.approx(baseline, rel=1e-6)
    assert evaluation.metrics["rmse"] < 3 * baseline
    # The loss is that of the training, on the standardized target.
    assert evaluation.loss == pytest.approx(expected["rmse"] ** 2 / target.var(), rel=1e-4)


def test_metrics_of_a_regression_follow_from_its_predictions(train, tmp_path, capsys):
    split = train(NUMBERS, evaluation={"lowest_loss": 0.0075})
    assert evaluate.main(split.arguments(tmp_path)) == 0
    assert "100 rows evaluated; R² " in capsys.readouterr().out
    content = json.loads((tmp_path / "evaluation.json").read_text())
    predictions = np.load(tmp_path / "predictions.npy")
    rows = rows_of(RANGES)
    assert predictions["row"].tolist() == rows.tolist()
    assert predictions["target"][:, 0].tolist() == NUMBERS[rows].tolist()

    said = predictions["prediction"].astype(np.float64)[:, 0]
    true = NUMBERS[rows].astype(np.float64)
    mse = ((said - true) ** 2).mean()
    assert content["metrics"] == pytest.approx(
        {
            "mse": mse,
            "rmse": mse**0.5,
            "mae": np.abs(said - true).mean(),
            "r2": 1 - mse / true.var(),
        }
    )
    mean = NUMBERS.astype(np.float64).mean()
    assert content["baseline"]["mse"] == pytest.approx(((true - mean) ** 2).mean())
    analytic = ((said - true) ** 2).std() / math.sqrt(100)
    assert content["errors"]["mse"] == pytest.approx(analytic, rel=0.3)
    assert content["loss"] == pytest.approx(mse, rel=1e-5)
    assert content["ratio_to_lowest_loss"] == pytest.approx(mse / 0.0075)
    facts = ("split", "task", "rows", "ranges", "nonfinite_rows", "parameters", "per_target")
    assert {name: content[name] for name in facts} == {
        "split": "one",
        "task": "regression",
        "rows": 100,
        "ranges": RANGES,
        "nonfinite_rows": 0,
        "parameters": 4 * 64 + 64 + 64 + 1,
        "per_target": None,
    }
    assert content["steps"] == read_history(split.history).steps == 9
    assert content["recipe"] == split.recipe.digest("training")
    assert content["evaluation_recipe"] == split.recipe.digest("evaluation")


def test_the_model_is_the_trained_one_in_eval_mode(train):
    split = train(NUMBERS, {"model": {"name": "mlp", "dropout": 0.9}})
    _, predictions = split.evaluate()
    weights = safetensors.torch.load_file(split.model)
    hidden, output = [
        (weights[f"layers.{number}.weight"], weights[f"layers.{number}.bias"]) for number in (0, 3)
    ]
    features = torch.from_numpy(FEATURES[rows_of(RANGES)])
    expected = nn.functional.linear(nn.functional.linear(features, *hidden).relu(), *output)
    np.testing.assert_allclose(predictions["prediction"], expected.numpy(), rtol=1e-5, atol=1e-6)


def test_a_range_cut_in_two_gives_the_same_evaluation(train):
    split = train(NUMBERS, evaluation=without_resamples())
    cut = {"rows": split.recipe.evaluation.rows.model_copy(update={"ranges": [(10, 40), (40, 60)]})}
    whole = {"rows": split.recipe.evaluation.rows.model_copy(update={"ranges": [(10, 60)]})}
    found = []
    for change in (cut, whole):
        parts = {"evaluation": split.recipe.evaluation.model_copy(update=change)}
        split.recipe = split.recipe.model_copy(update=parts)
        found.append(split.evaluate())
    assert found[0][0].metrics == pytest.approx(found[1][0].metrics)
    np.testing.assert_allclose(found[0][1]["prediction"], found[1][1]["prediction"], rtol=1e-5)


@pytest.mark.slow
def test_the_same_bytes_in_two_processes(train, tmp_path):
    """One process iterates over sets in another order, which must not matter."""
    split = train(NUMBERS)
    settings = {"PYTHONHASHSEED": "3"}
    command = [sys.executable, evaluate.__file__, *split.arguments(tmp_path / "two")]
    process = subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    evaluate.main(split.arguments(tmp_path / "one"))
    assert process.wait(60) == 0
    for name in ("evaluation.json", "predictions.npy"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.fixture(scope="module")
def own_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_outputs.py").write_text(
        "import numpy as np\n"
        "from torch import nn\n"
        "class LogSoftmaxModel(nn.Sequential):\n"
        "    def __init__(self, in_features, out_features):\n"
        "        super().__init__(nn.Linear(in_features, out_features), nn.LogSoftmax(1))\n"
        "class Sigmoid(nn.Sequential):\n"
        "    def __init__(self, in_features, out_features):\n"
        "        super().__init__(nn.Linear(in_features, out_features), nn.Sigmoid())\n"
        "def largest(prediction, target):\n"
        "    return np.abs(prediction - target).max()\n"
        "def wrong(prediction, target):\n"
        "    return 'much'\n"
        "def logarithm(row):\n"
        "    return row | {'target': np.log(row['target'] + 9)}\n"
    )
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.mark.parametrize(
    "training",
    [
        {"loss": "CrossEntropyLoss"},
        {"loss": "NLLLoss", "model": "own_outputs:LogSoftmaxModel"},
    ],
    ids=["logits", "log-probabilities"],
)
def test_metrics_of_a_classification_follow_from_its_probabilities(
    train, tmp_path, own_models, training
):
    names = {"class_names": ["low", "middle", "high"], "lowest_loss": 0.5}
    split = train(CLASSES, training, classes=3, evaluation=names)
    evaluate.main(split.arguments(tmp_path))
    evaluation = Evaluation.read(tmp_path / "evaluation.json")
    predictions = np.load(tmp_path / "predictions.npy")
    probabilities, true = predictions["prediction"].astype(np.float64), CLASSES[rows_of(RANGES)]
    assert predictions["target"][:, 0].tolist() == true.tolist()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    entropy = -np.log(probabilities[range(100), true]).mean()
    assert evaluation.metrics["cross_entropy"] == pytest.approx(entropy, rel=1e-5)
    assert evaluation.loss == pytest.approx(entropy, rel=1e-5)
    assert evaluation.ratio_to_lowest_loss == pytest.approx(2 * entropy, rel=1e-5)
    hits = probabilities.argmax(axis=1) == true
    assert evaluation.metrics["accuracy"] == hits.mean()
    shares = np.bincount(CLASSES) / 300
    assert evaluation.baseline["accuracy"] == (true == shares.argmax()).mean()
    assert evaluation.baseline["cross_entropy"] == pytest.approx(-np.log(shares[true]).mean())


def test_classes_are_evaluated_one_by_one_and_in_pairs(train):
    names = {"class_names": ["low", "middle", "high"]}
    evaluation, predictions = train(
        CLASSES, {"loss": "CrossEntropyLoss"}, classes=3, evaluation=names
    ).evaluate()
    true, said = CLASSES[rows_of(RANGES)], predictions["prediction"].argmax(axis=1)
    for number, part in enumerate(evaluation.per_class):
        is_true, is_said = true == number, said == number
        assert (part.rows, part.predicted) == (is_true.sum(), is_said.sum())
        both = (is_true & is_said).sum()
        assert part.recall == (both / is_true.sum() if is_true.any() else None)
        assert part.precision == (both / is_said.sum() if is_said.any() else None)
    assert [part.name for part in evaluation.per_class] == names["class_names"]
    wrong = {(pair.true, pair.predicted): pair.rows for pair in evaluation.confusions}
    assert sum(wrong.values()) == (true != said).sum()
    for (left, right), rows in wrong.items():
        pair = (names["class_names"].index(left), names["class_names"].index(right))
        assert rows == ((true == pair[0]) & (said == pair[1])).sum()


@pytest.mark.parametrize(
    ("loss", "no"), [("SoftMarginLoss", -1), ("BCEWithLogitsLoss", 0), ("BCELoss", 0)]
)
def test_labels_are_a_classification(train, own_models, loss, no):
    is_yes = np.median(NUMBERS) < NUMBERS
    target = np.where(is_yes, 1, no).astype(np.float32)
    how = {"loss": loss, "model": "own_outputs:Sigmoid" if loss == "BCELoss" else "linear"}
    evaluation, predictions = train(target, how).evaluate()
    assert evaluation.task == "binary"
    probability = predictions["prediction"][:, 0].astype(np.float64)
    truth = is_yes[rows_of(RANGES)]
    assert predictions["target"][:, 0].tolist() == target[rows_of(RANGES)].tolist()
    assert evaluation.metrics["accuracy"] == ((probability > 0.5) == truth).mean()
    entropy = -np.log(np.where(truth, probability, 1 - probability)).mean()
    assert evaluation.metrics["cross_entropy"] == pytest.approx(entropy, rel=1e-5)
    assert evaluation.loss == pytest.approx(entropy, rel=1e-5)
    above = probability[truth][:, None] - probability[~truth][None]
    assert evaluation.metrics["auroc"] == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
    assert evaluation.baseline["auroc"] == 0.5
    assert evaluation.baseline["accuracy"] in (truth.mean(), (~truth).mean())


def test_metrics_of_ones_own(train, own_models, tmp_path):
    own = EvaluationSettings(bootstrap=0, metrics={"largest": "own_outputs:largest"})
    split = train(NUMBERS, evaluation={"settings": own})
    evaluate.main(split.arguments(tmp_path))
    evaluation = Evaluation.read(tmp_path / "evaluation.json")
    predictions = np.load(tmp_path / "predictions.npy")
    left = np.abs(predictions["prediction"] - predictions["target"])
    assert evaluation.metrics["largest"] == pytest.approx(float(left.max()))
    assert list(evaluation.labels)[-1] == "largest"
    wrong = EvaluationSettings(bootstrap=0, metrics={"largest": "own_outputs:wrong"})
    changed = split.recipe.evaluation.model_copy(update={"settings": wrong})
    split.recipe = split.recipe.model_copy(update={"evaluation": changed})
    with pytest.raises(UserError, match=r"evaluation\.metrics\.largest: own_outputs:wrong gives"):
        split.evaluate()


def test_two_classes_from_one_logit(train):
    target = (CLASSES > 0).astype(np.int64)
    evaluation, predictions = train(target, {"loss": "BCEWithLogitsLoss"}, classes=2).evaluate()
    probabilities, true = predictions["prediction"].astype(np.float64), target[rows_of(RANGES)]
    assert probabilities.shape == (100, 2)
    assert evaluation.metrics["cross_entropy"] == pytest.approx(
        -np.log(probabilities[range(100), true]).mean(), rel=1e-5
    )
    assert evaluation.loss == pytest.approx(evaluation.metrics["cross_entropy"], rel=1e-5)


def test_log_odds_of_a_number_become_a_probability(train):
    share = NUMBERS.clip(0, 3) / 3
    evaluation, predictions = train(share, {"loss": "BCEWithLogitsLoss"}).evaluate()
    said = predictions["prediction"].astype(np.float64)[:, 0]
    true = share[rows_of(RANGES)]
    assert evaluation.metrics["mse"] == pytest.approx(((said - true) ** 2).mean(), rel=1e-5)
    cross_entropy = -(true * np.log(said) + (1 - true) * np.log(1 - said)).mean()
    assert evaluation.loss == pytest.approx(cross_entropy, rel=1e-5)


def test_each_of_several_targets_has_metrics_of_its_own(train, tmp_path):
    target = np.stack([NUMBERS, 5 * NUMBERS[::-1]], axis=1)
    split = train(target, {"model": "linear"}, task={"target": ["low", "high"]})
    evaluate.main(split.arguments(tmp_path))
    evaluation = Evaluation.read(tmp_path / "evaluation.json")
    predictions = np.load(tmp_path / "predictions.npy")
    left = predictions["prediction"].astype(np.float64) - predictions["target"]
    mse = (left**2).mean(axis=0)
    assert list(evaluation.per_target) == ["high", "low"]
    for name, expected in zip(["low", "high"], mse, strict=True):
        part = evaluation.per_target[name]
        assert part.metrics["mse"] == pytest.approx(expected)
        assert part.metrics["rmse"] == pytest.approx(expected**0.5)
        assert part.errors["mse"] > 0
        assert part.baseline["mse"] > 0
    assert evaluation.metrics["mse"] == pytest.approx(mse.mean())
    assert evaluation.metrics["rmse"] == pytest.approx((mse**0.5).mean())


def test_bootstrap_0_leaves_the_errors_empty(train):
    evaluation, _ = train(NUMBERS, evaluation=without_resamples()).evaluate()
    assert set(evaluation.errors.values()) == {None}
    assert None not in evaluation.metrics.values()


def test_a_lowest_loss_of_zero_has_no_ratio(train):
    evaluation, _ = train(NUMBERS, evaluation={"lowest_loss": 0.0}).evaluate()
    assert evaluation.lowest_loss == 0
    assert evaluation.ratio_to_lowest_loss is None


def test_a_target_that_the_transform_changes_has_no_baseline(train, own_models):
    how = {"transform": "own_outputs:logarithm"}
    evaluation, predictions = train(NUMBERS, how, evaluation={"lowest_loss": 0.1}).evaluate()
    expected = np.log(NUMBERS[rows_of(RANGES)] + 9)
    np.testing.assert_allclose(predictions["target"][:, 0], expected, rtol=1e-6)
    assert set(evaluation.baseline.values()) == {None}
    assert evaluation.ratio_to_lowest_loss is None
    assert evaluation.metrics["mse"] > 0


@pytest.mark.parametrize("most_counted", [None, 1499])
def test_many_classes_have_a_baseline_where_they_can_be_counted(train, monkeypatch, most_counted):
    if most_counted:
        monkeypatch.setattr(training_classes, "MOST_CLASSES", most_counted)
    target = np.arange(300) // 2 * 10
    target[280:] = 1490
    how = {"loss": "CrossEntropyLoss", "model": "linear"}
    evaluation, predictions = train(target, how, classes=1500).evaluate()
    assert predictions["prediction"].shape == predictions["class"].shape == (100, 10)
    assert (np.diff(predictions["prediction"], axis=1) <= 0).all()
    hits = predictions["class"][:, 0] == predictions["target"][:, 0]
    assert evaluation.metrics["accuracy"] == hits.mean()
    assert None not in evaluation.metrics.values()
    if most_counted:
        assert set(evaluation.baseline.values()) == {None}
        return
    shares, true = np.bincount(target) / 300, target[rows_of(RANGES)]
    assert evaluation.baseline["accuracy"] == (true == 1490).mean() == 0.2
    assert evaluation.baseline["cross_entropy"] == pytest.approx(-np.log(shares[true]).mean())


def test_training_rows_that_changed_are_not_counted(train):
    split = train(np.arange(300) * 5, {"loss": "CrossEntropyLoss", "model": "linear"}, classes=1500)
    rows = np.lib.format.open_memmap(split.data, mode="r+")
    rows["target"][5] = 0
    rows.flush()
    with pytest.raises(UserError, match=r"bytes of shard 0 \(rows \[0, .* not those that were"):
        split.evaluate()


@pytest.mark.parametrize("classes", [None, 3])
def test_a_model_that_gives_nan(train, tmp_path, caplog, classes):
    loss = "CrossEntropyLoss" if classes else "MSELoss"
    split = train(CLASSES if classes else NUMBERS, {"loss": loss}, classes=classes)
    split.set_weights(lambda weights: {name: part * math.nan for name, part in weights.items()})
    assert evaluate.main(split.arguments(tmp_path)) == 0
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    message = warning.getMessage()
    assert "split one: the model's predictions are NaN or infinite for 100 of 100" in message
    assert "first for row 250" in message
    evaluation = Evaluation.read(tmp_path / "evaluation.json")
    assert evaluation.nonfinite_rows == 100
    assert set(evaluation.metrics.values()) == set(evaluation.errors.values()) == {None}
    assert evaluation.loss is None
    for name, value in evaluation.baseline.items():
        assert (value is None) == (name in ("auroc", "average_precision"))
    assert np.isnan(np.load(tmp_path / "predictions.npy")["prediction"]).all()
