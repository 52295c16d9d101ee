"""Recipes, and the problems that are found before anything is trained."""

import json
import re
import sys

import numpy as np
import pytest

from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.data.indexing import index_shards
from memtrain.data.source import Source
from memtrain.planning.long_trainings import describe_long_training
from memtrain.planning.recipe_warnings import (
    describe_absent_classes,
    describe_weak_shuffle,
)
from memtrain.planning.split_resolution import resolve_splits
from memtrain.recipes.recipe import Recipe
from memtrain.recipes.recipe_facts import RecipeFacts, read_recipe_facts
from memtrain.system import checked_json

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((100, 4), dtype=np.float32)
TARGET = GENERATOR.random((100, 1), dtype=np.float32)


def refused(resolve, *expected, features=FEATURES, target=TARGET, **how):
    with pytest.raises(UserError) as caught:
        resolve(features, target, **how)
    (problem,) = caught.value.problems
    for part in expected:
        assert part in problem
    return problem


def test_a_recipe_is_complete_and_reads_back(resolve, tmp_path):
    _, recipe = resolve(
        FEATURES, TARGET, train=[[3, 20], [40, 64]], evaluate=["80%", "100%"], shard=16
    )
    training = recipe.training
    assert training.rows.resolved == [(3, 20), (40, 64)]
    assert [(piece.start, piece.end) for piece in training.rows.pieces] == [
        (3, 16),
        (16, 20),
        (40, 48),
        (48, 64),
    ]
    assert list(recipe.shards) == ["0", "1", "2", "3", "5", "6"]
    used = np.r_[FEATURES[3:20], FEATURES[40:64]].astype(np.float64)
    assert np.allclose(training.statistics_of("features").mean, used.mean(axis=0), rtol=1e-12)
    assert training.settings.optimizer.arguments == {"lr": 0.001}
    recipe.write(tmp_path / "split.json")
    assert Recipe.read(tmp_path / "split.json") == recipe
    digests = read_recipe_facts(tmp_path / "split.json").digests
    assert digests == {part: recipe.digest(part) for part in ("training", "evaluation")}


def test_a_recipe_of_another_version_has_digests_and_no_workload(resolve, tmp_path):
    _, recipe = resolve(FEATURES, TARGET)
    recipe.write(tmp_path / "split.json")
    facts = read_recipe_facts(tmp_path / "split.json")
    assert facts.workload.evaluation_rows == recipe.evaluation.rows.count
    content = json.loads((tmp_path / "split.json").read_text())
    content["needs"] = content.pop("resource_estimate")
    (tmp_path / "split.json").write_text(json.dumps(content))
    of_others = RecipeFacts(facts.digests, facts.settings, workload=None)
    assert read_recipe_facts(tmp_path / "split.json") == of_others


def test_the_digest_depends_on_the_rows_of_the_split_and_no_others(resolve):
    def digests(features, **how):
        _, recipe = resolve(features, TARGET, train=[5, 60], evaluate=[80, 90], shard=16, **how)
        return recipe.digest("training"), recipe.digest("evaluation"), recipe.shards

    before = digests(FEATURES)
    for row, same in ((4, (True, True)), (5, (False, True)), (59, (False, True))):
        features = FEATURES.copy()
        features[row, 2] += 1
        after = digests(features)
        assert (before[0] == after[0], before[1] == after[1]) == same
        assert before[2] != after[2]
    features = FEATURES.copy()
    features[85] += 1
    assert [a == b for a, b in zip(before, digests(features), strict=True)] == [True, False, False]


