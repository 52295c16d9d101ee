"""Validations that decide: when a training ends, which weights it keeps, and the learning rate."""

import csv
import shutil
import sys

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from memtrain.core.errors import UserError
from memtrain.loading.order_digest import declared_order_digest
from memtrain.recipes.model_file import read_origin
from memtrain.training.trainer import Trainer
from tests.trainings import Training

GENERATOR = np.random.default_rng(8)
FEATURES = GENERATOR.random((700, 6), dtype=np.float32)
TARGET = (FEATURES @ GENERATOR.standard_normal(6) + GENERATOR.standard_normal(700)).astype("f4")
CLASSES = (FEATURES[:, :2].argmax(1) ^ (GENERATOR.random(700) < 0.3)).astype(np.int64)
ROWS = {"train": [0, 160], "validate": [160, 600], "evaluate": [600, 700]}
#: A training that learns its few noisy rows by heart, so that its validations get worse.
SETTINGS = {
    "model": {"name": "mlp", "hidden": [64]},
    "optimizer": {"name": "Adam", "lr": 0.03},
    "batch_size": 10,
    "accumulation_steps": 4,
    "seed": 3,
    "device": "cpu",
    "epochs": 30,
    "validate_every": {"steps": 3},
}


@pytest.fixture
def train(resolve):
    """Return a function that trains in this process, and returns recipe and result."""

    def train(target=TARGET, classes=None, rows=ROWS, **settings):
        data, recipe = resolve(FEATURES, target, SETTINGS | settings, classes=classes, **rows)
        return recipe, Trainer(recipe, data).run()

    return train


def stop(losses, patience, min_delta=0.0, sign=1):
    """Return after how many validations a training ends; None for never."""
    best, failures = float("inf"), 0
    for number, loss in enumerate(losses, 1):
        if sign * loss < best - min_delta:
            best, failures = sign * loss, 0
        else:
            failures += 1
        if failures == patience:
            return number
    return None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stopping", "metric", "sign"),
    [
        ({}, "loss", 1),
        ({"patience": 1}, "loss", 1),
        ({"patience": 2, "min_delta": 0.02}, "loss", 1),
        ({"patience": 2, "metric": "r2"}, "r2", -1),
    ],
)
def test_a_training_ends_where_validations_get_no_better(train, stopping, metric, sign):
    recipe, whole = train()
    values = [one.value_of(metric) for one in whole.validations]
    delta = stopping.get("min_delta", 0.0)
    last = stop(values, stopping.get("patience", 3), delta, sign)
    assert last is not None
    assert last < len(values)
    recipe, ended = train(early_stopping=stopping)
    assert ended.validations == whole.validations[:last]
    assert ended.history == whole.history[: 3 * last]
    assert recipe.training.sizes.steps == 120
    assert ended.kept_step == 3 * last
    assert ended.order_digest == declared_order_digest(recipe.training, 3 * last)
    assert ended.order_digest != declared_order_digest(recipe.training)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_the_best_weights_are_those_of_the_best_validation(train, metric, tmp_path):
    how = {"target": CLASSES, "classes": 2, "loss": "CrossEntropyLoss"}
    how["early_stopping"] = {"metric": metric, "patience": 1000}
    _, result = train(**how, keep="best")
    values = [one.value_of(metric) for one in result.validations]
    best = int(np.argmin(values) if metric == "loss" else np.argmax(values))
    assert result.kept_step == result.validations[best].step < 120
    assert len(result.history) == 120
    files = [tmp_path / name for name in ("model", "history", "performance")]
    result.write(*files, code="sha256:code")
    origin = read_origin(files[0])
    assert (origin.steps, origin.kept_step) == (120, result.kept_step)


def test_the_best_weights_give_the_loss_of_their_validation(train):
    _, result = train(keep="best")
    best = min(result.validations, key=lambda one: one.loss)
    first, last = (result.weights[f"layers.{layer}.weight"].double().numpy() for layer in (0, 2))
    hidden = FEATURES[160:600] @ first.T + result.weights["layers.0.bias"].numpy()
    predicted = np.maximum(hidden, 0) @ last[0] + result.weights["layers.2.bias"].numpy()
    assert ((predicted - TARGET[160:600]) ** 2).mean() == pytest.approx(best.loss, rel=1e-4)
    assert result.kept_step == best.step


