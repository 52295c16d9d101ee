"""The summary of a sweep: columns of settings, order, means over seeds and folds, the figure."""

import csv
import statistics
from itertools import product

import numpy as np
import pytest

from memtrain.config.reading import parse_configuration
from memtrain.config.results import SplitLayout
from memtrain.config.sweep import SweepSettings
from memtrain.core.errors import UserError
from memtrain.core.number_format import format_with_error
from memtrain.data.indexing import index_shards
from memtrain.data.source import Source
from memtrain.evaluation.evaluator import Evaluator
from memtrain.evaluation.result import Evaluation
from memtrain.planning.split_resolution import resolve_splits
from memtrain.reporting.job_benchmark import JobBenchmark
from memtrain.reporting.summary import SplitSummary, Summary
from memtrain.reporting.summary_csv import write_csv
from memtrain.reporting.summary_figure import draw_summary
from memtrain.reporting.summary_table import write_table
from memtrain.reporting.sweep_results import flat_settings
from memtrain.training.run_context import RunContext
from memtrain.training.trainer import Trainer
from tests.unit.reporting.test_summary import size_of_png, tables_of

LR, SEED, HIDDEN = "training.optimizer.lr", "training.seed", "training.model.hidden"


def training(name, r2, settings, group="base"):
    """Return the summary of a training of a sweep."""
    metrics = {"r2": r2, "rmse": None if r2 is None else 1 - r2, "mae": 1.0, "mse": 1.0}
    evaluation = Evaluation(
        split=name,
        task="regression",
        rows=10,
        ranges=[(0, 10)],
        nonfinite_rows=0,
        metrics=metrics,
        errors=dict.fromkeys(metrics, 0.01),
        baseline=metrics | {"r2": 0.0},
        loss=None if r2 is None else 3 - r2,
        lowest_loss=None,
        ratio_to_lowest_loss=None,
        recipe="sha256:1",
        evaluation_recipe="sha256:2",
        parameters=3,
        steps=2,
    )
    # What all trainings have in common has no column.
    settings = {"training.epochs": 3, **settings}
    job = JobBenchmark()
    return SplitSummary(name, 8000, 2, 100, 1.0, evaluation, None, job, group, settings)


def summary_of(trainings, folds=(), **sweep):
    sweep = SweepSettings.model_validate({"grid": {LR: [1], SEED: [1]}} | sweep)
    return Summary("mock", trainings, folds=folds, sweep=sweep)


def grid(lrs=(0.1, 0.01), hiddens=([8], None), seeds=(0, 1, 2)):
    """Return trainings whose R² depends on the learning rate, the model and the seed."""
    return [
        training(
            f"base-lr={lr}-hidden={hidden}-seed={seed}",
            0.5 + lr + (0.15 if hidden else 0.1) + seed**2 / 100,
            {LR: lr, SEED: seed} | ({HIDDEN: hidden} if hidden else {}),
        )
        for lr, hidden, seed in product(lrs, hiddens, seeds)
    ]


def text_of(summary, tmp_path):
    write_table(tmp_path / "summary.md", summary)
    return (tmp_path / "summary.md").read_text()


def test_settings_that_differ_have_columns_and_trainings_are_sorted_by_the_metric(tmp_path):
    means, quality, *_ = tables_of(text_of(summary_of(grid()), tmp_path))
    assert quality[0][:5] == ["split", "lr", "seed", "hidden", "R²"]
    assert quality[2][:4] == ["base-lr=0.1-hidden=[8]-seed=2", "0.1", "2", "[8]"]
    assert quality[-1][:4] == ["base-lr=0.01-hidden=None-seed=0", "0.01", "0", "-"]
    values = [float(line[4].split()[0]) for line in quality[2:]]
    assert values == sorted(values, reverse=True)
    assert means[0] == ["lr", "hidden", "mean R²", "deviation", "trainings"]
    values = [0.5 + 0.1 + 0.15 + seed**2 / 100 for seed in range(3)]
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    numbers = [format_with_error(mean), format_with_error(deviation), "3"]
    assert means[2] == ["0.1", "[8]", *numbers]
    assert [line[:2] for line in means[2:]] == [
        *(["0.1", "[8]"], ["0.1", "-"]),
        *(["0.01", "[8]"], ["0.01", "-"]),
    ]


