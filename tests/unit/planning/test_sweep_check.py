"""The metric of a sweep is refused before anything is trained, where evaluations will lack it."""

import numpy as np
import pytest

from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.data.indexing import index_shards
from memtrain.data.source import Source
from memtrain.planning.split_resolution import resolve_splits

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((60, 3), dtype=np.float32)
LOSSES = {"regression": "MSELoss", "classification": "CrossEntropyLoss"}


def resolve_sweep(write_rows, task, sweep, **of_split):
    target = np.arange(60).reshape(-1, 1) % 3
    data = write_rows(FEATURES, target.astype(np.int64 if task == "classification" else np.float32))
    content = {
        "dataset": {
            "name": "test",
            "import": {"path": "x", "features": ["x"], "target": ["y"]},
        },
        "splits": {"one": {"train": [0, 40], "evaluate": [40, 60]} | of_split},
        "training": {"loss": LOSSES[task], "model": "linear"},
        "sweep": {"grid": {"training.seed": [1, 2]}} | sweep,
    }
    source = Source(
        features=["a", "b", "c"],
        target=["y"],
        task=task,
        classes=3 if task == "classification" else None,
    )
    return resolve_splits(parse_configuration(content), data, index_shards(data, 16), source)


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        *(("regression", metric) for metric in ("loss", "r2", "rmse")),
        *(("classification", metric) for metric in ("accuracy", "auroc", "average_precision")),
    ],
)
def test_metrics_that_evaluations_have_are_taken(write_rows, task, metric):
    assert len(resolve_sweep(write_rows, task, {"metric": metric})) == 2


@pytest.mark.parametrize(
    ("task", "metric", "known"),
    [
        ("regression", "accuracy", "they will have loss, mae, mse, r2, rmse."),
        ("regression", "auroc", "they will have loss, mae, mse, r2, rmse."),
        ("classification", "rmse", "cross_entropy, f1, auroc, average_precision."),
    ],
)
def test_metrics_that_evaluations_lack_are_refused_once(write_rows, task, metric, known):
    with pytest.raises(UserError) as caught:
        resolve_sweep(write_rows, task, {"metric": metric})
    (problem,) = caught.value.problems
    assert f"sweep.metric: found {metric}, which evaluations of these models will not" in problem
    assert known in problem


def test_trainings_that_nothing_evaluates_are_not_asked_for_metrics(write_rows):
    recipes = resolve_sweep(write_rows, "regression", {"metric": "auroc"}, evaluate=None)
    assert len(recipes) == 2
