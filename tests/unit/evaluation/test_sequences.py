"""Rows of several elements, each with a class: trained, validated, evaluated, drawn, summarized."""

import csv
import json

import numpy as np
import pytest
import torch
from torch import nn

import draw
import evaluate
import summarize
from memtrain.components.build import build_model_parts
from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.data.indexing import index_shards
from memtrain.data.source import Source
from memtrain.evaluation import training_classes
from memtrain.evaluation.result import Evaluation
from memtrain.planning.split_resolution import resolve_splits
from memtrain.training.evaluation_mode import evaluation_mode
from memtrain.training.history import read_history
from memtrain.training.trainer import Trainer
from memtrain.training.validation_history import read_validations
from memtrain.training.weights import load_weights
from tests.trainings import code_of_training
from tests.unit.evaluation.trained_splits import Split

HERE = "tests.unit.evaluation.test_sequences"
ROWS, LENGTH, CLASSES = 120, 6, 11
EVALUATED = [[90, 120]]

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.integers(CLASSES, size=(ROWS, LENGTH), dtype=np.uint8)
# Most elements follow from the one before; class 3 occurs among the evaluated rows alone.
TARGET = np.where(GENERATOR.random((ROWS, LENGTH)) < 0.8, (FEATURES + 4) % CLASSES, 5)
TARGET = np.where(TARGET == 3, 5, TARGET).astype(np.uint8)
TARGET[100, 2] = 3


class Elements(nn.Module):
    """Logits of every element by its own class alone, (rows, elements, classes)."""

    def __init__(self, out_features, spare=0):
        super().__init__()
        self.table = nn.Embedding(CLASSES, out_features + spare)

    def forward(self, features):
        return self.table(features.long())


class ClassesFirst(Elements):
    """The same, (rows, classes, elements)."""

    def forward(self, features):
        return super().forward(features).transpose(1, 2)


class LogProbabilities(Elements):
    def forward(self, features):
        return super().forward(features).log_softmax(-1)


class Means(Elements):
    """One prediction for a row, as for the class of a row."""

    def forward(self, features):
        return super().forward(features).mean(1)


class TooFew(Elements):
    def __init__(self, out_features):
        super().__init__(out_features - 1)


def own_loss(model, batch):
    logits = model(batch["features"])
    target = batch["target"].long()
    losses = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
    return losses.reshape(target.shape).mean(1)


def declared_loss(model, batch):
    return own_loss(model, batch)


declared_loss.like = "CrossEntropyLoss"


class OwnModule(nn.Module):
    like = "CrossEntropyLoss"

    def forward(self, outputs, target):
        losses = nn.functional.cross_entropy(outputs.mT, target, reduction="none")
        return losses.mean(1)


SETTINGS = {
    "model": f"{HERE}:Elements",
    "loss": "CrossEntropyLoss",
    "transform": "none",
    "optimizer": {"name": "Adam", "lr": 0.05},
    "batch_size": 4,
    "accumulation_steps": 4,
    "epochs": 4,
}


@pytest.fixture
def resolve_sequences(write_rows):
    """Return a function that resolves a split of rows of elements; it returns data and recipe."""

    def resolve(training=None, target=TARGET, evaluation=None, **ranges):
        data = write_rows(FEATURES, target)
        configuration = parse_configuration(
            {
                "dataset": {
                    "name": "bytes",
                    "import": {"path": "x", "features": ["x"], "target": ["y"]},
                },
                "splits": {"one": {"train": [0, 90], "evaluate": EVALUATED, **ranges}},
                "training": SETTINGS | (training or {}),
                "evaluation": evaluation or {"bootstrap": 20},
            }
        )
        names = [f"x{number}" for number in range(LENGTH)]
        source = Source(names, ["y"], "classification", CLASSES)
        (recipe,) = resolve_splits(configuration, data, index_shards(data, 32), source)
        return str(data), recipe

    return resolve


@pytest.fixture
def train_sequences(resolve_sequences, tmp_path):
    """Return a function that trains a split of rows of elements, and returns it."""

    def train(*settings, **how):
        data, recipe = resolve_sequences(*settings, **how)
        folder = tmp_path / "splits" / "one"
        split = Split(folder, data, recipe)
        trained = Trainer(recipe, data).run()
        code = code_of_training(recipe)
        trained.write(split.model, split.history, folder / "performance.json", code=code)
        return split

    return train


def log_probabilities(split):
    """Return what the trained model says, float64 (evaluated rows, elements, classes)."""
    parts = build_model_parts(split.recipe.training, torch.device("cpu"))
    load_weights(split.model, parts.model)
    (first, end), device = EVALUATED[0], torch.device("cpu")
    with torch.no_grad(), evaluation_mode(parts.model, device, 0):
        outputs = parts.model(torch.from_numpy(FEATURES[first:end]))
    if outputs.shape[1] != LENGTH:
        outputs = outputs.transpose(1, 2)
    return outputs.double().log_softmax(-1).numpy()