def test_the_csv_has_every_setting_that_differs_by_its_full_key(tmp_path):
    write_csv(tmp_path / "summary.csv", summary_of(grid()))
    with open(tmp_path / "summary.csv") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0])[:5] == ["split", "group", LR, SEED, HIDDEN]
    cells = [(float(line[LR]), line[HIDDEN], int(line[SEED])) for line in lines]
    assert cells == list(product([0.1, 0.01], ["[8]", ""], [0, 1, 2]))
    assert all(line["group"] == "base" for line in lines)
    assert "training.epochs" not in lines[0]


@pytest.mark.parametrize(
    ("sweep", "best"),
    [
        ({"metric": "rmse"}, "high"),
        ({"metric": "loss"}, "high"),
        ({"metric": "r2"}, "high"),
        ({"metric": "mae", "mode": None}, "low"),
        ({}, "high"),
    ],
)
def test_the_metric_of_the_sweep_decides(tmp_path, sweep, best):
    trainings = [training("low", 0.2, {LR: 1}), training("high", 0.9, {LR: 2})]
    text = text_of(summary_of(trainings, **sweep), tmp_path)
    quality = tables_of(text)[0]
    assert quality[2][0] == best
    assert f"\n\nBest: {best}, with " in text
    assert ("loss" in quality[0]) == (sweep.get("metric") == "loss")
    assert "best of 2 trainings" in text


def test_a_metric_that_no_evaluation_has_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"sweep\.metric: found accuracy.*r2, rmse"):
        text_of(summary_of(grid(), metric="accuracy"), tmp_path)


def test_folds_and_seeds_are_tries_of_the_same_settings_and_splits_are_not(tmp_path):
    trainings = [
        training(f"{base}-lr={lr}-seed={seed}", 0.5, {LR: lr, SEED: seed}, group)
        for base, group in (("fold_1", "folds"), ("fold_2", "folds"), ("base", "base"))
        for lr in (1, 2)
        for seed in (0, 1)
    ]
    means, *_ = tables_of(text_of(summary_of(trainings), tmp_path))
    assert means[0][:2] == ["of", "lr"]
    assert sorted((line[0], line[1], line[-1]) for line in means[2:]) == [
        ("base", "1", "2"),
        ("base", "2", "2"),
        ("folds", "1", "4"),
        ("folds", "2", "4"),
    ]


def test_no_mean_is_told_of_values_that_are_not_all_defined(tmp_path):
    trainings = [
        training(f"{lr}-{seed}", None if (lr, seed) == (1, 0) else 0.5, {LR: lr, SEED: seed})
        for lr in (1, 2)
        for seed in (0, 1)
    ]
    text = text_of(summary_of(trainings), tmp_path)
    means, quality, *_ = tables_of(text)
    assert means[2] == ["2", "0.5000", "0.000", "2"]
    assert means[3] == ["1", "-", "-", "2"]
    assert quality[-1][0] == "1-0"
    assert "not for all of these trainings" in text


def test_without_seeds_and_folds_there_is_no_table_of_means(tmp_path):
    text = text_of(summary_of(grid(seeds=[0])), tmp_path)
    assert "Means" not in text
    assert text.split("\n\n")[2].startswith("| split")


def test_draws_that_came_up_again_are_told(tmp_path):
    random = {"draws": 9, "settings": {SEED: {"choice": [1, 2]}}}
    text = text_of(summary_of(grid(), grid={}, random=random), tmp_path)
    assert "7 of 9 random draws came up before" in text


def test_texts_do_not_break_the_tables(tmp_path):
    losses = ["a|b", "c\nd", "e" * 80]
    trainings = [
        training(f"s{n}", 0.5, {"training.loss.name": one}) for n, one in enumerate(losses)
    ]
    quality, *_ = tables_of(text_of(summary_of(trainings), tmp_path).replace("\\|", "/"))
    assert quality[0][1] == "loss"
    assert [line[1] for line in quality[2:]] == ["a/b", "c d", "e" * 29 + "…"]


