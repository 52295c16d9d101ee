"""Custom losses: trained with, evaluated, and refused if they are wrong."""

import csv
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import evaluate
import summarize
from memtrain.components.custom_losses import CustomLoss
from memtrain.components.losses import build_loss
from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.evaluation.evaluator import Evaluator
from memtrain.evaluation.result import Evaluation
from memtrain.training.trainer import Trainer
from tests.trainings import code_of_training

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.integers(0, 17, (200, 6)).astype(np.float32)
NUMBERS = (FEATURES @ [1, -2, 3, 0.5, 0, 1]).astype(np.float32)
CLASSES = FEATURES[:, :3].argmax(1).astype(np.int64)


def cross_entropy(model, batch, weight=1.0):
    target = batch["target"].reshape(-1)
    return weight * nn.functional.cross_entropy(model(batch["features"]), target, reduction="sum")


cross_entropy.like = "CrossEntropyLoss"


def squares(model, batch):
    return (model(batch["features"]) - batch["target"]).square().sum()


squares.like = "MSELoss"


def undeclared(model, batch):
    return squares(model, batch)


class Focal(nn.Module):
    """A loss in a class, which returns the losses of the rows."""

    like = "CrossEntropyLoss"

    def __init__(self, gamma):
        super().__init__()
        self.gamma = gamma

    def forward(self, outputs, target):
        logarithms = outputs.log_softmax(1).gather(1, target[:, None])[:, 0]
        return -((1 - logarithms.exp()) ** self.gamma) * logarithms


