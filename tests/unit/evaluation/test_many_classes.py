"""What depends on all rows together equals its formula, however many passes it takes."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memtrain.evaluation import confusions, ranking
from memtrain.evaluation.confusions import ConfusedPair, PredictedClasses, most_confused
from memtrain.evaluation.predictions import Predictions, create_predictions, prediction_dtype
from memtrain.evaluation.ranking import Ranking, ScoredChunk, rank
from memtrain.metrics.model_outputs import top_classes
from tests.cgroups import UnavailableError, memory_cgroup


def pieces(count, borders):
    edges = [0, *sorted(borders), count]
    return [slice(start, end) for start, end in pairwise(edges)]


def auroc(scores, positive):
    """Compare all pairs of a positive and another row."""
    above = scores[positive][:, None] - scores[~positive][None]
    return ((above > 0) + 0.5 * (above == 0)).mean()


def average_precision(scores, positive):
    """Add up precision times gain in recall, threshold by threshold."""
    total = 0.0
    for threshold in np.unique(scores):
        said = scores >= threshold
        gain = (positive & (scores == threshold)).sum() / positive.sum()
        total += gain * positive[said].mean()
    return total


@pytest.mark.slow
@pytest.mark.parametrize("sorted_rows", [7, 1 << 22])
@given(seed=st.integers(0, 2**32), rows=st.integers(2, 150), values=st.sampled_from([1, 3, 10**9]))
def test_rankings_are_their_formulas(sorted_rows, seed, rows, values):
    generator = np.random.default_rng(seed)
    scores = (generator.integers(0, values, rows) / values).astype(np.float32)
    positive = generator.random(rows) < 0.4
    parts = pieces(rows, generator.integers(0, rows, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_MOST_SORTED_ROWS", sorted_rows)
        found = rank(lambda: (ScoredChunk(scores[part], positive[part]) for part in parts))
    if positive.all() or not positive.any():
        assert found is None
        return
    assert found is not None
    assert found.auroc == pytest.approx(auroc(scores, positive), abs=1e-12)
    assert found.average_precision == pytest.approx(average_precision(scores, positive), abs=1e-12)
    constant = np.zeros(rows, np.float32)
    assert found.of_constant() == Ranking(
        0.5, pytest.approx(average_precision(constant, positive)), pytest.approx(positive.mean())
    )


@pytest.mark.parametrize("sorted_rows", [1, 7, 1 << 22])
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 150), classes=st.integers(2, 9))
def test_the_most_confused_pairs_are_those_of_the_whole_table(sorted_rows, seed, rows, classes):
    generator = np.random.default_rng(seed)
    true, predicted = generator.integers(0, classes, (2, rows))
    parts = pieces(rows, generator.integers(0, rows, 3))
    table = np.zeros((classes, classes), int)
    np.add.at(table, (true, predicted), 1)
    np.fill_diagonal(table, 0)
    expected = sorted((-table[pair], *pair) for pair in zip(*np.nonzero(table), strict=True))[:4]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confusions, "_MOST_SORTED_ROWS", sorted_rows)
        found = most_confused(
            lambda: (PredictedClasses(true[part], predicted[part]) for part in parts),
            table.sum(axis=1),
            4,
        )
    assert found == [ConfusedPair(int(t), int(p), -int(rows)) for rows, t, p in expected]


def test_of_very_many_classes_the_most_probable_are_stored(tmp_path):
    generator = np.random.default_rng(0)
    # Coarse scores, of which many are equal.
    scores = torch.from_numpy(generator.integers(0, 400, (20, 1500)).astype(np.float64))
    scores[0] = 1.0
    top = top_classes(scores)
    assert top is not None
    for row in range(1, 20):
        best = sorted(zip(-scores[row].numpy(), range(1500), strict=True))[0]
        assert -best[0] == scores[row, top[row, 0]]
        assert (scores[row, top[row]].diff() <= 0).all()
    dtype = prediction_dtype("classification", 1500, 1)
    assert dtype["prediction"].shape == dtype["class"].shape == (10,)
    with create_predictions(tmp_path / "p.npy", dtype, 20) as writer:
        values = scores.gather(1, top).numpy()
        writer.write(np.arange(20), np.zeros(20, np.int64), values, top.numpy())
    (chunk,) = Predictions(tmp_path / "p.npy").chunks()
    assert np.array_equal(chunk.predicted_class, top[:, 0].numpy())
    assert top_classes(scores[:, :1000]) is None


_COUNT = """
import sys
import numpy as np, torch
from memtrain.evaluation.bootstrap import ResampledMetrics
from memtrain.metrics.metrics import ClassCounts
from torchmetrics import MetricCollection

torch.use_deterministic_algorithms(True)
classes, rows = 100_000, 600
counts = MetricCollection({"f1": ClassCounts(classes)}, compute_groups=False)
metrics = ResampledMetrics(counts, rows, resamples=100)
generator = np.random.default_rng(0)
true, said = (torch.from_numpy(generator.integers(classes, size=rows)) for _ in range(2))
for start in range(0, rows, 100):
    part = slice(start, start + 100)
    metrics.update(true_class=true[part], predicted_class=said[part])
print(metrics.compute()["f1"].values[0].item())
"""


@pytest.mark.slow
def test_a_hundred_thousand_classes_are_counted_in_a_gibibyte(repository):
    try:
        with memory_cgroup(1 << 30) as cgroup:
            done = cgroup.run(
                [sys.executable, "-c", _COUNT],
                env={"PYTHONPATH": str(repository / "scripts"), "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                text=True,
            )
    except UnavailableError as error:
        pytest.skip(str(error))
    assert done.returncode == 0
    generator = np.random.default_rng(0)
    true, said = (generator.integers(100_000, size=600) for _ in range(2))
    hits = np.bincount(true[true == said], minlength=100_000)
    claims = np.bincount(true, minlength=100_000) + np.bincount(said, minlength=100_000)
    expected = (2 * hits[claims > 0] / claims[claims > 0]).mean()
    assert float(done.stdout) == pytest.approx(expected, rel=1e-12)