def test_settings_are_named_by_full_keys_and_null_is_as_good_as_absent():
    nested = {"optimizer": {"name": "Adam", "lr": 0.1}, "encode": {}, "scheduler": None}
    assert flat_settings(nested) == {
        "training.optimizer.name": "Adam",
        LR: 0.1,
        "training.encode": {},
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trainings", "width"),
    [
        (grid(), 1140),
        (grid(lrs=[0.1 / (n + 1) for n in range(30)]), 1140),
        (grid(hiddens=[None]), 960),
        (
            [
                training(
                    f"s{n}", -1e9 if n == 3 else n / 60, {LR: n, "training.loss.name": f"m:L{n}"}
                )
                for n in range(60)
            ],
            1140,
        ),
        (grid(lrs=[1], hiddens=[None]), 960),
        ([training("a", None, {LR: 1}), training("b", None, {LR: 2})], 960),
        (
            [
                training(
                    f"s{n}",
                    n / 9,
                    {f"training.a.x{key}": n % (key + 2) for key in range(12)},
                    f"split {n % 2}",
                )
                for n in range(9)
            ],
            1530,
        ),
    ],
)
def test_the_figure_is_drawn_for_any_settings(tmp_path, trainings, width):
    for name in ("one.png", "two.png"):
        draw_summary(tmp_path / name, summary_of(trainings))
    found, height = size_of_png(tmp_path / "one.png")
    assert found == width
    assert 200 < height < 1500
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_the_figure_shows_the_values(tmp_path):
    one, other = grid(), grid()
    other[0] = training(one[0].name, 0.3, one[0].settings)
    for name, trainings in (("one.png", one), ("other.png", other)):
        draw_summary(tmp_path / name, summary_of(trainings))
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The configuration of a sweep over a split and one that starts from it, and its results."""
    folder = tmp_path_factory.mktemp("tuned")
    data = folder / "data.npy"
    rows = np.zeros(60, [("features", "<f4", 3), ("target", "<f4", 1)])
    rows["features"] = np.random.default_rng(0).random((60, 3))
    rows["target"][:, 0] = rows["features"].sum(axis=1)
    np.save(data, rows)
    split = {"train": [20, 40], "evaluate": [40, 60], "training": {"initial": {"split": "base"}}}
    configuration = parse_configuration(
        {
            "dataset": {"name": "d", "import": {"path": "x", "features": ["x"], "target": ["y"]}},
            "splits": {"base": {"train": [0, 20]}, "tuned": split},
            "sweep": {"grid": {SEED: [0, 1, 2]}},
            "training": {"epochs": 1, "device": "cpu"},
            "evaluation": {"bootstrap": 0},
        }
    )
    source = Source(features=list("abc"), target=["y"], task="regression")
    for recipe in resolve_splits(configuration, data, index_shards(data, 20), source):
        files = SplitLayout(folder / "splits" / recipe.split)
        files.folder.mkdir(parents=True)
        recipe.write(files.recipe)
        initial = recipe.training.settings.initial
        base = initial and SplitLayout(folder / "splits" / str(initial.split)).model
        trained = Trainer(recipe, str(data), RunContext(initial=base)).run()
        trained.write(files.model, files.history, files.performance, code="sha256:0")
        if recipe.evaluation is not None:
            evaluator = Evaluator(recipe, str(data), files.model)
            evaluator.run(files.predictions, steps=1).write(files.evaluation)
    return configuration, folder


def test_trainings_that_start_from_others_with_their_seed_are_tries_of_the_same(tuned, tmp_path):
    configuration, folder = tuned
    summary = Summary.read(configuration, folder / "splits")
    means = tables_of(text_of(summary, tmp_path))[0]
    assert means[0][0] == "split"
    assert means[0][-3:] == ["mean R²", "deviation", "trainings"]
    assert [(line[0], line[-1]) for line in means[2:]] == [("base", "3")]