class Trained(nn.Module):
    """A loss with a parameter, which nothing would train."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, outputs, target):
        return (self.scale * outputs - target).square().flatten(1).sum(1)


class OfModel(nn.Module):
    """A loss in a class that calls the model itself."""

    like = "MSELoss"

    def forward(self, model, batch):
        return squares(model, batch)


def like_nothing(model, batch):
    return squares(model, batch)


like_nothing.like = "TripletMarginLoss"


class Autoencoder(nn.Module):
    def __init__(self, in_features):
        super().__init__()
        self.inside = nn.Sequential(nn.Linear(in_features, 3), nn.Linear(3, in_features))

    def forward(self, features):
        return self.inside(features)


def reconstruction(model, batch):
    return (model(batch["features"]) - batch["features"]).square().sum()


def unsummed(model, batch):
    return (model(batch["features"]) - batch["target"]).square()


def no_loss(model, batch):
    return 3.0


@pytest.fixture
def run(resolve, tmp_path):
    """Return a function that trains and evaluates one split."""

    def run(training, target, classes=None, name="one"):
        data, recipe = resolve(FEATURES, target, training, classes=classes)
        folder = tmp_path / "splits" / name
        recipe = recipe.model_copy(update={"split": name})
        recipe.write(folder / "split.json")
        paths = [folder / part for part in ("model.safetensors", "history.csv", "performance.json")]
        Trainer(recipe, data).run().write(*paths, code=code_of_training(recipe))
        arguments = {
            "data": data,
            "split": folder / "split.json",
            "model": paths[0],
            "history": paths[1],
            "evaluation": folder / "evaluation.json",
            "predictions": folder / "predictions.npy",
        }
        given = [part for key, value in arguments.items() for part in (f"--{key}", str(value))]
        assert evaluate.main(given) == 0
        weights = safetensors.torch.load_file(paths[0])
        evaluation = Evaluation.read(folder / "evaluation.json")
        return weights, evaluation, np.load(folder / "predictions.npy"), folder

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("builtin", "custom", "target", "classes"),
    [("CrossEntropyLoss", "cross_entropy", CLASSES, 3), ("MSELoss", "squares", NUMBERS, None)],
)
def test_a_custom_loss_equals_the_same_loss_of_torch(run, builtin, custom, target, classes):
    settings = {"model": "linear", "optimizer": {"name": "Adam", "lr": 0.01}}
    one = run(settings | {"loss": builtin}, target, classes, "one")
    two = run(settings | {"loss": f"{__name__}:{custom}"}, target, classes, "two")
    assert all(torch.equal(one[0][name], two[0][name]) for name in one[0])
    assert one[1].metrics == two[1].metrics
    assert one[1].errors == two[1].errors
    assert one[1].baseline == two[1].baseline
    assert one[1].loss == pytest.approx(two[1].loss)
    assert np.array_equal(one[2], two[2])


@pytest.mark.slow
def test_a_class_of_losses_of_rows_equals_the_loss_of_torch(run):
    settings = {"model": "linear", "optimizer": {"name": "Adam", "lr": 0.01}}
    one = run(settings | {"loss": "CrossEntropyLoss"}, CLASSES, 3, "one")
    focal = {"loss": {"name": f"{__name__}:Focal", "gamma": 0.0}}
    two = run(settings | focal, CLASSES, 3, "two")
    assert one[1].loss == pytest.approx(two[1].loss, rel=1e-4)
    assert one[1].metrics == pytest.approx(two[1].metrics, rel=1e-3)
    assert set(one[1].metrics) == set(two[1].metrics)


@pytest.mark.slow
def test_a_class_may_call_the_model_itself(run):
    one = run({"model": "linear", "loss": "MSELoss"}, NUMBERS, None, "one")
    two = run({"model": "linear", "loss": f"{__name__}:OfModel"}, NUMBERS, None, "two")
    assert all(torch.equal(one[0][name], two[0][name]) for name in one[0])
    assert one[1].metrics == two[1].metrics


def test_what_a_loss_of_ones_own_does_not_declare_is_not_guessed(run):
    _, evaluation, *_ = run({"model": "linear", "loss": f"{__name__}:undeclared"}, NUMBERS)
    assert evaluation.task == "other"
    assert set(evaluation.metrics) == {"loss"}


@pytest.mark.parametrize("loss", ["Focal", "CrossEntropyLoss"])
def test_losses_of_rows_can_be_weighted(resolve, loss):
    choice = {"name": loss} if loss.endswith("Loss") else {"name": f"{__name__}:Focal", "gamma": 2}
    _, recipe = resolve(FEATURES, CLASSES, {"model": "linear", "loss": choice}, classes=3)
    built = build_loss("training.loss", Choice(**choice), recipe.training)
    model = nn.Linear(6, 3)
    batch = {"features": torch.from_numpy(FEATURES[:8]), "target": torch.from_numpy(CLASSES[:8])}
    weights = torch.tensor([0.0, 1, 2, 0, 0, 1, 0, 3])
    if isinstance(built, CustomLoss):
        built.learn(model, batch)
    assert built.weighs_rows
    rows = [{name: part[[row]] for name, part in batch.items()} for row in range(8)]
    alone = sum(weight * built(model, row) for weight, row in zip(weights, rows, strict=True))
    assert built(model, batch, weights).item() == pytest.approx(alone.item(), rel=1e-5)


@pytest.mark.slow
def test_an_argument_of_a_custom_loss(run):
    settings = {"model": "linear", "loss": {"name": f"{__name__}:cross_entropy", "weight": 2.0}}
    once = run({"model": "linear", "loss": f"{__name__}:cross_entropy"}, CLASSES, 3, "one")
    twice = run(settings, CLASSES, 3, "two")
    assert twice[1].loss != once[1].loss


AUTOENCODER = {"model": f"{__name__}:Autoencoder", "loss": f"{__name__}:reconstruction"}


def test_an_autoencoder_has_only_a_loss(run):
    weights, evaluation, predictions, _ = run(AUTOENCODER, NUMBERS)
    model = Autoencoder(6)
    model.load_state_dict(weights)
    with torch.no_grad():
        outputs = model(torch.from_numpy(FEATURES)).numpy()
    assert evaluation.task == "other"
    expected = ((outputs - FEATURES) ** 2).sum(1).mean()
    assert evaluation.metrics == {"loss": pytest.approx(expected, rel=1e-5)}
    assert evaluation.errors == evaluation.baseline == {"loss": None}
    assert evaluation.per_target is None
    assert np.allclose(predictions["prediction"], outputs, atol=1e-5)
    assert np.array_equal(predictions["target"][:, 0], NUMBERS)


@pytest.mark.slow
def test_splits_of_different_tasks_are_summarized_together(run, tmp_path):
    run({"model": "linear"}, NUMBERS, name="numbers")
    run(AUTOENCODER, NUMBERS, name="images")
    run({"model": "mlp"}, NUMBERS, name="more_numbers")
    splits = ("images", "numbers", "more_numbers")
    ranges = {"train": [0, 10], "evaluate": [10, 20]}
    configuration = {
        "dataset": {"name": "mixed", "mock": {"rows": 200}},
        "splits": dict.fromkeys(splits, ranges),
    }
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    given = {
        "config": "config.json",
        "splits": "splits",
        "csv": "summary.csv",
        "table": "summary.md",
        "figure": "comparison.png",
    }
    arguments = [part for key, value in given.items() for part in (f"--{key}", tmp_path / value)]
    assert summarize.main(list(map(str, arguments))) == 0
    with open(tmp_path / "summary.csv") as file:
        lines = {line["split"]: line for line in csv.DictReader(file)}
    assert lines["images"]["r2"] == ""
    assert float(lines["numbers"]["r2"]) < 1
    text = (tmp_path / "summary.md").read_text()
    assert text.index("| images ") < text.index("| numbers ") < text.index("| more_numbers ")
    assert "less is better" in text


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("unsummed", "gives a tensor of shape (16, 1) for 16 rows, not the sum of the losses"),
        ("Trained", "has the parameters scale, which nothing would train"),
        ("like_nothing", "like_nothing.like is 'TripletMarginLoss'; name a loss of torch.nn"),
        ("no_loss", "gives an object of type float, not the sum"),
        ("none_such", "has no 'none_such'"),
        ("Autoencoder", "does not take"),
    ],
)
def test_a_wrong_loss_is_refused_before_the_training(resolve, loss, message):
    with pytest.raises(UserError, match=r"splits\.one: training\.loss") as caught:
        resolve(FEATURES, NUMBERS, {"model": "linear", "loss": f"{__name__}:{loss}"})
    assert message in str(caught.value)


@pytest.mark.slow
def test_an_evaluation_does_not_train(run, resolve):
    weights, *_, folder = run({"model": "linear", "loss": f"{__name__}:squares"}, NUMBERS)
    data, recipe = resolve(FEATURES, NUMBERS, {"model": "linear", "loss": f"{__name__}:squares"})
    evaluator = Evaluator(recipe, data, folder / "model.safetensors")
    evaluator.run(folder / "again.npy", 1)
    found = evaluator._parts.model.state_dict()
    assert all(torch.equal(weights[name], found[name].cpu()) for name in weights)
