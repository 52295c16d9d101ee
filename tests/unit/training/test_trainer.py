"""Trainings, from rows on the disk to weights."""

import csv
import hashlib
import json
from importlib.metadata import version

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from memtrain.config.running import LoadingSettings, RunningSettings
from memtrain.core.errors import UserError
from memtrain.core.random_streams import torch_seed
from memtrain.core.ranges import Range
from memtrain.loading.row_order import RowOrder
from memtrain.recipes.model_file import check_weights, read_origin
from memtrain.system.digests import digest_of_file
from memtrain.training.run_context import RunContext
from memtrain.training.trainer import Trainer

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((300, 4), dtype=np.float32)
TARGET = (FEATURES @ [1, -2, 3, 0.5] + 0.3).astype(np.float32)


#: What the models of these tests say of the code that made them.
CODE = "sha256:code"


def paths_of(folder):
    """Return the files of a training: model, history and performance."""
    return [folder / name for name in ("model", "history", "performance")]


def train(resolve, tmp_path, training, features=FEATURES, target=TARGET, **how):
    data, recipe = resolve(features, target, training, **how)
    trainer = Trainer(recipe, data)
    trainer.run().write(*paths_of(tmp_path), code=CODE)
    with open(tmp_path / "history") as file:
        history = list(csv.DictReader(file))
    return recipe, safetensors.torch.load_file(tmp_path / "model"), history


def train_in_plain_pytorch(recipe, ranges, new_optimizer, new_schedule=None):
    """Train in as few lines of PyTorch as possible: every window is one batch."""
    settings = recipe.training.settings
    torch.manual_seed(torch_seed(settings.seed, "initial weights"))
    model = nn.Linear(4, 1)
    optimizer = new_optimizer(model.parameters())
    schedule = new_schedule(optimizer) if new_schedule else None
    size = settings.batch_size * settings.accumulation_steps
    features, target = torch.from_numpy(FEATURES), torch.from_numpy(TARGET)[:, None]
    order = RowOrder(ranges, size, seed=settings.seed)
    for epoch in range(settings.epochs):
        for number in range(order.windows):
            window = torch.from_numpy(order.epoch(epoch).window_rows(number)[0])
            if len(window) < size and settings.last_window == "drop":
                continue
            optimizer.zero_grad()
            nn.functional.mse_loss(model(features[window]), target[window]).backward()
            optimizer.step()
            if schedule:
                schedule.step()
    return model.state_dict()


@pytest.mark.parametrize("last_window", ["step", "drop"])
@pytest.mark.parametrize(
    ("optimizer", "new_optimizer"),
    [
        (
            {"name": "SGD", "lr": 0.1, "momentum": 0.9},
            lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
        ),
        (
            {"name": "AdamW", "lr": "1e-2", "weight_decay": 0.1},
            lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
        ),
    ],
    ids=["SGD", "AdamW"],
)
def test_training_equals_plain_pytorch(resolve, tmp_path, last_window, optimizer, new_optimizer):
    recipe, weights, history = train(
        resolve,
        tmp_path,
        {
            "model": "linear",
            "optimizer": optimizer,
            "batch_size": 7,
            "accumulation_steps": 4,
            "last_window": last_window,
            "seed": 5,
        },
        train=[[10, 150], [200, 290]],
        evaluate=[0, 10],
    )
    ranges = [Range(10, 150), Range(200, 290)]
    expected = train_in_plain_pytorch(recipe, ranges, new_optimizer)
    for found, value in zip(weights.values(), reversed(expected.values()), strict=True):
        assert torch.allclose(found, value, rtol=1e-4, atol=1e-6)
    rows = [28] * 8 + ([6] if last_window == "step" else [])
    assert [int(line["rows"]) for line in history] == rows * 3
    assert len(history) == recipe.training.sizes.steps


def test_the_schedule_advances_with_every_optimizer_step(resolve, tmp_path):
    recipe, weights, history = train(
        resolve,
        tmp_path,
        {
            "model": "linear",
            "optimizer": {"name": "SGD", "lr": 0.1},
            "scheduler": {"name": "StepLR", "step_size": 2, "gamma": 0.5},
            "batch_size": 25,
            "accumulation_steps": 4,
            "epochs": 2,
        },
    )
    rates = [float(line["learning_rate"]) for line in history]
    assert rates == [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    expected = train_in_plain_pytorch(
        recipe,
        [Range(0, 300)],
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5),
    )
    assert torch.allclose(weights["output.weight"], expected["weight"], atol=1e-6)


