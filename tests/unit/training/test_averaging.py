"""Averages of weights: the right ones, validated in place of the weights, through kills."""

import shutil
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from memtrain.core.errors import UserError
from memtrain.training.trainer import Trainer
from tests.trainings import Training
from tests.unit.training.test_selection import EVERY_STEP, FEATURES, OWN, ROWS, SETTINGS, TARGET

#: One step an epoch, so that a training of N epochs ends with the weights after step N.
STEPS = SETTINGS | {"epochs": 8, "batch_size": 40, "validate_every": {"steps": 1}}


#: In the user's module: BatchNorm behind dropout.
NORMALIZING = """

import torch


class Normalizing(torch.nn.Sequential):
    def __init__(self, out_features):
        nn = torch.nn
        super().__init__(nn.Dropout(0.1), nn.BatchNorm1d(6), nn.Linear(6, out_features))
"""


class Normalizing(nn.Sequential):
    def __init__(self, out_features):
        super().__init__(nn.BatchNorm1d(6), nn.Linear(6, out_features))


class Counting(nn.Sequential):
    def __init__(self, out_features):
        super().__init__(nn.Identity(), nn.Linear(6, out_features))
        self[0].register_buffer("running_mean", torch.zeros(6))


class Shared(nn.Module):
    """A model that calls a layer twice, and has a layer that is never called."""

    def __init__(self, out_features):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.never = nn.BatchNorm1d(6)
        self.instances = nn.InstanceNorm1d(2, track_running_stats=True)
        self.last = nn.Linear(6, out_features)

    def forward(self, features):
        inside = self.norm(self.norm(features) * features)
        return self.last(self.instances(inside.reshape(-1, 2, 3)).flatten(1))


class Tied(nn.Module):
    """A model that uses a matrix twice, and has one that is not trained."""

    def __init__(self, out_features):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.fixed = nn.Parameter(torch.ones(6), requires_grad=False)
        self.last = nn.Linear(6, out_features)

    def forward(self, features):
        return self.last(self.second(self.first(features).relu()) * self.fixed)


@pytest.fixture
def train(resolve):
    """Return a function that trains in this process, and returns the result."""

    def train(rows=ROWS, **settings):
        data, recipe = resolve(FEATURES, TARGET, STEPS | settings, **rows)
        return Trainer(recipe, data).run()

    return train


@pytest.mark.slow
@pytest.mark.parametrize("model", [STEPS["model"], f"{__name__}:Tied"], ids=["mlp", "tied"])
@pytest.mark.parametrize(
    ("averaging", "first", "ema"),
    [
        ({"ema": 0.6}, 1, 0.6),
        ({"swa": {"start": "50%"}}, 5, None),
        ({"swa": {"start": 7}}, 8, None),
    ],
    ids=["ema", "swa", "swa of one step"],
)
def test_averages_are_those_of_numpy(train, model, averaging, first, ema):
    after = {steps: train(model=model, epochs=steps).weights for steps in range(first, 9)}
    averaged = train(model=model, averaging=averaging, keep="averaged")
    for name, value in averaged.weights.items():
        expected = after[first][name].double().numpy()
        for number, step in enumerate(range(first + 1, 9), 2):
            share = 1 / number if ema is None else 1 - ema
            expected = expected + share * (after[step][name].double().numpy() - expected)
        assert np.allclose(value.numpy(), expected, rtol=1e-5, atol=1e-6), name
    assert averaged.history == train(model=model).history


def test_the_averages_are_validated(train):
    result = train(averaging={"ema": 0.8}, keep="averaged")
    first, last = (result.weights[f"layers.{layer}.weight"].numpy() for layer in (0, 2))
    hidden = FEATURES[160:600] @ first.T + result.weights["layers.0.bias"].numpy()
    predicted = np.maximum(hidden, 0) @ last[0] + result.weights["layers.2.bias"].numpy()
    loss = ((predicted - TARGET[160:600]) ** 2).mean()
    assert result.validations[-1].loss == pytest.approx(loss, rel=1e-4)
    assert result.validations[-1].loss != train().validations[-1].loss