def test_classes_without_a_training_row_are_told(resolve):
    target = np.array([[0, 2, 3][row // 34] for row in range(100)])[:, None]
    how = {"training": {"loss": "CrossEntropyLoss", "model": "linear"}, "classes": 4}
    _, recipe = resolve(FEATURES, target, train=[0, 50], **how)
    assert "no training row is of class 1, 3; the model cannot" in describe_absent_classes(
        recipe, None
    )
    _, recipe = resolve(FEATURES, np.arange(100)[:, None] % 4, **how)
    assert describe_absent_classes(recipe, None) is None


def test_exchanging_two_settings_changes_the_digest(resolve):
    _, one = resolve(FEATURES, TARGET, {"batch_size": 2, "accumulation_steps": 4})
    _, other = resolve(FEATURES, TARGET, {"batch_size": 4, "accumulation_steps": 2})
    assert one.digest("training") != other.digest("training")
    assert one.digest("evaluation") == other.digest("evaluation")


@pytest.mark.parametrize(
    ("training", "steps_per_epoch", "micro_batches"),
    [
        ({"batch_size": 16, "accumulation_steps": 2, "last_window": "step"}, 4, 7),
        ({"batch_size": 16, "accumulation_steps": 2, "last_window": "drop"}, 3, 6),
        ({"batch_size": 100, "accumulation_steps": 1, "last_window": "drop"}, 1, 1),
        ({"batch_size": 1000, "accumulation_steps": 8}, 1, 1),
    ],
)
def test_the_sizes_of_a_training(resolve, training, steps_per_epoch, micro_batches):
    _, recipe = resolve(FEATURES, TARGET, training | {"epochs": 2})
    sizes = recipe.training.sizes
    assert (sizes.steps_per_epoch, sizes.steps) == (steps_per_epoch, 2 * steps_per_epoch)
    assert sizes.micro_batches_per_epoch == micro_batches


def test_a_training_without_a_full_window_cannot_drop_the_short_one(resolve):
    training = {"batch_size": 101, "accumulation_steps": 1, "last_window": "drop"}
    refused(resolve, "100 training rows", "101 x 1", "last_window: step", training=training)


@pytest.mark.parametrize(
    ("value", "kind"), [(np.nan, "missing (NaN)"), (np.inf, "infinite"), (-np.inf, "infinite")]
)
@pytest.mark.parametrize("use", ["training", "evaluation"])
def test_values_that_are_not_finite_are_found(resolve, value, kind, use):
    features = FEATURES.copy()
    features[42, 3] = value
    features[44, 0] = value
    ranges = {"training": ([30, 60], [0, 9]), "evaluation": ([0, 9], [30, 60])}[use]
    refused(
        resolve,
        f"of its {use} values, 2 {kind} are",
        "row 42, field features, column 3",
        "shard 5",
        features=features,
        train=ranges[0],
        evaluate=ranges[1],
    )
    resolve(features, TARGET, train=[0, 42], evaluate=[45, 100])


@pytest.mark.parametrize("field", ["features", "target"])
def test_values_that_nothing_can_standardize_are_refused(resolve, field):
    rows = {"features": FEATURES.astype(np.float64), "target": TARGET.astype(np.float64)}
    rows[field][7, 0] = 1e200
    settings = {"transform": "standardize", "target": "standardize"}
    name = "x0" if field == "features" else "y"
    expected = (f"the values of {name} reach 1e+200", "nothing can standardize them")
    refused(resolve, *expected, training=settings, **rows)


def test_missing_values_that_are_filled_are_no_problem(resolve):
    features = FEATURES.copy()
    features[42, 3] = np.nan
    _, recipe = resolve(features, TARGET, {"impute": "mean"}, train=[0, 50], evaluate=[40, 90])
    assert recipe.training.statistics_of("features").missing.tolist() == [0, 0, 0, 1]
    how = {"features": features, "evaluate": [0, 9]}
    refused(resolve, "row 42, field features", training={"impute": {"x0": 0}}, **how)
    features[44, 0] = np.inf
    refused(resolve, "1 infinite are", "row 44", training={"impute": 0.5}, **how)


def test_a_missing_target_is_never_filled(resolve):
    target = TARGET.copy()
    target[3] = np.nan
    how = {"target": target, "evaluate": [10, 20]}
    refused(resolve, "row 3, field target", training={"impute": "mean"}, **how)


def test_columns_to_fill_are_checked(resolve):
    refused(resolve, "impute names y, which is no feature", training={"impute": {"y": "mean"}})
    features = FEATURES.copy()
    features[:60, 1] = np.nan
    how = {"features": features, "train": [0, 60], "training": {"impute": "mean"}}
    refused(resolve, "impute puts the mean of x1", **how)
    resolve(features, TARGET, {"impute": {"x1": 0}}, train=[0, 60])


OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, width=3):
        super().__init__()
        self.one = nn.Linear(in_features, width)
        self.two = nn.Linear(width, 1)

    def forward(self, features):
        return self.two(self.one(features))

class Wide(nn.Linear):
    def __init__(self):
        super().__init__(7, 1)

class Flat(Net):
    def forward(self, features):
        return super().forward(features)[:, 0]

def thing():
    return 3

def halve(row, by=2):
    return row | {"features": row["features"] / by}

def lose(row):
    return {"target": row["target"]}
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_parts", raising=False)


@pytest.mark.usefixtures("own_module")
def test_custom_models_and_transforms(resolve):
    training = {
        "model": {"name": "own_parts:Net", "width": 5},
        "transform": {"name": "own_parts:halve", "by": 4},
    }
    resolve(FEATURES, TARGET, training)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"model": "mpl"}, ["training.model", "'mpl'", "Did you mean 'mlp'?"]),
        ({"model": {"name": "mlp", "hiden": [3]}}, ["training.model", "hiden", "'hidden'?"]),
        ({"model": {"name": "mlp", "hidden": "x"}}, ["training.model", "Mlp refuses"]),
        ({"model": "nowhere:Net"}, ["training.model", "'nowhere:Net'", "ModuleNotFoundError"]),
        ({"model": "own_parts:Nett"}, ["training.model", "no 'Nett'", "Did you mean 'Net'?"]),
        ({"model": "own_parts:thing"}, ["training.model", "not an nn.Module"]),
        ({"model": "own_parts:Wide"}, ["training.model", "does not fit rows of (4,) features"]),
        ({"model": "own_parts:Flat"}, ["training.loss", "MSELoss", "(16,)", "(16, 1)"]),
        ({"transform": "scal"}, ["training.transform", "Did you mean 'scale'?"]),
        ({"transform": {"name": "scale", "faktor": 2}}, ["training.transform", "'factor'?"]),
        (
            {"transform": "own_parts:lose"},
            ["training.transform", "it must return a row with features, target"],
        ),
        ({"loss": "MSELos"}, ["training.loss", "Did you mean 'MSELoss'?"]),
        ({"loss": "CrossEntropyLoss"}, ["training.loss", "learns classes", "float"]),
        ({"loss": {"name": "MSELoss", "reduction": "mean"}}, ["training.loss", "reduction"]),
        ({"loss": "TripletMarginLoss"}, ["training.loss", "TripletMarginLoss takes three"]),
        ({"optimizer": "Adan"}, ["training.optimizer", "Did you mean 'Adam'?"]),
        ({"optimizer": {"name": "Adam", "lr": -1}}, ["training.optimizer", "lr=-1", "Invalid"]),
        ({"optimizer": {"name": "Adam", "lrr": 1}}, ["training.optimizer", "Did you mean 'lr'?"]),
        ({"optimizer": {"name": "LBFGS"}}, ["training.optimizer", "cannot take a step"]),
        ({"scheduler": "StepLR"}, ["training.scheduler", "step_size"]),
        ({"scheduler": "ReduceLROnPlateau"}, ["training.scheduler", "the loss of a validation"]),
    ],
)
def test_a_part_that_does_not_fit_is_refused_with_its_key(resolve, training, expected):
    problem = refused(resolve, *expected, training=training)
    assert problem.startswith("splits.one: training")
    assert "Traceback" not in problem


