"""Metrics equal their formulas, and standard errors equal what theory predicts."""

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.components.loss_kinds import kind_of, task_of
from memtrain.config.training import TrainingSettings
from memtrain.config.types import Choice
from memtrain.core.random_streams import random_stream
from memtrain.data.field_statistics import FieldStatistics
from memtrain.evaluation.bootstrap import BLOCKS, ResampledMetrics
from memtrain.metrics.metric_inputs import model_columns
from memtrain.metrics.metrics import CALIBRATION_BINS, build_metrics
from memtrain.metrics.model_outputs import OutputMeaning, class_scores, predicted_numbers
from memtrain.recipes.recipe import Rows, Sizes, Task, TrainingRecipe


def recipe_of(target, classes=None):
    """Return the recipe of a training on rows with these targets, (rows, targets)."""
    fields = [["features", "<f4", [1]], ["target", target.dtype.str, [target.shape[1]]]]
    return TrainingRecipe(
        rows=Rows(ranges=[(0, len(target))], pieces=[]),
        task=Task(
            kind="classification" if classes else "regression",
            classes=classes,
            dtype=fields,
            features=["x"],
            target=[f"y{column}" for column in range(target.shape[1])],
        ),
        statistics={"target": FieldStatistics.from_rows(target).to_json()},
        settings=TrainingSettings(),
        sizes=Sizes(rows=1, micro_batches_per_epoch=1, steps_per_epoch=1, steps=1, rows_per_step=1),
    )


def meaning_of(recipe, loss=None):
    default = "CrossEntropyLoss" if recipe.task.classes else "MSELoss"
    kind = kind_of(Choice(name=loss or default))
    return OutputMeaning(task_of(kind, recipe, keeps_target=True), kind, loss or default)


def metrics_of(recipe, loss=None):
    meaning = meaning_of(recipe, loss)
    return build_metrics(recipe, meaning.task, has_probabilities=meaning.has_probabilities)


def score(recipe, predictions, target, borders=(), resamples=0, seed=0, loss=None):
    """Return the samples of every metric, for rows that come in batches with these borders."""
    metrics = ResampledMetrics(metrics_of(recipe, loss), len(target), resamples, seed)
    predictions, target = torch.from_numpy(predictions), torch.from_numpy(target)
    for start, end in pairwise([0, *sorted(borders), len(target)]):
        batch = (predictions[start:end], target[start:end])
        metrics.update(**model_columns(meaning_of(recipe, loss), *batch))
    return metrics.compute()


def values(samples):
    return {name: part.mean_over_targets().value for name, part in samples.items()}


def errors(samples):
    return {name: part.mean_over_targets().error for name, part in samples.items()}


def regression(target, predictions):
    """Return the metrics of a regression by textbook formulas, averaged over the targets."""
    left = predictions - target
    mse = (left**2).mean(axis=0)
    return {
        "r2": (1 - mse / target.var(axis=0)).mean(),
        "rmse": np.sqrt(mse).mean(),
        "mae": np.abs(left).mean(),
        "mse": mse.mean(),
    }


def classification(target, logarithms):
    said, classes = logarithms.argmax(axis=1), range(logarithms.shape[1])
    f1 = []
    for number in classes:
        hits = ((said == number) & (target == number)).sum()
        claims = (said == number).sum() + (target == number).sum()
        f1 += [2 * hits / claims] if claims else []
    return {
        "accuracy": (said == target).mean(),
        "f1": np.mean(f1),
        "cross_entropy": -logarithms[range(len(target)), target].mean(),
        "calibration_error": calibration(np.exp(logarithms).max(axis=1), said == target),
    }