@pytest.mark.slow
@pytest.mark.parametrize("warmup", [None, 5])
def test_the_learning_rate_follows_the_validations(train, warmup):
    schedule = {"name": "ReduceLROnPlateau", "patience": 1, "factor": 0.5}
    schedule |= {"warmup": warmup} if warmup else {}
    _, result = train(scheduler=schedule)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.03)
    plateau = ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    losses = {one.step: one.loss for one in result.validations}
    expected = []
    for step in range(1, 121):
        rise = min(1.0, step / (warmup + 1)) if warmup else 1.0
        expected.append(optimizer.param_groups[0]["lr"] * rise)
        if step in losses and step >= (warmup or 0):
            plateau.step(losses[step])
    assert [one.learning_rate for one in result.history] == pytest.approx(expected)
    assert expected[-1] < 0.01


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"early_stopping": {}}, r"early_stopping: the model is not validated"),
        ({"keep": "best"}, r"keep: the model is not validated"),
        ({"scheduler": "ReduceLROnPlateau"}, r"advanced by the loss of a validation"),
    ],
)
def test_decisions_need_validation_rows(train, settings, expected):
    with pytest.raises(UserError, match=expected):
        train(rows=ROWS | {"validate": None}, **settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"early_stopping": {"metric": "accuracy"}}, "it has loss, mae, mse, r2, rmse"),
        ({"early_stopping": {"metric": "speed"}}, "found 'speed'; known are loss, rmse"),
        ({"early_stopping": {"metric": "r2", "mode": "min"}}, "of r2, more is better"),
        ({"early_stopping": {"patience": 0}}, "patience"),
        ({"early_stopping": {"min_delta": -1}}, "min_delta"),
        ({"scheduler": {"name": "ReduceLROnPlateau", "mode": "max"}}, "Remove `mode`"),
    ],
)
def test_decisions_without_a_meaning_are_refused(train, settings, expected):
    with pytest.raises(UserError, match=expected):
        train(**settings)


OWN = """
import os
import signal

batches = 0


def counted(row):
    global batches
    batches += 1
    rank, batch = os.environ.get("KILL_AT", "0:-1").split(":")
    if batches == int(batch) and rank == os.environ.get("RANK", "0"):
        os.kill(os.getpid(), signal.SIGKILL)
    return row


counted.batched = True
"""


@pytest.fixture
def new_training(resolve, tmp_path, monkeypatch):
    """Return a function that sets up a training in which everything decides."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)

    def make(name, **changes):
        settings = SETTINGS | {
            "transform": "own:counted",
            "early_stopping": {"patience": 8},
            "keep": "best",
            "scheduler": {"name": "ReduceLROnPlateau", "patience": 1, "warmup": 4},
        }
        data, recipe = resolve(FEATURES, TARGET, settings | changes, **ROWS)
        training = Training(tmp_path / name, data, recipe)
        shutil.copy(tmp_path / "own.py", training.folder)
        return training

    return make


EVERY_STEP = ("--running", "{checkpoint: {steps: 1}}")


@pytest.mark.slow
def test_killed_or_shared_trainings_decide_the_same(new_training):
    one = new_training("one")
    said = one.run()
    with open(one.folder / "history.csv") as file:
        taken = len(list(csv.DictReader(file)))
    assert f"the validations get no better: the training ends after step {taken}" in said
    assert taken < 120
    for processes in (2, 4):
        several = new_training(f"{processes}")
        several.run(processes=processes)
        assert several.digests() == one.digests()
    killed = new_training("killed")
    for batch in (50, 3, 70, 20):
        killed.run(*EVERY_STEP, status=-9, KILL_AT=f"0:{batch}")
    killed.run(*EVERY_STEP, processes=2, status=None, KILL_AT="1:15")
    killed.run(*EVERY_STEP)
    assert killed.digests() == one.digests()
