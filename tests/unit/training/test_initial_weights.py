"""Trainings that start from the weights of another model, and train only a part of them."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from memtrain.components.models import Mlp
from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.indexing import index_shards
from memtrain.data.source import Source
from memtrain.loading.row_order import RowOrder
from memtrain.planning.split_resolution import resolve_splits
from memtrain.recipes.model_file import read_origin
from memtrain.system.digests import digest_of_file
from memtrain.training.trainer import Trainer
from tests.trainings import Training, wait_until

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((240, 4), dtype=np.float32)
TARGET = (FEATURES @ [1, -2, 3, 0.5] + 0.3).astype(np.float32)

SETTINGS = {
    "model": {"name": "mlp", "hidden": [6]},
    "optimizer": {"name": "SGD", "lr": 0.05, "momentum": 0.9},
    "batch_size": 5,
    "accumulation_steps": 4,
    "epochs": 2,
    "seed": 3,
    "device": "cpu",
}
BASE = {"train": [0, 120]}
TUNED = {"train": [120, 200], "evaluate": [200, 240]}

OWN = """
import torch
from torch import nn


class Normalized(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(in_features, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.head = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, out_features))

    def forward(self, features):
        return self.head(self.body(features))
"""


@pytest.fixture
def resolve_all(write_rows):
    """Return a function that resolves splits of the same rows; it returns data and recipes."""

    def resolve(splits, training=None):
        data = write_rows(FEATURES, TARGET)
        columns = {"path": "x", "features": ["x"], "target": ["y"]}
        configuration = parse_configuration(
            {
                "dataset": {"name": "test", "import": columns},
                "splits": splits,
                "training": SETTINGS | (training or {}),
            }
        )
        source = Source(
            features=[f"x{number}" for number in range(4)],
            target=["y"],
            task="regression",
            classes=None,
        )
        recipes = resolve_splits(configuration, data, index_shards(data, 50), source)
        return str(data), {recipe.split: recipe for recipe in recipes}

    return resolve


@pytest.fixture
def weights(tmp_path):
    """Path of a file with the weights of a trained network, as another program writes it."""
    torch.manual_seed(8)
    save_file(Mlp(4, 1, [6]).state_dict(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def starting(initial, **changes):
    return {"tuned": {**TUNED, "training": {"initial": initial, **changes}}}


def problems_of(resolve_all, splits, **training):
    with pytest.raises(UserError) as caught:
        resolve_all(splits, training)
    return caught.value.problems


def model_of(trainer):
    return trainer._parts.model


def test_a_training_starts_from_exactly_the_weights_of_a_file(resolve_all, weights):
    data, recipes = resolve_all(starting({"path": str(weights)}))
    found = model_of(Trainer(recipes["tuned"], data)).state_dict()
    expected = load_file(weights)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert recipes["tuned"].training.files == {str(weights): digest_of_file(weights)}


def test_weights_go_where_patterns_send_them_and_the_rest_comes_from_the_seed(
    resolve_all, tmp_path
):
    torch.manual_seed(8)
    tensors = {
        f"encoder.{name}": value.clone() for name, value in Mlp(4, 1, [6]).state_dict().items()
    }
    save_file(tensors, tmp_path / "w.safetensors")
    initial = {
        "path": str(tmp_path / "w.safetensors"),
        "keys": {"encoder.layers.*": "layers.*"},
        "exclude": ["*layers.2.*"],
    }
    data, recipes = resolve_all(starting(initial) | {"plain": TUNED})
    found = model_of(Trainer(recipes["tuned"], data)).state_dict()
    seeded = model_of(Trainer(recipes["plain"], data)).state_dict()
    for name, value in found.items():
        other = seeded[name] if name.startswith("layers.2") else tensors[f"encoder.{name}"]
        assert torch.equal(value, other), name
    assert not torch.equal(seeded["layers.0.weight"], found["layers.0.weight"])


def test_loading_freezing_and_training_equals_a_plain_loop(resolve_all, weights, tmp_path):
    data, recipes = resolve_all(starting({"path": str(weights)}, freeze=["layers.0.*"]))
    recipe = recipes["tuned"]
    trainer = Trainer(recipe, data)
    trainer.run().write(*(tmp_path / name for name in "mhp"), code="sha256:code")
    found = load_file(tmp_path / "m")

    model = Mlp(4, 1, [6])
    model.load_state_dict(load_file(weights))
    model.layers[0].requires_grad_(False)
    trained = [part for part in model.parameters() if part.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.05, momentum=0.9)
    features, target = torch.from_numpy(FEATURES), torch.from_numpy(TARGET)[:, None]
    order = RowOrder([Range(120, 200)], 20, seed=3)
    for epoch in range(2):
        for number in range(order.windows):
            window = torch.from_numpy(order.epoch(epoch).window_rows(number)[0])
            optimizer.zero_grad()
            nn.functional.mse_loss(model(features[window]), target[window]).backward()
            optimizer.step()
    for name, value in model.state_dict().items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-6), name
    for name, value in load_file(weights).items():
        assert torch.equal(found[name], value) == name.startswith("layers.0"), name
    in_optimizer = {
        id(part) for group in trainer._parts.optimizer.param_groups for part in group["params"]
    }
    for name, part in model_of(trainer).named_parameters():
        assert part.requires_grad == (id(part) in in_optimizer) == name.startswith("layers.2")


def test_averages_of_frozen_weights_are_their_bytes(resolve_all, weights, tmp_path):
    averaged = {"keep": "averaged", "averaging": {"ema": 0.7}, "freeze": ["layers.0.*"]}
    data, recipes = resolve_all(starting({"path": str(weights)}, **averaged))
    result = Trainer(recipes["tuned"], data).run()
    for name, value in load_file(weights).items():
        assert torch.equal(result.weights[name], value) == name.startswith("layers.0"), name


def test_frozen_layers_keep_their_statistics(resolve_all, tmp_path, monkeypatch):
    (tmp_path / "normalized.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    own = {"model": "normalized:Normalized"}
    data, recipes = resolve_all({"tuned": {**TUNED, "training": {"freeze": ["body.*"]}}}, own)
    trainer = Trainer(recipes["tuned"], data)
    before = {name: part.clone() for name, part in model_of(trainer).state_dict().items()}
    after = trainer.run().weights
    for name, value in before.items():
        assert torch.equal(after[name], value) == name.startswith("body"), name
    (problem,) = problems_of(
        resolve_all, {"tuned": {**TUNED, "training": {"freeze": ["bodi.*"]}}}, **own
    )
    assert "training.freeze: 'bodi.*' matches no parameter of the model; it has body.0." in problem


def test_nothing_left_to_train_is_refused(resolve_all):
    (problem,) = problems_of(resolve_all, {"tuned": {**TUNED, "training": {"freeze": ["*"]}}})
    assert "the model has no parameter to train" in problem


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"layers.2.bias": None}, ["layers.2.bias of this model is not in "]),
        ({"head": torch.zeros(2)}, [" would go to head, which this model does not have."]),
        (
            {"layers.0.weight": torch.zeros(6, 5), "layers.0.bias": torch.zeros(7)},
            ["is [7], and layers.0.bias of this model is [6]. Exclude it", "is [6, 5], and"],
        ),
    ],
)
def test_what_does_not_fit_is_told_key_by_key(resolve_all, weights, change, expected):
    tensors = {
        name: value for name, value in (load_file(weights) | change).items() if value is not None
    }
    save_file(tensors, weights)
    problems = problems_of(resolve_all, starting({"path": str(weights)}))
    assert len(problems) == len(expected)
    for problem, part in zip(sorted(problems), sorted(expected), strict=True):
        assert problem.startswith("splits.tuned.training.initial: ")
        assert part in "".join(problems)


@pytest.mark.parametrize(
    ("initial", "expected"),
    [
        ({}, "either `split` or `path` is needed; found neither"),
        ({"path": "x", "split": "base"}, "found both"),
        ({"path": "missing.safetensors"}, "missing.safetensors is no file"),
        ({"path": "FILE", "keys": {"a.*": "b"}}, "both have one *"),
        ({"path": "FILE", "keys": ["layer.*"]}, "'layer.*' matches no key of"),
        ({"path": "FILE", "keys": ["*", "layers.0.*"]}, "matches both '*' and 'layers.0.*'"),
        (
            {"path": "FILE", "keys": {"layers.0.bias": "x", "layers.2.bias": "x"}},
            "both layers.0.bias and layers.2.bias of FILE go to x",
        ),
        ({"split": "bas"}, "found 'bas'; known are tuned, base. Did you mean 'base'?"),
        ({"split": "tuned"}, "tuned starts from tuned, so that none of them"),
    ],
)
def test_wrong_settings_are_told(resolve_all, weights, initial, expected):
    given = json.loads(json.dumps(initial).replace("FILE", str(weights)))
    problems = problems_of(resolve_all, starting(given) | {"base": BASE})
    assert any(expected.replace("FILE", str(weights)) in one for one in problems), problems


def test_swept_splits_start_from_the_base_that_their_split_names():
    configuration = parse_configuration(
        {
            "dataset": {"name": "test", "mock": {"rows": 300, "features": 4}},
            "splits": {"base": BASE} | starting({"split": "base"}),
            "sweep": {"splits": ["tuned"], "grid": {"training.seed": [1, 2]}},
        }
    )
    swept = [split for split in configuration.split_names if split != "base"]
    assert len(swept) == 2
    assert [configuration.bases_of(split) for split in swept] == [["base"], ["base"]]


def test_numbers_that_would_be_rounded_are_refused(resolve_all, weights):
    exact = {name: value.double() for name, value in load_file(weights).items()}
    save_file(exact, weights)
    data, recipes = resolve_all(starting({"path": str(weights)}))
    found = model_of(Trainer(recipes["tuned"], data)).state_dict()
    assert all(torch.equal(found[name].double(), exact[name]) for name in exact)
    save_file(exact | {"layers.0.bias": exact["layers.0.bias"] + 1e-12}, weights)
    with pytest.raises(UserError, match=r"layers\.0\.bias is float64 in .*, and float32 in this"):
        Trainer(recipes["tuned"], data)


def test_rows_that_the_base_was_trained_on_do_not_test_the_tuned_model(resolve_all):
    base = {"train": [0, 120], "validate": [200, 210]}
    middle = {"train": [120, 130], "training": {"initial": {"split": "base"}}}
    tuned = {"train": [130, 200], "validate": [100, 120], "evaluate": [200, 240]}
    splits = {"base": base, "middle": middle, "tuned": tuned}
    problems = problems_of(
        resolve_all, splits | {"tuned": {**tuned, "training": {"initial": {"split": "middle"}}}}
    )
    assert len(problems) == 2
    assert "rows [100, 120) are in `train` of base, which this model comes from" in problems[0]
    assert "rows [200, 210) are in `validate` of base" in problems[1]
    allowed = {"initial": {"split": "middle", "allow_overlap": True}}
    _, recipes = resolve_all(splits | {"tuned": {**tuned, "training": allowed}})
    assert recipes["tuned"].training.settings.initial.allow_overlap


def test_shapes_of_another_split_are_compared_before_anything_is_trained(resolve_all):
    wide = {"training": {"model": {"hidden": [7]}}}
    splits = {"base": BASE | wide} | starting({"split": "base"})
    problems = problems_of(resolve_all, splits)
    assert len(problems) == 3
    assert all("of the model of base is [" in problem for problem in problems)


@pytest.mark.slow
def test_another_split_is_named_with_all_that_it_came_from(resolve_all, tmp_path):
    splits = {
        "base": BASE,
        "middle": {"train": [0, 60], "training": {"initial": {"split": "base"}}},
    }
    data, recipes = resolve_all(splits | starting({"split": "middle"}))
    trainings = {name: Training(tmp_path / name, data, recipes[name]) for name in recipes}
    said = trainings["middle"].run(status=1)
    assert "starts from the model of base, but its path is not known" in said
    models = {name: one.folder / "model.safetensors" for name, one in trainings.items()}
    trainings["base"].run()
    trainings["middle"].run("--initial", str(models["base"]))
    trainings["tuned"].run("--initial", str(models["middle"]))
    origin = read_origin(models["tuned"])
    assert [one.split for one in origin.bases] == ["middle", "base"]
    assert [one.model for one in origin.bases] == [
        digest_of_file(models[name]) for name in ("middle", "base")
    ]
    assert [one.recipe for one in origin.bases] == [
        recipes[name].digest("training") for name in ("middle", "base")
    ]
    assert origin.made_from["initial"] == digest_of_file(models["middle"])
    assert "bases" not in safetensors.safe_open(models["base"], "pt").metadata()["memtrain"]
    content = bytearray(models["base"].read_bytes())
    content[-1] ^= 1
    models["base"].write_bytes(content)
    said = trainings["middle"].run("--initial", str(models["base"]), status=1)
    assert "the weights have changed since they were written" in said


@pytest.mark.slow
def test_processes_and_kills_change_no_byte_of_a_training_that_starts_from_another(
    resolve_all, tmp_path
):
    changes = {"freeze": ["layers.0.weight"], "keep": "averaged", "averaging": {"ema": 0.8}}
    splits = {"base": BASE} | starting({"split": "base"}, epochs=12, **changes)
    data, recipes = resolve_all(splits)
    base = Training(tmp_path / "base", data, recipes["base"])
    base.run()
    given = ("--initial", str(base.folder / "model.safetensors"))
    one, two, killed = (Training(tmp_path / name, data, recipes["tuned"]) for name in "123")
    one.run(*given)
    two.run(*given, processes=2)
    assert two.digests() == one.digests()
    every = ("--running", "{checkpoint: {steps: 1}}")
    with killed.started(*given, *every):
        wait_until(killed.checkpoints)
        killed.kill()
    steps = max(killed.checkpoints())
    assert steps < recipes["tuned"].training.sizes.steps
    assert f"going on after step {steps}" in killed.run(*given, *every)
    assert killed.digests() == one.digests()


@pytest.mark.slow
def test_a_training_does_not_go_on_from_what_began_with_another_base(resolve_all, tmp_path):
    data, recipes = resolve_all({"base": BASE} | starting({"split": "base"}, epochs=12))
    base = Training(tmp_path / "base", data, recipes["base"])
    base.run()
    model = base.folder / "model.safetensors"
    tuned = Training(tmp_path / "tuned", data, recipes["tuned"])
    every = ("--initial", str(model), "--running", "{checkpoint: {steps: 1}}")
    with tuned.started(*every):
        wait_until(tuned.checkpoints)
        tuned.kill()
    other = Training(tmp_path / "other", data, resolve_all({"base": BASE}, {"seed": 4})[1]["base"])
    other.run()
    model.write_bytes((other.folder / "model.safetensors").read_bytes())
    assert "going on after" not in tuned.run(*every)


@pytest.mark.slow
def test_declared_files_that_changed_stop_a_training(resolve_all, weights, tmp_path):
    data, recipes = resolve_all(starting({"path": str(weights)}))
    training = Training(tmp_path / "tuned", data, recipes["tuned"])
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights)
    said = training.run(status=1)
    assert "which the training reads, has changed since the recipe was made" in said
