"""Missing features are filled from the training rows, before the transform runs."""

import numpy as np
import pytest

from memtrain.components.row_transform import build_row_transform
from memtrain.data.memmap_dataset import MemmapDataset

TARGET = np.zeros((40, 1), np.float32)


def rows_with_gaps(seed=0):
    generator = np.random.default_rng(seed)
    features = generator.normal(3, 2, (40, 3)).astype(np.float32)
    features[generator.random(features.shape) < 0.2] = np.nan
    return features


def double_it(row):
    assert row["features"].shape == (3,)
    return row | {"features": 2 * row["features"]}


@pytest.mark.parametrize(
    ("impute", "fill"),
    [
        ("mean", lambda means: means),
        (7.5, lambda means: np.full(3, 7.5)),
        ({"x0": "mean", "x1": -1, "x2": 0}, lambda means: [means[0], -1, 0]),
    ],
)
@pytest.mark.parametrize("transform", ["none", "standardize", f"{__name__}:double_it"])
def test_missing_features_are_filled(resolve, impute, fill, transform):
    features = rows_with_gaps()
    data, recipe = resolve(
        features, TARGET, {"impute": impute, "transform": transform}, train=[0, 25]
    )
    used = features[:25].astype(np.float64)
    means, deviations = np.nanmean(used, axis=0), np.nanstd(used, axis=0)
    expected = np.where(np.isnan(features), fill(means), features)
    if transform == "standardize":
        expected = (expected - means) / deviations
    elif transform != "none":
        expected = 2 * expected
    dataset = MemmapDataset(data, transform=build_row_transform("training", recipe.training))
    np.testing.assert_allclose(dataset.gather(range(40))["features"], expected, atol=2e-6)
    np.testing.assert_allclose(dataset[3]["features"], expected[3], atol=2e-6)


def test_nothing_happens_where_nothing_is_asked_for(resolve):
    _, recipe = resolve(np.ones((4, 3), np.float32), TARGET[:4])
    assert build_row_transform("training", recipe.training) is None
