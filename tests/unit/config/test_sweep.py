"""Sweeps: the trainings that they make, their names and draws, and what is refused."""

import copy
import itertools
import math
import re
from collections import Counter

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.reading import configuration_text, parse_configuration
from memtrain.config.sweep_names import labels_of_keys
from memtrain.core.errors import UserError
from memtrain.planning.component_check import all_problems

BASE = yaml.safe_load(
    """
dataset: {name: mock, mock: {rows: 1000, features: 3}}
splits:
  a: {train: [0, 500], evaluate: [500, 1000]}
  b: {train: [0, 500], training: {epochs: 5, optimizer: {momentum: 0.5}}}
training: {optimizer: {name: SGD, lr: 0.1, momentum: 0.9}, early_stopping: {patience: 7}}
"""
)
LR, SEED, BATCH = "training.optimizer.lr", "training.seed", "training.batch_size"


def content_with(sweep, **others):
    return copy.deepcopy(BASE) | {"sweep": sweep} | others


def swept(sweep, **others):
    return parse_configuration(content_with(sweep, **others))


def problems_of(sweep, **others):
    with pytest.raises(UserError) as caught:
        swept(sweep, **others)
    return list(caught.value.problems)


def drawn(draws, space, seed=0):
    sweep = {"splits": ["a"], "random": {"draws": draws, "seed": seed, "settings": space}}
    trainings = swept(sweep | {"most_trainings": 10_000}).trainings
    return [one.settings for one in trainings.values() if one.base == "a"]


def test_a_grid_is_crossed_with_splits_and_folds():
    grid = {LR: [0.1, "1e-5"], SEED: [0, 1]}
    configuration = swept({"splits": ["b", "fold_2"], "grid": grid}, folds=2)
    assert configuration.split_names == [
        *("a", "fold_1"),
        *("b-lr=0.1-seed=0", "b-lr=0.1-seed=1", "b-lr=1e-05-seed=0", "b-lr=1e-05-seed=1"),
        *("fold_2-lr=0.1-seed=0", "fold_2-lr=0.1-seed=1"),
        *("fold_2-lr=1e-05-seed=0", "fold_2-lr=1e-05-seed=1"),
    ]
    assert configuration.fold_names == ["fold_1"]
    assert [name for name in configuration.evaluated_splits if name.startswith("b")] == []
    settings = configuration.training_settings("b-lr=1e-05-seed=1")
    assert (settings.seed, settings.epochs) == (1, 5)
    assert settings.optimizer.arguments == {"lr": 1e-5, "momentum": 0.5}
    fold = configuration.resolve_ranges("fold_2-lr=0.1-seed=0", 1000)
    assert fold == parse_configuration(copy.deepcopy(BASE) | {"folds": 2}).resolve_ranges(
        "fold_2", 1000
    )
    assert parse_configuration(yaml.safe_load(configuration_text(configuration))) == configuration


def test_all_splits_are_swept_unless_some_are_named():
    configuration = swept({"grid": {SEED: [3]}}, folds=2)
    assert configuration.split_names == [
        f"{base}-seed=3" for base in ("a", "b", "fold_1", "fold_2")
    ]


def test_a_training_of_a_sweep_is_that_of_a_split_with_the_same_settings():
    by_hand = copy.deepcopy(BASE)
    by_hand["splits"]["a"]["training"] = {"optimizer": {"lr": 0.3}, "seed": 4}
    by_sweep = swept({"splits": ["a"], "grid": {LR: [0.3], SEED: [4]}})
    assert by_sweep.settings_of_split("a-lr=0.3-seed=4") == parse_configuration(
        by_hand
    ).settings_of_split("a")


def test_settings_inside_others_change_alone_and_whole_ones_as_a_split_changes_them():
    entries = [
        {"training.early_stopping.min_delta": 0.5},
        {"training.optimizer": {"nesterov": True}},
        {"training.optimizer": "Adam"},
        {"training.optimizer.name": "RMSprop"},
        {"training.scheduler": {"name": "StepLR", "step_size": 5}},
        {},
    ]
    configuration = swept({"splits": ["b"], "list": entries})
    stopping, nesterov, adam, rmsprop, step, plain = map(
        configuration.training_settings, configuration.split_names[1:]
    )
    assert (stopping.early_stopping.patience, stopping.early_stopping.min_delta) == (7, 0.5)
    assert nesterov.optimizer.arguments == {"lr": 0.1, "momentum": 0.5, "nesterov": True}
    assert (adam.optimizer.name, adam.optimizer.arguments) == ("Adam", {})
    assert rmsprop.optimizer.arguments == {"lr": 0.1, "momentum": 0.5}
    assert step.scheduler.arguments == {"step_size": 5}
    assert configuration.split_names[-1] == "b"
    assert plain == parse_configuration(BASE).training_settings("b")