def test_the_history_holds_loss_and_norm(resolve, tmp_path):
    _, _, history = train(
        resolve,
        tmp_path,
        {"model": "linear", "optimizer": {"name": "SGD", "lr": 0.0}, "epochs": 2},
    )
    columns = ["step", "epoch", "rows", "loss", "learning_rate", "gradient_norm"]
    assert list(history[0]) == columns
    assert [int(line["step"]) for line in history] == list(range(1, len(history) + 1))
    # With a learning rate of 0 the model does not change, so both epochs have the same mean loss.
    means = [
        np.average(
            [float(line["loss"]) for line in history if line["epoch"] == epoch],
            weights=[int(line["rows"]) for line in history if line["epoch"] == epoch],
        )
        for epoch in "12"
    ]
    assert means[0] == pytest.approx(means[1], rel=1e-5)


#: A buffer that holds two windows, in which every slot has a lane of its own; a row has 20 bytes.
IN_LANES = {"shuffle": {"block_bytes": 80, "buffer_bytes": 1120}, "batch_size": 7}


@pytest.mark.parametrize("last_window", ["step", "drop"])
def test_all_rows_are_trained_on_if_they_exceed_the_buffer(resolve, tmp_path, last_window):
    settings = {"model": "linear", "accumulation_steps": 4, "last_window": last_window, **IN_LANES}
    recipe, _, history = train(resolve, tmp_path, settings)
    assert not recipe.shuffle.permutes_all_rows
    rows = [28] * 10 + ([20] if last_window == "step" else [])
    assert [int(line["rows"]) for line in history] == rows * 3
    sizes = recipe.training.sizes
    assert len(history) == sizes.steps
    # The short window has 5 rows in each of its four slots.
    assert sizes.micro_batches_per_epoch == 40 + (4 if last_window == "step" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [{}, IN_LANES, {"shuffle": "none"}])
def test_no_way_of_loading_changes_a_byte(resolve, tmp_path, shuffle):
    data, recipe = resolve(FEATURES, TARGET, {"model": "linear", **shuffle})
    digests = set()
    for number, loading in enumerate(
        [
            {},
            {"reader": "pread"},
            {"reader": "direct"},
            {"memory_budget": "100 MiB"},
            {"mapped_files": 0},
        ]
    ):
        for cores in (1, 2):
            paths = [tmp_path / f"{name}-{number}-{cores}" for name in "mhp"]
            trainer = Trainer(recipe, data, RunContext(loading=LoadingSettings(**loading)))
            trainer._loader._gathers_ahead = cores == 2
            trainer.run().write(*paths, code=CODE)
            digests.add(tuple(path.read_bytes() for path in paths[:2]))
    assert len(digests) == 1


def test_a_budget_that_is_too_small_is_refused_before_the_first_step(resolve):
    data, recipe = resolve(FEATURES, TARGET, {"model": "linear"})
    with pytest.raises(UserError, match=r"memory_budget: .* are needed"):
        Trainer(recipe, data, RunContext(loading=LoadingSettings(memory_budget=1000)))


@pytest.mark.parametrize("model", ["linear", {"name": "mlp", "hidden": [8], "dropout": 0.5}])
def test_the_same_recipe_gives_the_same_bytes(resolve, tmp_path, model):
    digests = set()
    for _ in range(2):
        train(resolve, tmp_path, {"model": model})
        digests.add(
            tuple(
                hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
                for name in ("model", "history")
            )
        )
    assert len(digests) == 1


def test_the_model_says_what_it_was_made_from(resolve, tmp_path):
    recipe, _, _ = train(resolve, tmp_path, {"model": "linear"})
    with safe_open(tmp_path / "model", "pt") as file:
        (statement,) = map(json.loads, file.metadata().values())
    assert statement["made_from"] == {"recipe": recipe.digest("training"), "code": CODE}
    assert statement["files"] == {
        "history.csv": digest_of_file(tmp_path / "history"),
        "validation.csv": digest_of_file(tmp_path / "validation.csv"),
    }
    assert statement["packages"] == {"numpy": np.__version__, "torch": version("torch")}
    assert statement["device"] == "cpu"
    origin = read_origin(tmp_path / "model")
    assert origin.made_from == statement["made_from"]
    assert origin.tensors == statement["tensors"]
    assert origin.steps == origin.kept_step == recipe.training.sizes.steps
    check_weights(tmp_path / "model")


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ({"name": "scale", "factor": 2, "offset": -1}, FEATURES * 2 - 1),
        ("standardize", (FEATURES - FEATURES[:200].mean(0)) / FEATURES[:200].std(0)),
        ("none", FEATURES),
    ],
)
def test_the_model_sees_transformed_features(resolve, tmp_path, transform, expected):
    _, _, history = train(
        resolve,
        tmp_path,
        {"model": "linear", "transform": transform, "batch_size": 200, "accumulation_steps": 1},
        train=[0, 200],
    )
    torch.manual_seed(torch_seed(0, "initial weights"))
    model = nn.Linear(4, 1)
    outputs = model(torch.from_numpy(expected[:200].astype(np.float32)))
    loss = nn.functional.mse_loss(outputs[:, 0], torch.from_numpy(TARGET[:200]))
    assert float(history[0]["loss"]) == pytest.approx(loss.item(), rel=1e-4)