def test_a_loss_for_numbers_does_not_fit_classes(resolve):
    labels = np.arange(100) % 3
    refused(resolve, "MSELoss learns numbers", "3 classes", target=labels, classes=3)
    training = {"loss": "BCEWithLogitsLoss"}
    refused(resolve, "learns two classes", target=labels, classes=3, training=training)
    resolve(FEATURES, np.arange(100) % 2, training, classes=2)


def test_the_problems_of_all_splits_are_reported_at_once(write_rows):
    data = write_rows(FEATURES, TARGET)
    configuration = parse_configuration(
        {
            "dataset": {"name": "x", "import": {"path": "x", "features": ["a"], "target": ["b"]}},
            "splits": {
                "a": {"train": [0, 101], "evaluate": [90, 200]},
                "b": {"train": [0, 50], "evaluate": [50, 60], "training": {"model": "mpl"}},
                "c": {"train": [0, 50], "evaluate": [49, 60]},
            },
        }
    )
    source = Source(features=["a"], target=["b"], task="regression")
    with pytest.raises(UserError) as caught:
        resolve_splits(configuration, data, index_shards(data), source)
    assert len(caught.value.problems) == 5


def test_a_damaged_recipe_is_named(resolve, tmp_path):
    _, recipe = resolve(FEATURES, TARGET)
    path = tmp_path / "split.json"
    recipe.write(path)
    content = checked_json.read(path, made_by="resolve_splits")
    del content["training"]["rows"]
    checked_json.write(path, content)
    with pytest.raises(UserError, match=r"split\.json: .*training\.rows: .*resolve_splits again"):
        Recipe.read(path)


