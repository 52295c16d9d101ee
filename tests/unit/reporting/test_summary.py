"""Summaries: a line for every split, and as many digits as the standard errors allow."""

import csv
import json
import os
import struct

import numpy as np
import pytest

import summarize
from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.core.number_format import format_with_error
from memtrain.data.indexing import index_shards
from memtrain.data.source import Source
from memtrain.evaluation.evaluator import Evaluator
from memtrain.evaluation.result import METRIC_LABELS, Evaluation
from memtrain.planning.split_resolution import resolve_splits
from memtrain.reporting.job_benchmark import JobBenchmark
from memtrain.reporting.summary import SplitSummary, Summary
from memtrain.reporting.summary_csv import write_csv
from memtrain.reporting.summary_figure import draw_summary
from memtrain.reporting.summary_table import write_table
from memtrain.system import checked_json
from memtrain.training.performance import Performance
from memtrain.training.trainer import Trainer

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((240, 3), dtype=np.float32)
NUMBERS = (FEATURES @ [1, -2, 3] + 0.1 * GENERATOR.random(240)).astype(np.float32)
CLASSES = np.digitize(NUMBERS, [0.8]).astype(np.int64)

SPLITS = {
    "small": {"train": [0, 100], "evaluate": [200, 240]},
    "big": {"train": [0, 200], "evaluate": [200, 240], "training": {"epochs": 40}},
    "another": {"train": [100, 200], "evaluate": [0, 50]},
}


@pytest.fixture
def results(write_rows, tmp_path):
    """Return a function that trains and evaluates three splits, and returns the arguments."""

    def results(classes=None, **source):
        data = write_rows(FEATURES, CLASSES if classes else NUMBERS)
        configuration = {
            "dataset": {"name": "rivers", "import": {"path": "x", "features": ["x"], "target": []}},
            "splits": SPLITS,
            "training": {"loss": "BCEWithLogitsLoss" if classes else "MSELoss"},
            "evaluation": {"bootstrap": 40},
        }
        configuration["dataset"]["import"]["target"] = ["y"]
        (tmp_path / "config.json").write_text(json.dumps(configuration))
        kind = "classification" if classes else "regression"
        origin = Source(["a", "b", "c"], ["y"], kind, classes, **source)
        settings = parse_configuration(configuration)
        for recipe in resolve_splits(settings, data, index_shards(data, 64), origin):
            train_and_evaluate(recipe, str(data), tmp_path / "splits" / recipe.split)
        return [
            *("--config", str(tmp_path / "config.json")),
            *("--splits", str(tmp_path / "splits")),
            *("--csv", str(tmp_path / "summary.csv")),
            *("--table", str(tmp_path / "summary.md")),
            *("--figure", str(tmp_path / "comparison.png")),
        ]

    return results


def train_and_evaluate(recipe, data, folder):
    recipe.write(folder / "split.json")
    model, history = folder / "model.safetensors", folder / "history.csv"
    trained = Trainer(recipe, data).run()
    trained.write(model, history, folder / "performance.json", code="sha256:code")
    evaluation = Evaluator(recipe, data, model).run(folder / "predictions.npy", 5)
    evaluation.write(folder / "evaluation.json")


def tables_of(text):
    """Return the tables of a Markdown text, as lists of rows of cells."""
    tables, lines = [], text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|"):
            if not lines[number - 1].startswith("|"):
                tables.append([])
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return tables


@pytest.mark.slow
def test_the_csv_holds_every_value_in_full(results, tmp_path):
    assert summarize.main(results(lowest_loss=0.25)) == 0
    with open(tmp_path / "summary.csv") as file:
        lines = list(csv.DictReader(file))
    assert [line["split"] for line in lines] == list(SPLITS)
    for line in lines:
        folder = tmp_path / "splits" / line["split"]
        evaluation = Evaluation.read(folder / "evaluation.json")
        performance = json.loads((folder / "performance.json").read_text())
        for metric in METRIC_LABELS["regression"]:
            assert float(line[metric]) == evaluation.metrics[metric]
            assert float(line[f"{metric}_error"]) == evaluation.errors[metric]
            assert float(line[f"baseline_{metric}"]) == evaluation.baseline[metric]
        assert float(line["ratio_to_lowest_loss"]) == evaluation.metrics["mse"] / 0.25
        assert float(line["seconds"]) == performance["seconds"]
        assert float(line["peak_memory_mib"]) * 2**20 == performance["peak_memory_bytes"]
        assert int(line["rows_trained"]) == np.diff(SPLITS[line["split"]]["train"]).item()
        assert int(line["rows_evaluated"]) == evaluation.rows
        assert (int(line["steps"]), int(line["parameters"])) == (5, evaluation.parameters)


