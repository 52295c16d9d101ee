"""Figures: every row is counted, and every kind of result can be drawn."""

import math
import os
import struct
from itertools import pairwise

import numpy as np
import pytest

from memtrain.evaluation.predictions import Predictions, create_predictions, prediction_dtype
from memtrain.evaluation.result import Confusion, Evaluation
from memtrain.reporting.figures.binary import draw_binary
from memtrain.reporting.figures.classification import draw_classification
from memtrain.reporting.figures.histograms import count_classification, count_regression
from memtrain.reporting.figures.learning_curve import draw_learning_curve
from memtrain.reporting.figures.regression import draw_regression
from memtrain.reporting.figures.style import Heading, shortened
from memtrain.training.history import History
from memtrain.training.validation_history import ValidationRecord

GENERATOR = np.random.default_rng(0)
HEADING = Heading("split", "R² 0.5; 10 rows")


def write_predictions(path, kind, target, predicted):
    dtype = prediction_dtype(kind, predicted.shape[1], target.shape[1])
    with create_predictions(path, dtype, len(target)) as writer:
        if "class" in dtype.names:
            top = np.argsort(-predicted, axis=1)[:, :10]
            best = np.take_along_axis(predicted, top, axis=1)
            writer.write(np.arange(len(target)), target, best, top)
        else:
            writer.write(np.arange(len(target)), target, predicted)
    return Predictions(path)


def test_every_finite_row_is_counted_for_the_figures(tmp_path):
    target = GENERATOR.standard_normal((5000, 2))
    predicted = target + GENERATOR.standard_normal((5000, 2))
    predicted[7], predicted[8] = math.nan, 1e30
    rows = write_predictions(tmp_path / "numbers.npy", "regression", target, predicted)
    for counts in count_regression(rows, 2):
        for grid in (counts.predicted_against_true, counts.residuals):
            assert grid.rows == 4999
            assert 1 <= grid.rows_outside <= 20
        low, high = counts.predicted_against_true.x
        assert low < -2.5
        assert 2.5 < high < 10
        rising = [
            counts.predicted_against_true.counts[start:end].sum()
            for start, end in pairwise([0, 9, 18])
        ]
        assert 0 < rising[0] < rising[1]


@pytest.mark.parametrize("classes", [3, 350])
def test_every_row_is_counted_in_the_confusion_matrix(tmp_path, classes):
    target = GENERATOR.integers(classes, size=(3000, 1))
    predicted = GENERATOR.random((3000, classes))
    predicted /= predicted.sum(axis=1, keepdims=True)
    rows = write_predictions(tmp_path / "classes.npy", "classification", target, predicted)
    counts = count_classification(rows, classes)
    assert counts.rows.sum() == 3000
    said = predicted.astype(np.float32).argmax(axis=1)
    expected = np.zeros_like(counts.confusion)
    if classes <= 100:
        np.add.at(expected, (target[:, 0], said), 1)
    assert (counts.confusion == expected).all()
    assert len(expected) <= 100
    assert counts.correct_rows.sum() == (said == target[:, 0]).sum()


def size_of_png(path):
    """Return the width and the height in pixels."""
    return struct.unpack(">II", path.read_bytes()[16:24])


def draw(function, folder, **arguments):
    """Draw into two files, and return their paths."""
    paths = folder / "one.png", folder / "two.png"
    function(predictions_path=paths[0], errors_path=paths[1], heading=HEADING, **arguments)
    return paths


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (1, ["y"]),
        (2000, ["price in $_{x per $", "高さ, a name that is longer than its figure" * 9]),
        (30, [f"y{number}" for number in range(7)]),
    ],
    ids=["one row", "names", "targets"],
)
def test_a_regression_of_any_number_of_rows_and_targets_can_be_drawn(tmp_path, rows, names):
    target = 1e6 * GENERATOR.standard_normal((rows, len(names)))
    predictions = write_predictions(tmp_path / "rows.npy", "regression", target, target / 2)
    paths = draw(draw_regression, tmp_path, targets=names, predictions=predictions)
    for path in paths:
        width, height = size_of_png(path)
        assert 500 < width < 2200
        assert 500 < height < 1500


def test_long_names_are_cut():
    assert shortened("abcd", 4) == "abcd"
    assert shortened("abcde", 4) == "abc…"


def test_a_constant_prediction_can_be_drawn(tmp_path):
    target = np.ones((20, 1))
    predictions = write_predictions(tmp_path / "rows.npy", "regression", target, target)
    draw(draw_regression, tmp_path, targets=["y"], predictions=predictions)


@pytest.mark.slow
@pytest.mark.parametrize("targets", [1, 4])
def test_labels_can_be_drawn(tmp_path, targets):
    labels = GENERATOR.integers(2, size=(50, targets)).astype(float)
    probability = GENERATOR.random((50, targets))
    predictions = write_predictions(tmp_path / "rows.npy", "binary", labels, probability)
    names = [f"y{number}" for number in range(targets)]
    for path in draw(draw_binary, tmp_path, targets=names, predictions=predictions):
        assert 500 < max(size_of_png(path)) < 3000


@pytest.mark.slow
@pytest.mark.parametrize("classes", [1, 13, 350, 1200])
def test_a_classification_of_any_number_of_classes_can_be_drawn(tmp_path, classes):
    target = GENERATOR.integers(classes, size=(50, 1))
    probabilities = GENERATOR.dirichlet(np.ones(classes), size=50)
    path = tmp_path / "rows.npy"
    predictions = write_predictions(path, "classification", target, probabilities)
    names = [f"${number}$" for number in range(classes)]
    confusions = [Confusion(true="a", predicted="b" * 99, rows=9 - rows) for rows in range(8)]
    paths = draw(
        draw_classification,
        tmp_path,
        classes=names,
        confusions=confusions,
        are_probabilities=True,
        predictions=predictions,
    )
    for path in paths:
        assert 500 < max(size_of_png(path)) < 1300


@pytest.mark.parametrize(
    ("losses", "lowest_loss"),
    [([1.0], None), ([1.0, 0.5, 0.01], 0.005), ([0.0, 3.0, -5.0, 0.0], -9.0), (range(5000), None)],
    ids=["one step", "decades", "not positive", "many steps"],
)
def test_a_learning_curve_of_any_length_can_be_drawn(tmp_path, resolve, losses, lowest_loss):
    _, recipe = resolve(np.zeros((4, 1), np.float32), np.zeros(4, np.float32))
    metrics = dict.fromkeys(["r2", "rmse", "mae", "mse"], 1.0)
    evaluation = Evaluation(
        split="one",
        task="regression",
        rows=4,
        ranges=[(0, 4)],
        nonfinite_rows=0,
        metrics=metrics,
        errors=metrics,
        baseline=metrics,
        loss=0.5,
        lowest_loss=lowest_loss,
        ratio_to_lowest_loss=None,
        recipe="",
        evaluation_recipe="",
        parameters=2,
        steps=len(losses),
    )
    epochs = np.arange(len(losses)) // 3 + 1
    history = History(epochs, np.array(losses, np.float64))
    draw_learning_curve(
        tmp_path / "curve.png",
        heading=HEADING,
        recipe=recipe.training,
        evaluation=evaluation,
        history=history,
        validations=[
            ValidationRecord(1, step, 4, loss / 2 + 0.1, {}) for step, loss in enumerate(losses, 1)
        ],
    )
    assert 20_000 < os.path.getsize(tmp_path / "curve.png") < 200_000
