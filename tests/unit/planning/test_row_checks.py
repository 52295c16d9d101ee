"""What the parts of a training give for a few rows is looked at when the split is resolved."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from memtrain.components.build import build_model_parts
from memtrain.core.errors import UserError

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((40, 3), dtype=np.float32)
TARGET = GENERATOR.random((40, 1), dtype=np.float32)


def problem_of(resolve, **training):
    """Return why a training is refused; None where it is accepted."""
    named = {key: f"{__name__}:{value.__name__}" for key, value in training.items()}
    try:
        resolve(FEATURES, TARGET, {"batch_size": 4, "accumulation_steps": 2} | named)
    except UserError as error:
        (problem,) = error.problems
        return problem
    return None


def without_target(row):
    return {"features": row["features"]}


def features_alone(row):
    return row["features"]


def renamed(row):
    return {"x": row["features"], "y": row["target"]}


@pytest.mark.parametrize("transform", [without_target, features_alone, renamed])
def test_a_transform_that_loses_a_field_is_refused(resolve, transform):
    problem = problem_of(resolve, transform=transform)

    assert problem.startswith("splits.one: training.transform: it must return a row with features")


def noise_of_numpy(row):
    return row | {"features": row["features"] + np.float32(np.random.normal())}


def noise_of_torch(row):
    return row | {"features": torch.from_numpy(row["features"]) + torch.rand(())}


def noise_of_python(row):
    return row | {"target": row["target"] * np.float32(random.random())}


CALLS = []


def counting(row):
    CALLS.append(None)
    return row | {"features": row["features"] + np.float32(len(CALLS))}


@pytest.mark.parametrize("transform", [noise_of_numpy, noise_of_torch, noise_of_python, counting])
def test_a_transform_that_gives_other_rows_each_time_is_refused(resolve, transform):
    problem = problem_of(resolve, transform=transform)

    field = "target" if transform is noise_of_python else "features"
    assert f"training.transform: it gives other {field} for the same rows each time" in problem


def with_gaps(row):
    return row | {"features": np.where(row["features"] > 2, np.nan, row["features"])}


def test_a_transform_that_gives_the_same_rows_is_accepted(resolve):
    assert problem_of(resolve, transform=with_gaps) is None


class Pair(nn.Linear):
    def __init__(self):
        super().__init__(3, 1)

    def forward(self, features):
        return super().forward(features), features


class OneForAll(nn.Linear):
    def __init__(self):
        super().__init__(3, 1)

    def forward(self, features):
        return super().forward(features).sum()


def squares(model, batch):
    outputs = model(batch["features"])
    outputs = outputs[0] if isinstance(outputs, tuple) else outputs
    return (outputs - batch["target"]).square().sum()


@pytest.mark.parametrize("loss", [{}, {"loss": squares}])
@pytest.mark.parametrize(("model", "found"), [(Pair, "type tuple"), (OneForAll, "shape ()")])
def test_a_model_gives_one_tensor_with_a_place_for_every_row(resolve, model, found, loss):
    problem = problem_of(resolve, model=model, **loss)

    assert problem.startswith("splits.one: training.model: the model gives")
    assert found in problem


class Noisy(nn.Linear):
    """A model that adds noise while it trains."""

    noise = None

    def __init__(self):
        super().__init__(3, 1)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, features):
        self.calls += 1  # A buffer may change with each call.
        outputs = super().forward(features)
        return outputs + self.calls * float(type(self).noise()) if self.training else outputs


class NoisyByNumpy(Noisy):
    noise = np.random.normal


class NoisyByOwnGenerator(Noisy):
    noise = np.random.default_rng().normal


class NoisyByPython(Noisy):
    noise = random.random


class NoisyByTorch(Noisy):
    def noise():
        return torch.rand(())


@pytest.mark.parametrize("model", [NoisyByNumpy, NoisyByOwnGenerator, NoisyByPython])
def test_a_model_that_draws_from_a_generator_that_is_not_saved_is_refused(resolve, model):
    problem = problem_of(resolve, model=model)

    assert "training.model: the model gives other outputs for the same rows each time" in problem


def test_a_model_that_draws_from_the_generator_of_torch_is_accepted(resolve):
    assert problem_of(resolve, model=NoisyByTorch) is None


class DrawnByAll(nn.Module):
    """A model whose initial weights come from three generators."""

    def __init__(self):
        super().__init__()
        drawn = [[np.random.normal(), random.random(), torch.rand(()).item()]]
        self.weight = nn.Parameter(torch.tensor(drawn))

    def forward(self, features):
        return nn.functional.linear(features, self.weight)


def test_initial_weights_follow_from_the_seed_whatever_draws_them(resolve):
    model = f"{__name__}:{DrawnByAll.__name__}"
    before = random.getstate()

    def weights(seed):
        _, recipe = resolve(FEATURES, TARGET, {"model": model, "seed": seed})
        parts = build_model_parts(recipe.training, torch.device("cpu"))
        return parts.model.weight.flatten().tolist()

    first, again, other = weights(1), weights(1), weights(2)
    assert first == again
    assert not set(first) & set(other)
    assert random.getstate() == before


def mean_of_rows(model, batch):
    return functional.mse_loss(model(batch["features"]), batch["target"])


class MeanOfRows(nn.Module):
    def forward(self, outputs, target):
        return (outputs - target).abs().mean()


@pytest.mark.parametrize("loss", [mean_of_rows, MeanOfRows])
def test_a_loss_that_is_the_mean_of_its_rows_is_refused(resolve, loss):
    problem = problem_of(resolve, loss=loss)

    assert problem.startswith(f"splits.one: training.loss: {__name__}:{loss.__name__} gives")
    assert "it is their mean. Return the sum" in problem


def each_row(model, batch):
    return (model(batch["features"]) - batch["target"]).square().sum(1)


def contrasts(model, batch):
    outputs = model(batch["features"])
    return (outputs - outputs.T).square().sum()


def nothing(model, batch):
    return 0 * model(batch["features"]).sum()


@pytest.mark.parametrize("loss", [squares, each_row, contrasts, nothing])
def test_sums_of_rows_and_losses_of_several_rows_are_accepted(resolve, loss):
    assert problem_of(resolve, loss=loss) is None
