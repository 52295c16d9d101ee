"""With `shuffle_once`, an import writes rows in a random order."""

import os

import numpy as np
import pytest
from pyarrow import csv, parquet

from memtrain.config.dataset import MockSettings
from memtrain.data.mock_rows import write_mock_data
from memtrain.data.source import Source
from tests.unit.data.test_import_data import XY, refusal, run_import, write_csv


def write_sorted(path, rows=2000):
    """Write rows that lie sorted by all columns; the word depends on the number."""
    numbers = np.arange(rows)
    words = np.array(["low", "high"])[(numbers >= rows // 2).astype(int)]
    write_csv(path, {"x": numbers, "w": words, "y": numbers * 2})


FLOAT = {"target": "float32"}
XWY = {"features": ["x", "w"], "target": ["y"], "categories": ["w"]}


@pytest.mark.parametrize("seed", [0, 1])
def test_sorted_rows_are_written_in_random_order(tmp_path, seed):
    write_sorted(tmp_path / "t.csv")
    records, source = run_import(tmp_path / "t.csv", tmp_path, **XWY, shuffle_once=seed)
    assert sorted(os.listdir(tmp_path / "out")) == ["data.npy", "source.json"]
    x = records["features_float32"][:, 0]
    assert np.array_equal(np.sort(x), np.arange(2000))
    assert abs(np.corrcoef(x, np.arange(2000))[0, 1]) < 0.1
    # All values of a row have moved together.
    assert np.array_equal(records["target"][:, 0], 2 * x)
    high = source.columns[1].words["high"]
    assert np.array_equal(records["features_words"][:, 0] == high, x >= 1000)
    assert source.origin["settings"]["shuffle_once"] == seed
    assert source.in_random_order


def test_the_order_depends_on_the_seed_and_the_rows_alone(tmp_path):
    write_sorted(tmp_path / "t.csv")
    parquet.write_table(csv.read_csv(tmp_path / "t.csv"), tmp_path / "t.parquet")
    from_csv, again, from_parquet, other_seed = (
        run_import(tmp_path / name, **XWY, dtypes=FLOAT, shuffle_once=seed)[0].tobytes()
        for name, seed in [("t.csv", 1), ("t.csv", 1), ("t.parquet", 1), ("t.csv", 2)]
    )
    assert from_csv == again == from_parquet != other_seed


def test_rows_keep_their_order_without_a_seed(tmp_path):
    write_sorted(tmp_path / "t.csv")
    records, source = run_import(tmp_path / "t.csv", **XWY)
    assert np.array_equal(records["target"][:, 0], 2 * np.arange(2000))
    assert not source.in_random_order
    assert not Source(["x"], ["y"], "regression").in_random_order


def test_only_rows_that_are_kept_are_shuffled(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{n},{n}\n,{n}\n" for n in range(500)))
    records, source = run_import(tmp_path / "t.csv", **XY, missing="drop", shuffle_once=1)
    assert np.array_equal(np.sort(records["features"][:, 0]), np.arange(500))
    assert records["features"][:, 0].tolist() != list(range(500))
    assert source.origin["rows_dropped"] == 500


def test_a_seed_is_a_number(tmp_path):
    problem = refusal(tmp_path, **XY, shuffle_once=True)
    assert "shuffle_once: found True; a number is needed here, not yes or no" in problem


def test_mock_rows_lie_in_random_order(tmp_path):
    assert write_mock_data(tmp_path / "data.npy", MockSettings(rows=5)).in_random_order