@pytest.mark.slow
def test_the_table_is_aligned_and_explained(results, tmp_path):
    summarize.main(results())
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("# rivers: 3 splits\n")
    quality, training, resources = tables_of(text)
    assert quality[0] == ["split", "R²", "RMSE", "baseline RMSE", "MAE", "MSE"]
    assert training[0][:3] == ["split", "trained on", "evaluated on"]
    for table in (quality, training, resources):
        assert [row[0] for row in table[2:]] == list(SPLITS)
    assert training[2][1:3] == ["100", "40"]
    evaluation = Evaluation.read(tmp_path / "splits" / "big" / "evaluation.json")
    cells = [*quality[3][1:3], *quality[3][4:]]
    for metric, cell in zip(METRIC_LABELS["regression"], cells, strict=True):
        assert cell == format_with_error(evaluation.metrics[metric], evaluation.errors[metric])
        assert " ± " in cell
    assert quality[3][3] == format_with_error(evaluation.baseline["rmse"])
    opening = " ".join(text.split("\n\n")[1].split())
    assert opening == (
        f"Best: big, with {evaluation.describe('r2')} and {evaluation.describe('rmse')} on 40 "
        "evaluation rows. Baseline: always predicting the mean of the training targets has RMSE "
        f"{quality[3][3]}."
    )
    assert text.index("![The splits compared](comparison.png)") < text.index("<details>")
    assert "from 40 resamples of the evaluation rows" in text
    assert "lowest" not in text
    for kind in ("quality", "training"):
        block = [line for line in text.splitlines() if line.startswith("|")]
        start = {"quality": 0, "training": 5}[kind]
        assert len({len(line) for line in block[start : start + 5]}) == 1
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.slow
def test_requested_resources_stand_beside_used_ones(results, tmp_path):
    content = {"s": 90.0, "max_rss": 30_000.0, "resources": {"mem_mb": 700, "runtime": 6}}
    files = {
        "small": json.dumps(content),
        "big": json.dumps({"s": 3.0, "max_rss": "NA"}),
        "another": "not JSON",
    }
    for split, text in files.items():
        path = tmp_path / "benchmarks" / "train" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    summarize.main([*results(), "--benchmarks", str(tmp_path / "benchmarks")])
    *_, resources = tables_of((tmp_path / "summary.md").read_text())
    assert resources[0] == ["split", "requested MB", "used MB", "requested minutes", "used minutes"]
    assert resources[2:] == [
        ["small", "700", "31,457", "6", "1.5"],
        ["big", "-", "-", "-", "0.1"],
        ["another", "-", "-", "-", "-"],
    ]
    with open(tmp_path / "summary.csv") as file:
        small, big, _ = csv.DictReader(file)
    assert (small["requested_memory_mb"], small["used_minutes"]) == ("700", "1.5")
    assert (big["requested_memory_mb"], big["requested_minutes"]) == ("", "")


@pytest.mark.slow
def test_a_classification_is_summarized_by_its_own_metrics(results, tmp_path):
    summarize.main(results(classes=2, class_names=["dry", "wet"], lowest_loss=0.1))
    quality, *_ = tables_of((tmp_path / "summary.md").read_text())
    names = ["accuracy", "baseline accuracy", "F1", "cross entropy", "AUROC"]
    names += ["average precision", "calibration error", "cross entropy / lowest"]
    assert quality[0] == ["split", *names]
    with open(tmp_path / "summary.csv") as file:
        line = next(csv.DictReader(file))
    assert 0 <= float(line["accuracy"]) <= 1
    assert float(line["ratio_to_lowest_loss"]) == float(line["cross_entropy"]) / 0.1