def of_the_truth(logarithms, target):
    return np.take_along_axis(logarithms, target[..., None].astype(np.int64), -1)[..., 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "training",
    [
        {},
        {"model": f"{HERE}:ClassesFirst"},
        {"model": f"{HERE}:LogProbabilities", "loss": "NLLLoss"},
        {"model": {"name": f"{HERE}:Elements", "spare": 3}},
        {"loss": f"{HERE}:declared_loss"},
        {"loss": f"{HERE}:OwnModule"},
    ],
    ids=["logits", "classes first", "log-probabilities", "spare classes", "own", "own class"],
)
def test_metrics_follow_from_the_probabilities_of_the_elements(train_sequences, tmp_path, training):
    split = train_sequences(training)
    evaluate.main(split.arguments(tmp_path))
    evaluation = Evaluation.read(tmp_path / "evaluation.json")
    predictions = np.load(tmp_path / "predictions.npy")
    logarithms, true = log_probabilities(split), TARGET[90:120]
    losses = -of_the_truth(logarithms, true)
    hits = logarithms.argmax(-1) == true
    assert evaluation.task == "sequence"
    assert evaluation.metrics == pytest.approx(
        {
            "bits_per_element": losses.mean() / np.log(2),
            "perplexity": np.exp(losses.mean()),
            "cross_entropy": losses.mean(),
            "accuracy": hits.mean(),
        },
        rel=1e-6,
    )
    assert evaluation.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert predictions.dtype.names == ("row", "cross_entropy", "accuracy")
    assert predictions["row"].tolist() == list(range(90, 120))
    np.testing.assert_allclose(predictions["cross_entropy"], losses.mean(1), rtol=1e-6)
    np.testing.assert_allclose(predictions["accuracy"], hits.mean(1))
    # Rows are drawn again, not elements, since those of a row may depend on each other.
    by_rows = losses.mean(1).std() / np.sqrt(30)
    assert evaluation.errors["cross_entropy"] == pytest.approx(by_rows, rel=0.5)
    assert evaluation.per_target is None
    assert evaluation.per_class is None


def test_the_baseline_is_a_unigram_model_of_the_training_rows(train_sequences):
    evaluation, _ = train_sequences().evaluate()
    counts = np.bincount(TARGET[:90].reshape(-1), minlength=CLASSES)
    assert counts[3] == 0
    shares = (counts + 1) / (counts + 1).sum()
    losses = -np.log(shares[TARGET[90:120]])
    assert evaluation.baseline == pytest.approx(
        {
            "bits_per_element": losses.mean() / np.log(2),
            "perplexity": np.exp(losses.mean()),
            "cross_entropy": losses.mean(),
            "accuracy": (TARGET[90:120] == counts.argmax()).mean(),
        }
    )
    assert evaluation.metrics["bits_per_element"] < evaluation.baseline["bits_per_element"]
    assert not evaluation.is_worse_than_baseline
    worse = evaluation.model_copy(
        update={"metrics": {name: value + 1 for name, value in evaluation.baseline.items()}}
    )
    assert worse.is_worse_than_baseline
    assert evaluation.merit > worse.merit


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_vocabulary_of_any_size_has_a_unigram_model(train_sequences, monkeypatch, threads):
    """The counts are those of the training rows, whose tokens go beyond what statistics count."""
    monkeypatch.setattr(f"{HERE}.CLASSES", 2_000)
    monkeypatch.setattr(training_classes, "_THREADS", threads)
    target = TARGET.astype(np.uint16) * 150
    evaluation, _ = train_sequences({"epochs": 1}, target=target).evaluate()
    counts = np.bincount(target[:90].reshape(-1), minlength=2_000)
    shares = (counts + 1) / (counts + 1).sum()
    losses = -np.log(shares[target[90:120]])
    assert evaluation.baseline["cross_entropy"] == pytest.approx(losses.mean())
    assert evaluation.baseline["accuracy"] == (target[90:120] == counts.argmax()).mean()


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.0, 2.0])])
def test_the_loss_of_a_row_is_the_mean_of_its_elements(resolve_sequences, weights):
    _, recipe = resolve_sequences()
    parts = build_model_parts(recipe.training, torch.device("cpu"))
    features, target = torch.from_numpy(FEATURES[:3]), torch.from_numpy(TARGET[:3])
    summed = parts.loss(parts.model, {"features": features, "target": target}, weights)
    losses = nn.functional.cross_entropy(
        parts.model(features).transpose(1, 2), target.long(), reduction="none"
    )
    expected = (losses.mean(1) * (1 if weights is None else weights)).sum()
    torch.testing.assert_close(summed, expected)


