"""A trained linear model is as good as least squares, on mock rows and on real flights."""

import json

import numpy as np
import pytest

from memtrain.core.ranges import Range
from memtrain.recipes.recipe import Recipe


def design_matrix_and_target(data, ranges):
    """Return the features of rows with a column of ones, and their target, both float64."""
    rows = np.concatenate([data[slice(*Range(*piece))] for piece in ranges])
    features = [rows[name] for name in numbers_of(data)]
    if "features_words" in data.dtype.names:
        features += [rows["features_words"] == word for word in np.unique(data["features_words"])]
    matrix = np.concatenate([*features, np.ones((len(rows), 1))], axis=1, dtype=np.float64)
    return matrix, rows["target"][:, 0].astype(np.float64)


def numbers_of(data):
    """Return the names of the fields of numbers that are features."""
    others = ("features_words", "features_present")
    return [name for name in data.dtype.names if name.startswith("features") and name not in others]


def least_squares_r2(results, split):
    """Return the R² on the evaluation rows of least squares on the training rows."""
    recipe = Recipe.read(results / "splits" / split / "split.json")
    data = np.load(results / "data.npy", mmap_mode="r")
    features, target = design_matrix_and_target(data, recipe.training.rows.ranges)
    weights = np.linalg.lstsq(features, target)[0]
    features, target = design_matrix_and_target(data, recipe.evaluation.rows.ranges)
    return 1 - ((target - features @ weights) ** 2).sum() / ((target - target.mean()) ** 2).sum()


def trained_r2(results, split):
    evaluation = json.loads((results / "splits" / split / "evaluation.json").read_text())
    return evaluation["metrics"]["r2"]


def test_a_linear_model_of_mock_rows_is_as_good_as_least_squares(new_project):
    project = new_project(
        {
            "dataset": {"name": "mock", "mock": {"rows": 10_000, "target": "linear", "noise": 0.3}},
            "splits": {"linear": {"train": [0, "80%"], "evaluate": ["80%", "100%"]}},
            "training": {
                "model": "linear",
                "transform": "standardize",
                "optimizer": {"name": "Adam", "lr": 0.05},
                "epochs": 10,
            },
        }
    )
    project.snakemake()
    results = project / "results/mock"
    assert trained_r2(results, "linear") == pytest.approx(
        least_squares_r2(results, "linear"), abs=0.01
    )
    evaluation = json.loads((results / "splits/linear/evaluation.json").read_text())
    assert evaluation["ratio_to_lowest_loss"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("split", ["linear", "linear_first_half"])
def test_a_linear_model_of_flights_is_as_good_as_least_squares(repository, split):
    results = repository / "examples/flights/results/flights"
    if not results.exists():
        pytest.skip("the flights have not been trained on: run `make flights` first")
    source = json.loads((results / "source.json").read_text())["origin"]
    assert source["rows_read"] == 336_776
    assert source["rows_read"] - source["rows_dropped"] == 327_346
    assert trained_r2(results, split) == pytest.approx(least_squares_r2(results, split), abs=0.01)