def test_classes_are_learned(resolve, tmp_path):
    labels = (TARGET.mean() < TARGET).astype(np.int64) + (TARGET > 2)
    training = {
        "model": "linear",
        "loss": "CrossEntropyLoss",
        "transform": "standardize",
        "optimizer": {"name": "Adam", "lr": 0.05},
        "epochs": 40,
    }
    _, weights, history = train(
        resolve, tmp_path, training, target=labels, classes=int(labels.max()) + 1
    )
    assert len(weights["output.bias"]) == labels.max() + 1
    assert float(history[-1]["loss"]) < 0.4 * float(history[0]["loss"])


def test_an_exploding_loss_is_reported_with_step_and_rows(resolve, tmp_path):
    training = {"model": "linear", "optimizer": {"name": "SGD", "lr": 1e30}, "batch_size": 4}
    with pytest.raises(
        UserError, match=r"at step \d+ \(epoch 1\).*of the rows \d+, \d+, \d+, \d+\."
    ):
        train(resolve, tmp_path, training)
    assert not (tmp_path / "model").exists()


class Tied(nn.Module):
    """A model with two names for one weight."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two = nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, features):
        return self.two(self.one(features))[:, :1]


class WithExtraState(nn.Linear):
    """A model whose state is not made of tensors alone."""

    def __init__(self):
        super().__init__(4, 1)

    def get_extra_state(self):
        return {"version": 2}

    def set_extra_state(self, state):
        pass


def test_a_model_whose_state_cannot_be_written_is_refused_before_the_training(resolve):
    data, recipe = resolve(FEATURES, TARGET, {"model": f"{__name__}:WithExtraState"})
    with pytest.raises(UserError, match=r"training\.model: .* holds _extra_state, which cannot"):
        Trainer(recipe, data)


def test_tied_weights_are_written(resolve, tmp_path):
    _, weights, _ = train(resolve, tmp_path, {"model": f"{__name__}:Tied"})
    assert torch.equal(weights["one.weight"], weights["two.weight"])


def test_a_file_without_the_rows_of_the_recipe_is_refused(resolve, write_rows):
    _, recipe = resolve(FEATURES, TARGET)
    with pytest.raises(UserError, match="has 299 rows, but the recipe has rows up to 300"):
        Trainer(recipe, write_rows(FEATURES[:299], TARGET[:299]))
    with pytest.raises(UserError, match=r"its rows are .* but the recipe was made for"):
        Trainer(recipe, write_rows(FEATURES[:, :3], TARGET))


class Normalized(nn.Module):
    """A model in which the output of a row depends on the other rows of its micro-batch."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1))

    def forward(self, features):
        return self.inside(features)


def test_there_is_a_warning_of_batch_normalization(resolve, caplog):
    data, recipe = resolve(FEATURES, TARGET, {"model": f"{__name__}:Normalized"})
    Trainer(recipe, data).run()
    (warning,) = (record.message for record in caplog.records if record.levelname == "WARNING")
    assert "Normalized has BatchNorm (inside.0)" in warning
    assert "Use GroupNorm or LayerNorm" in warning
    caplog.clear()
    data, recipe = resolve(FEATURES, TARGET, {"model": "mlp"})
    Trainer(recipe, data).run()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


class Scattering(nn.Linear):
    """A model with an operation that PyTorch cannot repeat exactly."""

    def __init__(self):
        super().__init__(4, 1)

    def forward(self, features):
        if self.training:
            torch.zeros(8).put_(torch.tensor([0, 0]), features[0, :2].detach())
        return super().forward(features)


def test_a_nondeterministic_operation_is_named(resolve, tmp_path):
    settings = {"model": f"{__name__}:Scattering"}
    with pytest.raises(UserError, match=r"put_.*cannot be reproduced"):
        train(resolve, tmp_path, settings)
    train(resolve, tmp_path, settings | {"reduction": "fast"})


@pytest.mark.slow
def test_the_number_of_slots_in_one_call_changes_no_byte(resolve, tmp_path):
    settings = {"model": {"name": "mlp", "hidden": [16]}, "batch_size": 8}
    data, recipe = resolve(FEATURES, TARGET, settings)
    digests = set()
    for per_call in (1, 2, 4, 8, "auto"):
        context = RunContext(running=RunningSettings(slots_per_call=per_call))
        paths = [tmp_path / f"{name}-{per_call}" for name in "mhp"]
        Trainer(recipe, data, context).run().write(*paths, code=CODE)
        digests.add(tuple(path.read_bytes() for path in paths[:2]))
    assert len(digests) == 1
