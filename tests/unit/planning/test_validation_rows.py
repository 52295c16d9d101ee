"""Which rows a model is validated on, and what becomes of the others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.config.reading import parse_configuration
from memtrain.config.validation import ValidationSettings
from memtrain.core.errors import UserError
from memtrain.core.group_borders import GroupBorders
from memtrain.core.ranges import Range, count_rows
from memtrain.data.indexing import index_shards
from memtrain.data.source import Source
from memtrain.planning.split_resolution import resolve_splits
from memtrain.planning.validation_rows import hold_out
from memtrain.recipes.recipe_facts import read_recipe_facts

GENERATOR = np.random.default_rng(2)
FEATURES = GENERATOR.random((1000, 3), dtype=np.float32)
TARGET = FEATURES.sum(1)
SPLIT = {"train": [0, "60%"], "validate": ["60%", "80%"], "evaluate": ["80%", "100%"]}


@pytest.fixture
def recipes(write_rows):
    """Return a function that resolves splits, and returns their recipes by name."""

    def recipes(splits=None, folds=None, withdrawn=(), features=FEATURES, **training):
        data = write_rows(features, TARGET)
        configuration = parse_configuration(
            {
                "dataset": {
                    "name": "test",
                    "import": {"path": "x", "features": ["x"], "target": ["y"]},
                },
                "splits": splits or {},
                "folds": folds,
                "training": training,
            }
        )
        source = Source(features=["a", "b", "c"], target=["y"], task="regression", classes=None)
        found = resolve_splits(configuration, data, index_shards(data, 64), source, withdrawn)
        return {recipe.split: recipe for recipe in found}

    return recipes


def rows_of(ranges):
    return {row for piece in ranges for row in range(*piece)}


@given(
    st.lists(st.integers(0, 900), min_size=2, max_size=9, unique=True),
    st.decimals("0.1", "99.9", places=1),
    st.sampled_from(["random", "last"]),
    st.integers(0, 5),
)
def test_a_share_is_taken_once_and_exactly(borders, share, take, seed):
    borders = sorted(borders)[: len(borders) // 2 * 2]
    train = [Range(*pair) for pair in zip(borders[::2], borders[1::2], strict=True)]
    settings = ValidationSettings(share=f"{share}%", take=take)
    wanted = int(count_rows(train) * share / 100)
    if not wanted:
        with pytest.raises(UserError, match="is not one row"):
            hold_out("splits.a", train, settings, seed)
        return
    left, held = hold_out("splits.a", train, settings, seed)
    assert (left, held) == hold_out("splits.a", train, settings, seed)
    assert count_rows(held) == wanted
    assert rows_of(left) | rows_of(held) == rows_of(train)
    assert not rows_of(left) & rows_of(held)
    if take == "last":
        assert min(rows_of(held)) > max(rows_of(left), default=-1)


def test_random_rows_come_from_everywhere_and_depend_on_the_seed():
    settings = ValidationSettings(share="10%")
    _, held = hold_out("splits.a", [Range(0, 10**9)], settings, 1)
    assert abs(np.mean([(piece.start + piece.end) / 2 for piece in held]) / 1e9 - 0.5) < 0.2
    assert len(held) > 15
    assert held != hold_out("splits.a", [Range(0, 10**9)], settings, 2)[1]


def test_statistics_are_those_of_the_training_rows_alone(recipes):
    recipe = recipes({"one": SPLIT})["one"]
    assert recipe.training.rows.ranges == [(0, 600)]
    assert recipe.training.validation.ranges == [(600, 800)]
    mean = recipe.training.statistics_of("features").mean
    assert mean == pytest.approx(FEATURES[:600].astype(np.float64).mean(0))
    assert rows_of(recipe.training_and_evaluation_rows) == set(range(1000))
    assert recipe.training.sizes.rows == 600
    assert recipe.training.sizes.validations == 3


def test_a_share_serves_splits_without_rows_of_their_own_and_folds(recipes):
    plain = {"train": [0, 600], "evaluate": [800, 1000]}
    found = recipes({"own": SPLIT, "plain": plain}, folds=5, validation={"share": "10%"})
    assert found["own"].training.validation.ranges == [(600, 800)]
    assert found["plain"].training.validation.count == 60
    assert found["plain"].training.rows.count == 540
    for recipe in found.values():
        uses = [recipe.training.rows, recipe.training.validation, recipe.evaluation.rows]
        used = [rows_of(use.resolved) for use in uses]
        assert sum(map(len, used)) == len(set().union(*used))
    assert found["fold_1"].training.validation.count == 80


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([500, 700], r"\[500, 600\) are both trained on and validated on"),
        ([700, 900], r"\[800, 900\) are both validated on and evaluated on"),
        ([700, 1100], "reaches to row 1100"),
        ([[600, 700], [650, 800]], r"\[650, 700\) are in two of these ranges"),
    ],
)
def test_rows_of_two_uses_are_refused(recipes, ranges, expected):
    with pytest.raises(UserError, match=expected):
        recipes({"one": SPLIT | {"validate": ranges}})
    if "both" in expected:
        assert recipes({"one": SPLIT | {"validate": ranges, "allow_overlap": True}})


def test_withdrawn_rows_are_left_out_and_move_no_other_row(recipes):
    plain = {"train": [0, 600], "evaluate": [800, 1000]}
    before = recipes({"one": plain}, validation={"share": "10%"})["one"].training
    row = before.validation.resolved[0].start
    gone = Range(row, row + 1)
    after = recipes({"one": plain}, validation={"share": "10%"}, withdrawn=[gone])["one"]
    assert after.withdrawn == [tuple(gone)]
    assert rows_of(after.training.validation.resolved) == rows_of(before.validation.resolved) - {
        row
    }
    assert after.training.rows == before.rows
    with pytest.raises(UserError, match=r"splits\.one\.validate: all of its rows are withdrawn"):
        recipes({"one": SPLIT}, withdrawn=[Range(600, 800)])


def test_values_of_validation_rows_are_checked(recipes):
    features = FEATURES.copy()
    features[700, 1] = np.inf
    with pytest.raises(UserError, match=r"of its validation values, 1 infinite"):
        recipes({"one": SPLIT}, features=features)


def test_validation_rows_are_in_the_part_that_the_model_is_made_from(recipes, tmp_path):
    recipe = recipes({"one": SPLIT})["one"]
    other = FEATURES.copy()
    other[700] += 1
    changed = recipes({"one": SPLIT}, features=other)["one"]
    assert recipe.digest("training") != changed.digest("training")
    assert recipe.digest("evaluation") == changed.digest("evaluation")
    recipe.write(tmp_path / "split.json")
    assert read_recipe_facts(tmp_path / "split.json").workload.rows_validated == 3 * 200


@pytest.mark.parametrize(
    "settings",
    [
        {"validation": {"share": "100%"}},
        {"validation": {"share": "0%"}},
        {"validation": {"share": 10}},
        {"validate_every": {"epochs": 1, "steps": 2}},
        {"validate_every": {}},
        {"validate_every": {"steps": 0}},
    ],
)
def test_settings_without_a_meaning_are_refused(recipes, settings):
    with pytest.raises(UserError, match=r"training\.validat"):
        recipes({"one": SPLIT}, **settings)


@pytest.mark.parametrize("take", ["random", "last"])
def test_a_share_cuts_no_group(take):
    starts = [0, 3, 50, 51, 90, 200, 201, 260, 300, 420, 500, 640, 700, 850, 851]
    groups = GroupBorders(starts, 1000, "who")
    train = [Range(0, 300), Range(420, 1000)]
    settings = ValidationSettings(share="30%", take=take)
    left, held = hold_out("splits.a", train, settings, 4, groups)
    borders = {*starts, 1000}
    assert all(bound in borders for piece in (*left, *held) for bound in piece)
    assert rows_of(left) | rows_of(held) == rows_of(train)
    assert not rows_of(left) & rows_of(held)