def calibration(confidence, came_true):
    """Return the expected calibration error by its formula."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    error = 0
    for number in np.unique(bins):
        inside = bins == number
        gap = abs(confidence[inside].mean() - came_true[inside].mean())
        error += inside.mean() * gap
    return error


def labels(is_yes, probability):
    """Return the metrics of one label by their formulas."""
    said = probability > 0.5
    claims = said.sum() + is_yes.sum()
    truth = np.where(is_yes, probability, 1 - probability)
    return {
        "accuracy": (said == is_yes).mean(),
        "f1": 2 * (said & is_yes).sum() / claims if claims else None,
        "cross_entropy": -np.log(truth).mean(),
        "calibration_error": calibration(probability, is_yes),
    }


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(3, 200),
    targets=st.integers(1, 3),
    centre=st.sampled_from([0.0, 1.0, -1e6]),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    noise=st.sampled_from([1e-3, 1.0, 10.0]),
    data=st.data(),
)
def test_regression_metrics_are_their_formulas(seed, rows, targets, centre, scale, noise, data):
    generator = np.random.default_rng(seed)
    target = centre + scale * generator.standard_normal((rows, targets))
    predictions = target + noise * scale * generator.standard_normal((rows, targets))
    borders = data.draw(st.sets(st.integers(1, rows - 1), max_size=5))
    recipe = recipe_of(target[: rows // 2 + 1])
    found = values(score(recipe, predictions, target, borders))
    # Values near `centre` are rounded, so that a difference between them is only as exact as this.
    exact = max(1e-9, 1e-14 * abs(centre) / (scale * noise))
    assert found == pytest.approx(regression(target, predictions), rel=exact, abs=exact)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 200),
    classes=st.integers(2, 6),
    data=st.data(),
)
def test_classification_metrics_are_their_formulas(seed, rows, classes, data):
    generator = np.random.default_rng(seed)
    logits = torch.from_numpy(3 * generator.standard_normal((rows, classes)))
    logarithms = logits.log_softmax(1).numpy()
    target = generator.integers(classes, size=rows)
    borders = data.draw(st.sets(st.integers(1, rows), max_size=5)) - {rows}
    recipe = recipe_of(target[:, None], classes)
    found = values(score(recipe, logarithms, target, borders))
    assert found == pytest.approx(classification(target, logarithms), rel=1e-12, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(2, 200),
    targets=st.integers(1, 3),
    loss=st.sampled_from(["BCEWithLogitsLoss", "SoftMarginLoss", "BCELoss"]),
    data=st.data(),
)
def test_metrics_of_labels_are_their_formulas(seed, rows, targets, loss, data):
    generator = np.random.default_rng(seed)
    is_yes = generator.random((rows, targets)) < 0.4
    probability = generator.uniform(0.01, 0.99, (rows, targets))
    target = np.where(is_yes, 1.0, -1.0 if loss == "SoftMarginLoss" else 0.0)
    outputs = probability if loss == "BCELoss" else np.log(probability / (1 - probability))
    recipe = recipe_of(target)
    meaning = meaning_of(recipe, loss)
    assert meaning.task == "binary"
    true_values = torch.from_numpy(target)
    predictions = meaning.predictions(torch.from_numpy(outputs), true_values).numpy()
    borders = data.draw(st.sets(st.integers(1, rows), max_size=5)) - {rows}
    found = score(recipe, predictions, target, borders, loss=loss)
    for number in range(targets):
        expected = labels(is_yes[:, number], probability[:, number])
        estimates = {name: part.target_estimate(number).value for name, part in found.items()}
        assert estimates == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_scores_that_are_no_probabilities_have_no_cross_entropy():
    scores = np.array([[3.0, 1.0], [-5.0, 2.0], [0.0, 0.5]])
    target = np.array([0, 1, 0])
    found = values(score(recipe_of(target[:, None], 2), scores, target, loss="MultiMarginLoss"))
    assert found == {"accuracy": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3)}


def test_a_resample_is_the_metric_of_the_rows_that_were_drawn():
    generator = np.random.default_rng(0)
    target = generator.standard_normal((50, 2))
    predictions = target + generator.standard_normal((50, 2))
    samples = score(recipe_of(target), predictions, target, borders=[7, 20], resamples=3, seed=9)
    draws = random_stream(9, "bootstrap")
    for number in range(1, 4):
        drawn = draws.integers(50, size=50)
        expected = regression(target[drawn], predictions[drawn])
        found = {name: part.values[number].mean().item() for name, part in samples.items()}
        assert found == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [400, 3 * BLOCKS + 5], ids=["rows", "blocks"])
def test_bootstrap_errors_are_the_analytic_ones(rows):
    generator = np.random.default_rng(1)
    target = generator.standard_normal((rows, 1))
    left = generator.standard_normal((rows, 1)) * (1 + np.abs(target))
    found = errors(score(recipe_of(target), target + left, target, resamples=600))
    assert found["mse"] == pytest.approx((left**2).std() / math.sqrt(rows), rel=0.12)
    assert found["mae"] == pytest.approx(np.abs(left).std() / math.sqrt(rows), rel=0.12)
    labels = generator.integers(3, size=rows)
    logarithms = torch.from_numpy(generator.standard_normal((rows, 3))).log_softmax(1).numpy()
    share = classification(labels, logarithms)["accuracy"]
    found = errors(score(recipe_of(labels[:, None], 3), logarithms, labels, resamples=600))
    assert found["accuracy"] == pytest.approx(math.sqrt(share * (1 - share) / rows), rel=0.12)


@pytest.mark.slow
def test_errors_of_neighbours_that_err_together_are_larger():
    generator = np.random.default_rng(2)
    target = generator.standard_normal((64 * BLOCKS, 1))
    days = np.repeat(generator.standard_normal((1024, 1)), 64, axis=0)
    found = errors(score(recipe_of(target), target + days, target, resamples=500))
    assert found["mse"] == pytest.approx((days**2).std() / math.sqrt(1024), rel=0.12)


def test_resamples_follow_from_the_seed_alone():
    generator = np.random.default_rng(3)
    target = generator.standard_normal((40, 1))
    predictions = target + generator.standard_normal((40, 1))
    recipe = recipe_of(target)
    torch.manual_seed(1)
    first = errors(score(recipe, predictions, target, resamples=50, seed=4))
    torch.manual_seed(2)
    assert first == errors(score(recipe, predictions, target, resamples=50, seed=4))
    assert first != errors(score(recipe, predictions, target, resamples=50, seed=5))


@pytest.mark.parametrize("resamples", [0, 1])
def test_without_resamples_there_are_no_errors(resamples):
    target = np.arange(5.0)[:, None]
    samples = score(recipe_of(target), target + 1, target, resamples=resamples)
    assert set(errors(samples).values()) == {None}
    assert values(samples)["mse"] == 1


def test_one_row_has_no_r2_and_no_errors():
    target = np.ones((1, 1))
    samples = score(recipe_of(np.arange(3.0)[:, None]), target + 2, target, resamples=10)
    assert values(samples) == {"r2": None, "rmse": 2, "mae": 2, "mse": 4}
    assert set(errors(samples).values()) == {None}


@pytest.mark.parametrize("wrong_by", [0.0, 1.0])
def test_a_constant_target_has_no_r2(wrong_by):
    target = np.full((20, 1), 3.0)
    samples = score(recipe_of(np.arange(9.0)[:, None]), target + wrong_by, target)
    assert values(samples)["r2"] is None
    assert values(samples)["mse"] == wrong_by


def test_an_impossible_class_has_no_finite_cross_entropy():
    logarithms = np.log([[0.5, 0.5, 1e-300], [1.0, 1e-300, 1e-300]])
    logarithms[1, 2] = -math.inf
    target = np.array([0, 2])
    found = values(score(recipe_of(target[:, None], 3), logarithms, target))
    assert found["cross_entropy"] is None
    assert found["accuracy"] == 0.5


@pytest.mark.slow
def test_nothing_is_kept_of_single_rows():
    sizes = []
    for rows in (BLOCKS, 100 * BLOCKS):
        recipe = recipe_of(np.arange(4.0)[:, None])
        metrics = ResampledMetrics(metrics_of(recipe), rows, resamples=10)
        for batch in torch.zeros((rows, 1), dtype=torch.float64).split(5000):
            metrics.update(preds=batch + 1, target=batch)
        sizes.append(len(pickle.dumps(metrics)))
    # Numbers of rows are pickled in fewer bytes when they are small.
    assert sizes[1] < 1.05 * sizes[0]


LOGITS = torch.tensor([[0.3, -1.0, 2.0], [0.0, 5.0, -5.0]])


def test_log_probabilities_of_logits_and_of_log_probabilities():
    expected = LOGITS.double().log_softmax(1)
    of_logits = class_scores(kind_of(Choice(name="CrossEntropyLoss")), LOGITS)
    torch.testing.assert_close(of_logits, expected)
    given = LOGITS.double().log_softmax(1)
    torch.testing.assert_close(class_scores(kind_of(Choice(name="NLLLoss")), given), expected)


def test_log_probabilities_of_two_classes():
    odds = torch.tensor([[0.0], [2.0], [-200.0]])
    found = class_scores(kind_of(Choice(name="BCEWithLogitsLoss")), odds)
    torch.testing.assert_close(found.exp()[:, 1:], odds.double().sigmoid())
    assert found[2].tolist() == pytest.approx([0.0, -200.0])
    probability = torch.tensor([[0.25], [1.0]])
    found = class_scores(kind_of(Choice(name="BCELoss")), probability)
    torch.testing.assert_close(found.exp(), torch.tensor([[0.75, 0.25], [0.0, 1.0]]).double())
    assert found[1].tolist() == [-100.0, 0.0]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({"name": "MSELoss"}, [-1.0, 2.0]),
        ({"name": "HuberLoss", "delta": 2}, [-1.0, 2.0]),
        ({"name": "BCEWithLogitsLoss"}, [0.2689414213699951, 0.8807970779778823]),
        ({"name": "BCELoss"}, [-1.0, 2.0]),
        ({"name": "PoissonNLLLoss"}, [0.36787944117144233, 7.38905609893065]),
        ({"name": "PoissonNLLLoss", "log_input": False}, [-1.0, 2.0]),
        ({"name": "KLDivLoss"}, [0.36787944117144233, 7.38905609893065]),
        ({"name": "KLDivLoss", "log_target": True}, [-1.0, 2.0]),
    ],
)
def test_outputs_are_taken_back_to_the_scale_of_the_target(loss, expected):
    found = predicted_numbers(kind_of(Choice(**loss)), torch.tensor([[-1.0], [2.0]]))
    assert found.flatten().tolist() == pytest.approx(expected, rel=1e-12)