def test_accumulated_gradients_are_those_of_all_elements(train_sequences):
    sgd = {"optimizer": {"name": "SGD", "lr": 1.0}, "epochs": 1, "shuffle": None}
    whole = {"batch_size": 90, "accumulation_steps": 1}
    parts = {"batch_size": 16, "accumulation_steps": 8}
    found = []
    for sizes in (whole, parts):
        split = train_sequences(sgd | sizes)
        device = torch.device("cpu")
        model = build_model_parts(split.recipe.training, device).model
        before = model.table.weight.detach().clone()
        loss = nn.functional.cross_entropy(
            model(torch.from_numpy(FEATURES[:90])).transpose(1, 2),
            torch.from_numpy(TARGET[:90]).long(),
        )
        loss.backward()
        history = read_history(split.history)
        assert history.loss[0] == pytest.approx(loss.item(), rel=1e-6)
        load_weights(split.model, model)
        torch.testing.assert_close(before - model.table.weight, model.table.weight.grad)
        found.append(model.table.weight.detach())
    torch.testing.assert_close(*found)


def test_validations_have_the_metrics_of_an_evaluation(train_sequences):
    decisive = {"early_stopping": {"metric": "bits_per_element", "patience": 9}}
    split = train_sequences(decisive, validate=EVALUATED, allow_overlap=True)
    evaluation, _ = split.evaluate()
    last = read_validations(split.folder / "validation.csv")[-1]
    assert last.metrics == pytest.approx(evaluation.metrics)
    assert last.loss == pytest.approx(evaluation.loss)


def test_rows_that_are_not_finite_have_no_metrics(train_sequences):
    split = train_sequences()
    split.set_weights(
        lambda weights: {name: value * float("nan") for name, value in weights.items()}
    )
    evaluation, predictions = split.evaluate()
    assert evaluation.nonfinite_rows == 30
    assert set(evaluation.metrics.values()) == {None}
    assert np.isnan(predictions["cross_entropy"]).all()


def test_nothing_is_kept_of_outputs_without_a_known_meaning(train_sequences):
    evaluation, predictions = train_sequences({"loss": f"{HERE}:own_loss"}).evaluate()
    assert evaluation.task == "other"
    assert predictions.dtype.names == ("row",)
    assert list(evaluation.metrics) == ["loss"]


@pytest.mark.parametrize(
    ("training", "problem"),
    [
        (
            {"loss": "MultiMarginLoss"},
            "MultiMarginLoss learns the class of a row, but a row has several",
        ),
        ({"loss": "MSELoss"}, "MSELoss learns no classes, but a row has several elements"),
        ({"loss": "BCEWithLogitsLoss"}, "learns no classes, but a row has several elements"),
        ({"model": f"{HERE}:Means"}, r"gives the shape \(1, 11\) for rows of 6 elements"),
        ({"model": f"{HERE}:TooFew"}, "10 outputs for every element, and the target has 11"),
    ],
)
def test_losses_and_models_that_do_not_fit_are_refused(resolve_sequences, training, problem):
    with pytest.raises(UserError, match=problem):
        resolve_sequences(training)


def test_own_metrics_are_refused_before_the_training(resolve_sequences):
    own = {"metrics": {"mine": "math:hypot"}}
    with pytest.raises(UserError, match=r"evaluation\.metrics: found mine, but a row has several"):
        resolve_sequences(evaluation=own)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "label"), [(np.uint8, "bits per byte"), (np.uint16, "bits per element")]
)
def test_figures_and_summary_speak_of_elements(train_sequences, tmp_path, dtype, label):
    split = train_sequences(target=TARGET.astype(dtype))
    evaluate.main(split.arguments(split.folder))
    evaluation = Evaluation.read(split.folder / "evaluation.json")
    assert evaluation.describe("bits_per_element").startswith(f"{label} ")
    files = {name: str(split.folder / f"{name}.csv") for name in ("history", "validation")}
    draw.main(
        [
            *("--split", str(split.folder / "split.json")),
            *("--evaluation", str(split.folder / "evaluation.json")),
            *("--predictions", str(split.folder / "predictions.npy")),
            *("--history", files["history"], "--validation", files["validation"]),
            *("--figures", str(tmp_path / "figures")),
        ]
    )
    drawn = {path.name: path.stat().st_size for path in (tmp_path / "figures").iterdir()}
    assert sorted(drawn) == ["errors.png", "learning_curve.png", "predictions.png"]
    assert min(drawn.values()) > 10_000

    configuration = {
        "dataset": {"name": "bytes", "import": {"path": "x", "features": ["x"], "target": ["y"]}},
        "splits": {"one": {"train": [0, 90], "evaluate": EVALUATED}},
    }
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    summarize.main(
        [
            *("--config", str(tmp_path / "config.json"), "--splits", str(tmp_path / "splits")),
            *("--csv", str(tmp_path / "summary.csv"), "--table", str(tmp_path / "summary.md")),
            *("--figure", str(tmp_path / "comparison.png")),
        ]
    )
    text = (tmp_path / "summary.md").read_text()
    assert f"| {label} " in text
    assert f"baseline {label}: that of a unigram model" in text
    assert f"{label}: how many bits the model needs on average to write down one " in text
    with open(tmp_path / "summary.csv") as file:
        (line,) = csv.DictReader(file)
    assert float(line["bits_per_element"]) == evaluation.metrics["bits_per_element"]
    assert float(line["baseline_perplexity"]) == evaluation.baseline["perplexity"]