def test_settings_inside_those_of_a_split_change_alone():
    content = content_with({"splits": ["b"], "grid": {"training.early_stopping.min_delta": [0.5]}})
    content["splits"]["b"]["training"]["early_stopping"] = {"patience": 2, "metric": "rmse"}
    configuration = parse_configuration(content)
    stopping = configuration.training_settings(configuration.split_names[-1]).early_stopping
    assert (stopping.patience, stopping.metric, stopping.min_delta) == (2, "rmse", 0.5)


def test_trainings_of_a_sweep_start_from_the_model_that_their_split_names():
    content = content_with({"splits": ["b"], "grid": {SEED: [0, 1]}})
    content["splits"]["b"]["training"]["initial"] = {"split": "a"}
    configuration = parse_configuration(content)
    assert [configuration.base_of(name) for name in configuration.split_names] == [None, "a", "a"]
    content["sweep"] = {"splits": ["b"], "grid": {"training.initial": [{"split": "a"}, None]}}
    configuration = parse_configuration(content)
    assert [configuration.base_of(name) for name in configuration.split_names] == [None, "a", None]
    content["sweep"] = {"splits": ["b"], "grid": {"training.initial": [{"split": 3}, 4]}}
    with pytest.raises(UserError, match=r"sweep: training\.initial"):
        parse_configuration(content)


def test_trainings_of_a_sweep_start_from_the_swept_model_with_the_same_settings():
    content = content_with({"grid": {SEED: [0, 1], LR: [0.1, 0.2]}})
    content["splits"]["b"]["training"]["initial"] = {"split": "a", "exclude": ["head.*"]}
    configuration = parse_configuration(content)
    of_b = [name for name in configuration.split_names if name.startswith("b-")]
    assert [configuration.base_of(name) for name in of_b] == [f"a{name[1:]}" for name in of_b]
    initial = configuration.training_settings(of_b[0]).initial
    assert (initial.split, initial.exclude) == (f"a{of_b[0][1:]}", ["head.*"])


def test_a_split_that_is_not_swept_names_the_training_that_it_starts_from():
    content = content_with({"splits": ["a"], "grid": {SEED: [0, 1]}})
    content["splits"]["b"]["training"]["initial"] = {"split": "a"}
    with pytest.raises(UserError, match=r"found 'a'; known are b, a-seed=0, a-seed=1"):
        parse_configuration(content)
    content["splits"]["b"]["training"]["initial"] = {"split": "a-seed=1"}
    assert parse_configuration(content).base_of("b") == "a-seed=1"


def test_lists_draws_and_grids_are_crossed():
    names = swept(
        {
            "splits": ["a"],
            "list": [{"training.optimizer": "Adam"}, {"training.optimizer": {"lr": 1}}],
            "random": {"draws": 2, "settings": {BATCH: {"integers": [1, 10**6]}}},
            "grid": {SEED: [0, 1]},
        }
    ).split_names[1:]
    assert len(names) == 8
    assert re.fullmatch(r"a-optimizer=Adam-batch_size=\d+-seed=0", names[0])
    assert re.fullmatch(r"a-optimizer=lr_1-batch_size=\d+-seed=1", names[-1])


SPACE = {
    LR: {"log_uniform": ["1e-5", "1e-1"]},
    "training.optimizer.momentum": {"uniform": [0, 1]},
    BATCH: {"integers": [3, 7]},
    "training.precision": {"choice": ["float32", "bfloat16"]},
}


def test_draws_do_not_depend_on_their_number_or_on_other_settings():
    many = drawn(40, SPACE, seed=5)
    assert drawn(11, SPACE, seed=5) == many[:11]
    less = {key: SPACE[key] for key in (BATCH, LR)}
    both = [(one[BATCH], one[LR]) for one in drawn(40, less, seed=5)]
    assert both == [(one[BATCH], one[LR]) for one in many]
    assert drawn(11, SPACE, seed=6) != many[:11]


def test_draws_are_the_same_everywhere():
    assert drawn(2, SPACE) == [
        {
            LR: 0.003916,
            "training.optimizer.momentum": 0.469,
            BATCH: 5,
            "training.precision": "float32",
        },
        {
            LR: 0.008081,
            "training.optimizer.momentum": 0.979,
            BATCH: 3,
            "training.precision": "bfloat16",
        },
    ]