def test_validations_before_an_average_decide_nothing(train):
    """At a huge rate, only the first step is good; it comes before the average."""
    settings = {"optimizer": {"name": "SGD", "lr": 1.0}, "model": "linear"}
    plain = train(**settings, keep="best", early_stopping={"patience": 2})
    assert len(plain.history) < 8
    late = train(
        **settings,
        keep="best",
        early_stopping={"patience": 2},
        averaging={"swa": {"start": 5}},
    )
    assert len(late.history) >= 7
    assert late.kept_step > 5


@pytest.mark.slow
@pytest.mark.parametrize("model", [Normalizing, Shared])
@pytest.mark.parametrize("keep", ["averaged", "best"])
def test_batch_statistics_are_those_of_pytorch(train, model, keep):
    settings = {"model": f"{__name__}:{model.__name__}", "batch_size": 7, "accumulation_steps": 4}
    averaged = train(**settings, averaging={"ema": 0.8}, keep=keep)
    assert averaged.history == train(**settings).history
    expected = model(1)
    expected.load_state_dict(averaged.weights)
    features = torch.from_numpy(FEATURES[:160])
    update_bn(features.split(7), expected)
    layers = [name for name in averaged.weights if "running" in name and "instances" not in name]
    assert layers
    for name in layers:
        found, wanted = averaged.weights[name], expected.state_dict()[name]
        if "never" not in name:
            assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-6), name
    # Validations see them as well.
    expected.load_state_dict(averaged.weights)
    with torch.no_grad():
        predicted = expected.eval()(torch.from_numpy(FEATURES[160:600]))[:, 0].numpy()
    loss = ((predicted - TARGET[160:600]) ** 2).mean()
    (kept,) = (one for one in averaged.validations if one.step == averaged.kept_step)
    assert kept.loss == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"keep": "averaged"}, "keep: averaged needs an average"),
        ({"averaging": {"ema": 0.9}}, "the average would be lost"),
        ({"averaging": {"ema": 0.9, "swa": {}}, "keep": "averaged"}, "found both"),
        ({"averaging": {}, "keep": "averaged"}, "found neither"),
        ({"averaging": {"ema": 1.5}, "keep": "averaged"}, "ema"),
        ({"averaging": {"swa": {"start": "100%"}}, "keep": "averaged"}, "nothing to average"),
        (
            {"averaging": {"ema": 0.9}, "keep": "averaged", "model": f"{__name__}:Counting"},
            r"the model has layers of its own with running statistics \(0\)",
        ),
        (
            {
                "averaging": {"ema": 0.9},
                "keep": "averaged",
                "sharding": "fsdp",
                "reduction": "fast",
            },
            "with sharding: fsdp",
        ),
    ],
)
def test_averages_without_a_meaning_are_refused(train, settings, expected):
    with pytest.raises(UserError, match=expected):
        train(**settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("averaging", "keep", "model"),
    [
        ({"ema": 0.9}, "best", {"name": "mlp", "hidden": [32], "dropout": 0.1}),
        ({"swa": {"start": "10%"}}, "averaged", "own:Normalizing"),
    ],
)
def test_with_everything_on_the_bytes_are_the_same(
    resolve, tmp_path, monkeypatch, averaging, keep, model
):
    (tmp_path / "own.py").write_text(OWN + NORMALIZING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)

    def new_training(name):
        settings = SETTINGS | {
            "transform": "own:counted",
            "model": model,
            "epochs": 12,
            "averaging": averaging,
            "keep": keep,
            "early_stopping": {"patience": 6},
            "scheduler": {"name": "ReduceLROnPlateau", "patience": 1, "warmup": 4},
        }
        data, recipe = resolve(FEATURES, TARGET, settings, **ROWS)
        training = Training(tmp_path / name, data, recipe)
        shutil.copy(tmp_path / "own.py", training.folder)
        return training

    one = new_training("one")
    one.run()
    for processes in (2, 4):
        several = new_training(f"{processes}")
        several.run(processes=processes)
        assert several.digests() == one.digests()
    killed = new_training("killed")
    for batch in (40, 2, 60):
        killed.run(*EVERY_STEP, status=-9, KILL_AT=f"0:{batch}")
    killed.run(*EVERY_STEP, processes=2, status=None, KILL_AT="1:15")
    killed.run(*EVERY_STEP)
    assert killed.digests() == one.digests()