def test_a_recipe_that_was_changed_by_hand_is_refused(resolve, tmp_path):
    _, recipe = resolve(FEATURES, TARGET)
    path = tmp_path / "split.json"
    recipe.write(path)
    path.write_text(path.read_text().replace('"batch_size": ', '"batch_size": 1'))
    with pytest.raises(UserError, match=r"split\.json: it has changed since it was written"):
        Recipe.read(path)


WEAK = {"block_bytes": 200, "buffer_bytes": 1000}


def test_the_quality_of_the_shuffle_is_stated_with_a_warning_if_it_is_weak(resolve):
    training = {"shuffle": WEAK, "batch_size": 8, "accumulation_steps": 2}
    _, recipe = resolve(FEATURES, TARGET, training)
    row_bytes = 4 * (FEATURES.shape[1] + 1)
    blocks = recipe.shuffle.blocks_per_buffer
    assert recipe.shuffle.rows_per_block == 200 // row_bytes
    assert not recipe.shuffle.permutes_all_rows
    assert recipe.shuffle.batch_variance == pytest.approx(1 + 15 / blocks, rel=0.3)
    warning = describe_weak_shuffle(recipe)
    assert "splits.one: training.shuffle" in warning
    assert "shuffle_once" in warning
    # The advice does what it says.
    advised = re.search(r"buffer_bytes to ([\d.]+ \w+)", warning)[1]
    _, better = resolve(FEATURES, TARGET, training | {"shuffle": WEAK | {"buffer_bytes": advised}})
    assert describe_weak_shuffle(better) is None


def test_a_training_of_years_is_told_with_its_estimate(resolve):
    assert describe_long_training(resolve(FEATURES, TARGET, {"epochs": 10**6})[1]) is None
    _, recipe = resolve(FEATURES, TARGET, {"epochs": 10**9, "batch_size": 1})
    warning = describe_long_training(recipe)
    assert "splits.one: training.epochs: 1,000,000,000 epochs of 100 rows are" in warning
    # 100 micro-batches of 0.4 ms and 100 rows of 20 bytes, at 50 MB/s, 10^9 times.
    days = round(10**9 * 100 * (0.4e-3 + 20 / 50e6) / (24 * 3600))
    assert f"13,000,000,000 steps, about {days} days in one process" in warning


def test_rows_in_random_order_need_no_other_shuffle(write_rows):
    data = write_rows(FEATURES, TARGET)
    configuration = parse_configuration(
        {
            "dataset": {"name": "x", "mock": {"rows": len(FEATURES)}},
            "splits": {"one": {"train": [0, 90], "evaluate": [90, 100]}},
            "training": {"shuffle": "none"},
        }
    )
    for origin, variance in (
        ({"kind": "mock"}, 1.0),
        ({"kind": "import", "settings": {"shuffle_once": 0}}, 1.0),
        ({"kind": "import", "settings": {"shuffle_once": None}}, 90.0),
    ):
        source = Source(["x"], ["y"], "regression", origin=origin)
        (recipe,) = resolve_splits(configuration, data, index_shards(data, 8), source)
        assert recipe.shuffle.batch_variance == variance
        assert (describe_weak_shuffle(recipe) is None) == (variance == 1)


def test_the_shuffle_is_part_of_the_recipe_and_its_summary_is_not(resolve):
    _, plain = resolve(FEATURES, TARGET)
    _, other = resolve(FEATURES, TARGET, {"shuffle": {"buffer_bytes": "128MiB"}})
    assert plain.digest("training") != other.digest("training")
    assert plain.shuffle == other.shuffle.model_copy(
        update={"blocks_per_buffer": plain.shuffle.blocks_per_buffer}
    )
    for part in ("training", "evaluation"):
        restated = plain.model_copy(update={"shuffle": other.shuffle})
        assert restated.digest(part) == plain.digest(part)
