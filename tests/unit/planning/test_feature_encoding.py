"""Fields of a record become features as the recipe says, and NumPy agrees."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from torch import nn

from memtrain.components.build import build_model_parts
from memtrain.components.row_transform import build_row_transform
from memtrain.config.dataset import ImportSettings
from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.data.indexing import index_shards
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import create
from memtrain.data.tables.importer import TableImport
from memtrain.planning.column_fills import medians, most_frequent
from memtrain.planning.recipe_warnings import describe_unknown_words
from memtrain.planning.split_resolution import resolve_splits


@pytest.fixture
def encoded(tmp_path):
    """Return a function that imports a table, resolves one split, and returns its features."""

    def encoded(table, training, train, keys=None):
        parquet.write_table(pa.table(table), tmp_path / "t.parquet")
        features = [name for name in table if name != "y"]
        given = {"path": str(tmp_path / "t.parquet"), "features": features, "target": ["y"]}
        given |= {"missing": {"features": "keep"}} | (keys or {})
        rows = TableImport(ImportSettings.model_validate(given))
        rows.survey()
        with create(tmp_path / "data.npy", rows.dtype, rows.rows) as writer:
            rows.write(writer)
        configuration = parse_configuration(
            {
                "dataset": {"name": "d", "import": given},
                "splits": {"one": {"train": train, "evaluate": [train[1], rows.rows]}},
                "training": {"model": "linear", **training},
            }
        )
        data = tmp_path / "data.npy"
        (recipe,) = resolve_splits(configuration, data, index_shards(data, 8), rows.source())
        transform = build_row_transform("training", recipe.training)
        dataset = MemmapDataset(data, transform=transform)
        features = dataset.gather(range(rows.rows))["features"]
        for row in range(3):
            assert torch.equal(dataset[row]["features"], features[row])
        return recipe, features.numpy()

    return encoded


WORDS = ["b", "a", None, "b", "c", "new"]
TABLE = {"w": WORDS, "x": np.arange(6.0), "y": np.arange(6.0)}
CATEGORY = {"categories": ["w"]}


def test_words_of_the_training_rows_become_columns(encoded):
    recipe, features = encoded(TABLE, {}, [0, 5], CATEGORY)
    assert recipe.training.task.features == ["w=a", "w=b", "w=c", "x"]
    assert features.dtype == np.float32
    np.testing.assert_array_equal(
        features,
        [[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 2], [0, 1, 0, 3], [0, 0, 1, 4], [0, 0, 0, 5]],
    )
    assert recipe.unknown_words == {"w": 1}
    assert "(1 of w)" in describe_unknown_words(recipe)


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"encode": {"w": "codes"}}, [2, 1, 0, 2, 3, 0]),
        ({"encode": {"w": "codes"}, "impute": {"w": "category"}}, [2, 1, 4, 2, 3, 0]),
        ({"encode": {"w": "codes"}, "impute": {"w": "most_frequent"}}, [2, 1, 2, 2, 3, 0]),
        ({"encode": {"w": {"name": "codes", "rare": 2}}}, [1, 2, 0, 1, 2, 0]),
    ],
)
def test_words_become_codes(encoded, training, expected):
    recipe, features = encoded(TABLE, training, [0, 5], CATEGORY)
    assert features[:, 0].tolist() == expected
    assert recipe.training.category_sizes == {0: max(expected) + 1}


def test_rare_and_missing_words_have_columns_of_their_own(encoded):
    training = {
        "encode": {"w": {"name": "one_hot", "rare": 2}},
        "impute": {"w": {"with": "category", "indicator": True}},
    }
    recipe, features = encoded(TABLE, training, [0, 5], CATEGORY)
    names = ["w=b", "w=(other)", "w=(missing)", "w_is_missing", "x"]
    assert recipe.training.task.features == names
    np.testing.assert_array_equal(features[2], [0, 0, 1, 1, 2])
    np.testing.assert_array_equal(features[1], [0, 1, 0, 0, 1])


def test_a_one_hot_of_an_id_is_refused(encoded):
    table = {"w": [str(number) for number in range(1100)], "y": np.arange(1100.0)}
    with pytest.raises(UserError, match="has 1,001 words in the training rows"):
        encoded(table, {}, [0, 1001], CATEGORY)


class Embedded(nn.Module):
    def __init__(self, category_sizes):
        super().__init__()
        self.table = nn.Embedding(category_sizes[0], 1)

    def forward(self, features):
        return self.table(features[:, 0])


def test_codes_alone_are_integers_for_an_embedding(encoded):
    table = {"w": WORDS, "y": np.arange(6.0)}
    training = {"encode": {"w": "codes"}, "model": f"{__name__}:Embedded"}
    recipe, features = encoded(table, training, [0, 5], CATEGORY)
    assert features.dtype == np.int64
    parts = build_model_parts(recipe.training, torch.device("cpu"))
    assert parts.model.table.num_embeddings == 4


def test_integers_may_be_missing_beside_floats(encoded):
    n = pa.array([10, None, 30, 50, None, 7], pa.int32())
    table = {"n": n, "x": np.arange(6.0), "y": np.arange(6.0)}
    keys = {"dtypes": {"n": "int64", "x": "float64"}}
    training = {"impute": {"n": {"with": "median", "indicator": True}}, "transform": "standardize"}
    recipe, features = encoded(table, training, [0, 4], keys)
    assert recipe.training.task.features == ["n", "n_is_missing", "x"]
    present = np.array([10, 30, 50.0])
    filled = (np.array([10, 30, 30, 50, 30, 7]) - present.mean()) / present.std()
    np.testing.assert_allclose(features[:, 0], filled, rtol=1e-6, atol=1e-7)
    with pytest.raises(UserError, match="2 values of the column n are missing"):
        encoded(table, {"transform": "standardize"}, [0, 4], keys)


@pytest.mark.parametrize(("value", "fits"), [(2**53 - 1, True), (2**53, False), (2**62, False)])
def test_integers_that_features_cannot_hold_are_refused(encoded, value, fits):
    table = {"n": [value - 1, value, value - 3, value - 4], "x": np.arange(4.0)}
    table["y"] = np.arange(4.0)
    how = {"transform": "standardize"}, [0, 3], {"dtypes": {"n": "int64"}}
    if fits:
        encoded(table, *how)
    else:
        with pytest.raises(UserError, match="the column n holds the integer"):
            encoded(table, *how)


def test_dates_and_seconds_keep_their_differences(encoded):
    seconds = 1_700_000_000 + np.arange(0, 3600, 100)
    table = {"t": seconds, "x": np.linspace(0, 1, 36), "y": np.arange(36.0)}
    keys = {"dtypes": {"t": "int64"}}
    _, features = encoded(table, {"transform": "standardize"}, [0, 30], keys)
    used = seconds[:30].astype(np.float64)
    np.testing.assert_allclose(features[:, 0], (seconds - used.mean()) / used.std(), rtol=1e-6)
    with pytest.raises(UserError, match="transform: standardize"):
        encoded(table, {}, [0, 30], keys)


def test_statistics_of_features_are_those_of_the_training_rows(encoded):
    recipe, features = encoded(TABLE, {}, [0, 5], CATEGORY)
    found = recipe.training.statistics_of("features")
    np.testing.assert_allclose(found.mean, features[:5].mean(axis=0, dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(
        found.standard_deviation, features[:5].std(axis=0, dtype=np.float64), rtol=1e-6
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=40),
    st.integers(1, 7),
)
def test_medians_and_most_frequent_values_are_those_of_numpy(values, size):
    columns = np.array([values, values[::-1]]).T

    def rows():
        for start in range(0, len(columns), size):
            yield columns[start : start + size]
        yield np.array([[np.nan, np.nan]])

    assert medians(rows, ["a", "b"]) == np.median(columns, axis=0).tolist()
    different, counts = np.unique(values, return_counts=True)
    assert most_frequent(rows, ["a", "b"]) == [different[counts.argmax()]] * 2


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"encode": {"v": "codes"}}, "encode names v, which is no category"),
        ({"encode": {"x": "codes"}}, "encode names x, which is no category"),
        ({"impute": {"w": "median"}}, "which is a category. Use category or most_frequent"),
        ({"impute": {"x": "category"}}, "which is a number. Use"),
    ],
)
def test_settings_that_fit_no_column_are_refused(encoded, training, message):
    with pytest.raises(UserError, match=message):
        encoded(TABLE, training, [0, 5], CATEGORY)


MOMENTS = np.array(["2024-01-01T06:00", "2024-07-01T18:30", "NaT", "2024-12-31"], "M8[ms]")
TIMES = {"t": MOMENTS, "d": np.array([1, 2, 3, 4], "m8[s]"), "x": np.arange(4.0), "y": np.ones(4)}


def test_times_are_seconds_and_places_in_cycles(encoded):
    training = {
        "impute": {"t": {"with": 0, "indicator": True}},
        "encode": {"t": ["elapsed", "month", "hour"]},
        "transform": "standardize",
    }
    recipe, features = encoded(TIMES, training, [0, 3])

    waves = [f"t {part} {wave}" for part in ("month", "hour") for wave in ("sin", "cos")]
    assert recipe.training.task.features == ["t", *waves, "t_is_missing", "d", "x"]
    found = recipe.training.statistics_of("features")
    seconds = MOMENTS[:2].astype("M8[s]").astype(np.float64)
    assert found.mean[0] == seconds.mean()
    assert found.missing.tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    angles = 2 * np.pi * np.array([6 / 24, 18.5 / 24])
    hours = features[:2, 3:5] * found.standard_deviation[3:5] + found.mean[3:5]
    np.testing.assert_allclose(hours, np.stack([np.sin(angles), np.cos(angles)], 1), atol=1e-6)
    assert (features[:, 5] > 0).tolist() == [False, False, True, False]


def test_a_time_without_more_is_its_seconds(encoded):
    recipe, features = encoded(TIMES, {"transform": "standardize", "impute": "mean"}, [0, 3])

    assert recipe.training.task.features == ["t", "d", "x"]
    assert features[:, 1].tolist() == pytest.approx((np.arange(4.0) - 1) / np.std([1, 2, 3]))


def test_dates_are_read_from_text_that_is_declared(encoded):
    table = {"t": ["2024-01-01", "2024-01-03", "2024-01-02"], "x": [0.5, 1, 2], "y": [1.0, 2, 3]}
    keys = {"dtypes": {"t": "date"}}
    recipe, _ = encoded(table, {"transform": "standardize"}, [0, 2], keys)

    days = recipe.training.statistics_of("features").mean[0] / 86_400
    assert days == (np.datetime64("2024-01-02") - np.datetime64("1970-01-01")).astype(int)


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        ({"t": "one_hot"}, "training.encode has one_hot for t, which is a time. Use a list such"),
        ({"d": ["month"]}, "training.encode names d, which is no category or time"),
    ],
)
def test_what_is_no_part_of_a_column_is_refused(encoded, encode, message):
    with pytest.raises(UserError, match=message):
        encoded(TIMES, {"transform": "standardize", "impute": 0, "encode": encode}, [0, 3])


def test_many_columns_have_their_medians_in_groups():
    rows = np.random.default_rng(0).normal(size=(7, 150))
    names = [str(number) for number in range(150)]
    assert medians(lambda: iter([rows[:3], rows[3:]]), names) == np.median(rows, axis=0).tolist()