@pytest.mark.slow
def test_draws_have_the_distribution_that_is_asked_for():
    draws = drawn(4000, SPACE)
    logs = [math.log10(one[LR]) for one in draws]
    assert -5 <= min(logs) < -4.9
    assert -1.1 < max(logs) <= -1
    for power in range(-5, -1):
        assert abs(sum(power <= log < power + 1 for log in logs) / 4000 - 0.25) < 0.03
    momenta = [one["training.optimizer.momentum"] for one in draws]
    for tenth in range(10):
        assert abs(sum(tenth / 10 <= one < (tenth + 1) / 10 for one in momenta) / 4000 - 0.1) < 0.02
    counts = Counter(one[BATCH] for one in draws)
    assert sorted(counts) == [3, 4, 5, 6, 7]
    assert all(abs(count / 4000 - 0.2) < 0.03 for count in counts.values())
    pairs = Counter((one[BATCH], one["training.precision"]) for one in draws)
    assert all(abs(count / 4000 - 0.1) < 0.02 for count in pairs.values())


@settings(max_examples=200, deadline=None)
@given(
    low=st.floats(1e-30, 1e10),
    factor=st.floats(1, 1e12, exclude_min=True),
    kind=st.sampled_from(["uniform", "log_uniform"]),
)
def test_draws_stay_inside_their_bounds(low, factor, kind):
    if not low < low * factor < 2**53:
        return
    for one in drawn(3, {LR: {kind: [low, low * factor]}}):
        assert low <= one[LR] <= low * factor


def test_draws_that_come_up_again_are_trained_once():
    configuration = swept(
        {"splits": ["a"], "random": {"draws": 30, "settings": {SEED: {"choice": [1, 2, 3]}}}}
    )
    assert sorted(configuration.split_names) == ["a-seed=1", "a-seed=2", "a-seed=3", "b"]
    assert configuration.sweep.draws_left_out == 27


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text("aAbB=-,. ", max_size=120),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.sampled_from(["name", "lr", "x y"]), st.integers(0, 9), max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=8))
def test_names_are_safe_short_unique_and_stable(values):
    def names(values):
        from memtrain.config.planned_trainings import planned_trainings
        from memtrain.config.sweep import SweepSettings

        grid = {"training.model.x": values, SEED: [1, 2]}
        try:
            sweep = SweepSettings.model_validate({"grid": grid})
        except ValueError:  # the same value twice
            return None
        return list(planned_trainings(["base"], sweep))

    found = names(values)
    if found is None:
        return
    assert len({name.lower() for name in found}) == len(found) == 2 * len(values)
    for name in found:
        assert re.fullmatch(r"base-x=[A-Za-z0-9_.+=-]*", name)
        assert len(name) <= 100
    assert names(values[:-1]) in ([], None, found[:-2])


def test_names_show_the_last_parts_of_keys_that_tell_them_apart():
    keys = [LR, "training.optimizer.name", "training.scheduler.name", "training.model.hidden"]
    assert list(labels_of_keys(keys).values()) == ["lr", "optimizer", "scheduler", "hidden"]
    keys = ["training.a.steps", "training.b.steps", "training.steps", "training.c.b.steps"]
    labels = ["a.steps", "training.b.steps", "training.steps", "c.b.steps"]
    assert list(labels_of_keys(keys).values()) == labels