@pytest.mark.slow
def test_all_missing_and_damaged_files_are_named_at_once(results, tmp_path):
    arguments = results()
    splits = tmp_path / "splits"
    (splits / "small" / "evaluation.json").unlink()
    checked_json.write(splits / "another" / "evaluation.json", {"split": "another"})
    with pytest.raises(UserError) as refusal:
        summarize.main(arguments)
    small, another = refusal.value.problems
    path = splits / "small" / "evaluation.json"
    assert small == f"{path}: there is no such file. Run evaluate to make it."
    assert "not an evaluation of this version of memtrain (task: Field required)" in another
    assert not (tmp_path / "summary.csv").exists()


@pytest.mark.slow
def test_splits_that_are_no_longer_configured_are_named(results, tmp_path):
    arguments = results()
    (tmp_path / "splits" / "former").mkdir()
    assert summarize.main(arguments) == 0
    assert "\n\nNo longer configured: former. " in (tmp_path / "summary.md").read_text()


@pytest.mark.slow
def test_the_cost_of_a_training_need_not_be_known(results, tmp_path):
    arguments = results()
    splits = tmp_path / "splits"
    (splits / "small" / "performance.json").unlink()
    (splits / "big" / "performance.json").write_text('{"seconds": "many"}')
    assert summarize.main(arguments) == 0
    _, training, *_ = tables_of((tmp_path / "summary.md").read_text())
    seconds = training[0].index("seconds")
    assert {line[0]: line[seconds] == "?" for line in training[2:]} == {
        "small": True,
        "big": True,
        "another": False,
    }


@pytest.mark.slow
def test_an_evaluation_of_another_recipe_is_refused(results, tmp_path):
    arguments = results()
    path = tmp_path / "splits" / "small" / "split.json"
    recipe = checked_json.read(path, made_by="resolve_splits")
    recipe["evaluation"]["settings"]["seed"] = 1
    checked_json.write(path, recipe)
    with pytest.raises(UserError, match=r"made with another recipe than .*Run train and evaluate"):
        summarize.main(arguments)


PERFORMANCE = Performance(
    seconds=1.0,
    rows_per_second=2.0,
    waiting_share=0.0,
    saving_share=0.0,
    validating_share=0.0,
    runs=1,
    processes=1,
    peak_memory_bytes=3 << 20,
    peak_gpu_memory_bytes=None,
    device="cpu",
    threads=1,
    host="here",
    torch="2.13",
)


def summary_of(values, errors=0.01, baseline=0.0):
    """Return the summary of splits with these values of R²."""

    def split(number, value):
        metrics = {"r2": value, "rmse": 1.0, "mae": 1.0, "mse": 1.0}
        evaluation = Evaluation(
            split=f"fold_{number}",
            task="regression",
            rows=10,
            ranges=[(0, 10)],
            nonfinite_rows=0,
            metrics=metrics,
            errors=dict.fromkeys(metrics, errors),
            baseline=metrics | {"r2": baseline},
            loss=1.0,
            lowest_loss=None,
            ratio_to_lowest_loss=None,
            recipe="sha256:1",
            evaluation_recipe="sha256:2",
            parameters=3,
            steps=2,
        )
        name = evaluation.split
        return SplitSummary(name, 8000, 2, 100, 1.0, evaluation, PERFORMANCE, JobBenchmark())

    return Summary("mock", [split(*item) for item in enumerate(values)])


def size_of_png(path):
    """Return the width and the height in pixels."""
    return struct.unpack(">II", path.read_bytes()[16:24])


@pytest.mark.parametrize("splits", [1, 4, 60])
def test_the_comparison_is_drawn_for_any_number_of_splits(tmp_path, splits):
    summary = summary_of([0.5 + 0.4 * number / splits for number in range(splits)])
    for name in ("one.png", "two.png"):
        draw_summary(tmp_path / name, summary)
    width, height = size_of_png(tmp_path / "one.png")
    assert width == 960
    assert 200 < height < 1000
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("values", "errors", "baseline"),
    [
        ([None], None, None),
        ([None, 0.5], 0.01, 0.0),
        ([0.9, 0.91, 0.92], None, 0.0),
        ([0.5, 0.5], 0.0, None),
    ],
    ids=["nothing", "one undefined", "a far baseline", "all alike"],
)
def test_undefined_values_can_be_compared(tmp_path, values, errors, baseline):
    draw_summary(tmp_path / "comparison.png", summary_of(values, errors, baseline))
    assert os.path.getsize(tmp_path / "comparison.png") > 5000


