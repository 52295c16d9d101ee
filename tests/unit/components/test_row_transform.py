"""Missing features are filled from the training rows, before the transform runs."""

import numpy as np
import pytest
import torch

from memtrain.components.build import build_model_parts, build_training_parts
from memtrain.components.row_transform import build_row_transform
from memtrain.core.errors import UserError
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader

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


@pytest.mark.parametrize(
    "values",
    [
        1e8 + np.random.default_rng(0).normal(size=(60, 2)),
        1_700_000_000 + np.random.default_rng(0).integers(0, 3600, (60, 2)),
        np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32),
    ],
)
def test_values_are_centred_in_their_own_precision(resolve, values):
    data, recipe = resolve(
        values, np.zeros((60, 1), np.float32), {"transform": "standardize"}, train=[0, 40]
    )
    used = values[:40].astype(np.float64)
    expected = (values - used.mean(axis=0)) / used.std(axis=0)
    transform = build_row_transform("training", recipe.training)
    loaded = next(
        BlockLoader(MemmapDataset(data, transform=transform), 60, shuffle=None).__iter__()
    )
    for found in (MemmapDataset(data, transform=transform).gather(range(60)), loaded):
        assert found["features"].dtype == torch.float32
        np.testing.assert_allclose(found["features"], expected, atol=1e-5)


def test_a_target_is_standardized_in_a_training_alone(resolve):
    target = 1e8 + np.random.default_rng(0).normal(size=(60, 1))
    features = np.ones((60, 2), np.float32)
    data, recipe = resolve(features, target, {"target": "standardize"}, train=[0, 40])
    parts = build_training_parts(recipe.training, torch.device("cpu"))
    found = MemmapDataset(data, transform=parts.transform).gather(range(60))["target"]
    expected = (target - target[:40].mean()) / target[:40].std()
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(parts.target.undone(torch.from_numpy(expected)), target, rtol=1e-15)
    assert build_model_parts(recipe.training, torch.device("cpu")).transform is None


@pytest.mark.parametrize(
    ("training", "classes", "message"),
    [
        ({"loss": "PoissonNLLLoss"}, None, "PoissonNLLLoss takes the target in its own unit"),
        ({"loss": "CrossEntropyLoss"}, 2, "the target is a class"),
    ],
)
def test_targets_that_cannot_be_standardized_are_refused(resolve, training, classes, message):
    target = np.arange(8)[:, None] % 2 if classes else np.arange(8.0)[:, None]
    with pytest.raises(UserError, match=message):
        resolve(
            np.ones((8, 2), np.float32),
            target,
            training | {"target": "standardize"},
            classes=classes,
        )


MERGED = 1e8 + np.arange(20.0)[:, None]
SMALL = np.arange(20.0)[:, None]


@pytest.mark.parametrize(
    ("features", "target", "training", "message"),
    [
        (MERGED, SMALL, {}, "values of x0 lie within 5.77 .* `training: {transform: standardize}`"),
        (MERGED, SMALL, {"transform": {"name": "scale", "factor": 2}}, "values of x0 lie within"),
        (MERGED, SMALL, {"transform": "standardize"}, None),
        (SMALL, MERGED, {}, "values of y lie within .* `training: {target: standardize}`"),
        (SMALL, MERGED, {"target": "standardize"}, None),
        (
            SMALL.astype(int) + 2**24,
            SMALL,
            {},
            "integers of x0 reach 16777235, and mlp computes in",
        ),
        (SMALL.astype(int) + 2**24, SMALL, {"transform": "standardize"}, None),
    ],
)
def test_values_that_the_model_would_see_merged_are_refused(
    resolve, features, target, training, message
):
    if message is None:
        resolve(features, target, training)
    else:
        with pytest.raises(UserError, match=message):
            resolve(features, target, training)