@pytest.mark.parametrize(
    ("sweep", "problems"),
    [
        (
            {"splits": ["a", "c"], "grid": {SEED: [0]}, "metric": "rsme"},
            [
                ["sweep.splits", "no split 'c'", "a, b"],
                ["sweep.metric", "rsme", "Did you mean 'rmse'?"],
            ],
        ),
        (
            {
                "grid": {
                    "training.optimiser.lr": [1],
                    BATCH: [0, 4],
                    "training.keep": ["averaged", "last"],
                }
            },
            [["training.optimiser", "Did you mean 'optimizer'?"], [BATCH, "found 0"]],
        ),
        ({"grid": {"training.keep": ["averaged"]}}, [["a-keep=averaged", "needs an average"]]),
        ({"grid": {"lr": [1]}}, [["'lr' is no key", "training.optimizer.lr"]]),
        ({"grid": {SEED: [1, 2, 1]}}, [[f"sweep.grid.{SEED}", "1 comes twice"]]),
        ({"grid": {SEED: 3}}, [[f"sweep.grid.{SEED}", "list"]]),
        ({"list": [{SEED: 1}, {SEED: 1}]}, [["sweep.list", "comes twice"]]),
        ({"grid": {SEED: [1]}, "list": [{SEED: 2}]}, [[SEED, "in two ways"]]),
        (
            {"grid": {"training.optimizer": ["Adam"], LR: [1]}},
            [[f"{LR} is a part of training.optimizer"]],
        ),
        ({}, [["grid, list and random", "found none"]]),
        (
            {"grid": {SEED: list(range(101))}},
            [["101 combinations", "2 splits", "202 trainings", "most_trainings: 202"]],
        ),
        (
            {"grid": {SEED: list(range(10**4)), BATCH: list(range(1, 10**4))}},
            [["99,990,000 combinations", "most_trainings: 199980000"]],
        ),
        ({"grid": {SEED: [1]}, "metric": "loss", "mode": "max"}, [["sweep.mode", "less"]]),
        (
            {"random": {"draws": 2, "settings": {LR: {"log_uniform": [0, 1]}}}},
            [[f"sweep.random.settings.{LR}.log_uniform", "above 0"]],
        ),
        (
            {"random": {"draws": 2, "settings": {LR: {"uniform": [1, 1]}}}},
            [["low must be less than high"]],
        ),
        (
            {"random": {"draws": 2, "settings": {BATCH: {"integers": [1, 2.5]}}}},
            [["whole numbers"]],
        ),
        (
            {"random": {"draws": 2, "settings": {BATCH: {"integers": [1, 2], "choice": [1]}}}},
            [["found choice, integers"]],
        ),
    ],
)
def test_mistakes_are_told_with_their_keys_all_at_once(sweep, problems):
    found = problems_of(sweep)
    assert len(found) >= len(problems)
    for fragments in problems:
        assert any(all(one in problem for one in fragments) for problem in found), found


def test_a_value_that_is_wrong_in_many_trainings_is_told_once():
    (problem,) = problems_of({"grid": {BATCH: [0, 4], SEED: list(range(30))}})
    assert problem.count("batch_size=0") == 5
    assert "and 55 more" in problem


def test_settings_that_mean_the_same_are_refused():
    (problem,) = problems_of(
        {"splits": ["a"], "grid": {"training.loss": ["MSELoss", {"name": "MSELoss"}]}}
    )
    assert re.search("a-loss=MSELoss and a-loss=MSELoss-[0-9a-f]{6} are the same", problem)


@pytest.mark.parametrize(
    ("sweep", "names"),
    [
        ({"grid": {LR: [1, 1.0]}}, "a-lr=1 and a-lr=1.0"),
        ({"grid": {"training.optimizer": [{"lr": 2}, {"lr": 2.0}]}}, "a-optimizer=lr_2 and"),
        ({"list": [{}, {LR: 0.1}]}, "a and a-lr=0.1"),
        ({"list": [{SEED: 0}, {LR: 0.2}, {}]}, "a-seed=0 and a are"),
    ],
)
def test_numbers_of_the_same_value_and_the_split_as_it_is_mean_the_same(sweep, names):
    (problem,) = problems_of({"splits": ["a"], **sweep})
    assert f"sweep: {names}" in problem
    assert "are the same training" in problem


def test_a_metric_of_ones_own_needs_its_direction():
    evaluation = {"metrics": {"mine": "json:dumps"}}
    sweep = {"grid": {SEED: [1]}, "metric": "mine"}
    (problem,) = problems_of(sweep, evaluation=evaluation)
    assert "mode" in problem
    assert swept(sweep | {"mode": "min"}, evaluation=evaluation).sweep.metric_mode == "min"


def test_arguments_that_an_optimizer_refuses_are_found_before_anything_runs():
    problems = all_problems(content_with({"splits": ["a"], "grid": {LR: [0.1, -3]}}))
    assert len(problems) == 1
    assert "a-lr=-3" in problems[0]
    assert "a-lr=0.1" not in problems[0]


def test_another_value_makes_no_other_training_new():
    grids = [{LR: lrs, SEED: [0, 1]} for lrs in ([0.1, 0.2], [0.1, 0.2, 0.3], [0.2, 0.4])]
    recipes = [
        {name: one.settings_of_split(name) for name in one.split_names}
        for one in (swept({"grid": grid}) for grid in grids)
    ]
    for one, other in itertools.combinations(recipes, 2):
        common = one.keys() & other.keys()
        assert len(common) >= 4
        assert all(one[name] == other[name] for name in common)