def test_nothing_that_is_worse_than_the_mean_is_called_best(tmp_path):
    write_table(tmp_path / "summary.md", summary_of([-2.25, -0.5]))
    text = (tmp_path / "summary.md").read_text()
    assert "Best" not in text
    assert "- fold_0, fold_1 are worse than the mean of the training" in text
    assert "`training.transform: standardize`" in text
    write_table(tmp_path / "summary.md", summary_of([-2.25, 0.5]))
    text = (tmp_path / "summary.md").read_text()
    assert "Best: fold_1, with R² 0.500" in text
    assert "- fold_0 is worse than the mean" in text
    write_table(tmp_path / "summary.md", summary_of([0.25, 0.5]))
    assert "worse" not in (tmp_path / "summary.md").read_text()


def test_undefined_values_are_hyphens_in_the_table_and_nothing_in_the_csv(tmp_path):
    summary = summary_of([None, 0.5], errors=None)
    write_table(tmp_path / "summary.md", summary)
    text = (tmp_path / "summary.md").read_text()
    assert tables_of(text)[0][2][1] == "-"
    assert "-: not defined for these rows" in text
    assert "Best: fold_1, with R² 0.5000 and RMSE 1.000 on 10 evaluation rows." in text
    write_csv(tmp_path / "summary.csv", summary)
    with open(tmp_path / "summary.csv") as file:
        assert [line["r2"] for line in csv.DictReader(file)] == ["", "0.5"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.0123, 0.0004, "0.0123 ± 0.0004"),
        (0.012344, 0.00014, "0.01234 ± 0.00014"),
        (0.5, 0.0996, "0.50 ± 0.10"),
        (123456.7, 30.0, "123457 ± 30"),
        (1234567.0, 30.0, "(1.23457 ± 0.00003)e+06"),
        (1e-6, 2e-7, "(1.0 ± 0.2)e-06"),
        (-3.2, 0.4, "-3.2 ± 0.4"),
        (2.0, 30.0, "2 ± 30"),
        (0.0, 0.1, "0.00 ± 0.10"),
        (0.674, None, "0.6740"),
        (0.0, 0.0, "0.000"),
        (12345.678, None, "12346"),
        (1.5e9, None, "1.500e+09"),
        (None, None, "-"),
    ],
)
def test_numbers_are_rounded_to_their_errors(value, error, text):
    assert format_with_error(value, error) == text


def test_the_spread_over_folds_is_told(tmp_path):
    values = [0.5, 0.75, 0.7, 0.1]
    summary = summary_of(values)
    folds = Summary("mock", summary.splits, folds=["fold_0", "fold_1", "fold_2"])
    (task,) = folds.tasks
    assert task.over_folds("r2") == pytest.approx((np.mean(values[:3]), np.std(values[:3], ddof=1)))
    write_table(tmp_path / "summary.md", folds)
    assert "Over the folds: R² 0.65 ± 0.13, RMSE 1" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(("values", "folds"), [([0.5, None], 2), ([0.5, 0.6], 1), ([0.5, 0.6], 0)])
def test_no_spread_is_told_without_two_folds_that_have_the_metric(values, folds):
    summary = Summary("mock", summary_of(values).splits, folds=["fold_0", "fold_1"][:folds])
    (task,) = summary.tasks
    assert task.over_folds("r2") is None


@pytest.mark.slow
def test_a_classification_opens_with_accuracy_and_what_is_confused(results, tmp_path):
    arguments = results(classes=2, class_names=["dry", "wet"])
    summarize.main(arguments)
    text = " ".join((tmp_path / "summary.md").read_text().split())
    splits = [Evaluation.read(path) for path in tmp_path.glob("splits/*/evaluation.json")]
    best = max(splits, key=lambda one: one.metrics["accuracy"])
    accuracy, entropy = best.describe("accuracy"), best.describe("cross_entropy")
    assert f"Best: {best.split}, with {accuracy} and {entropy} on {best.rows} evaluation" in text
    assert "always saying the most frequent class of the training rows has accuracy 0." in text
    assert "RMSE" not in text
