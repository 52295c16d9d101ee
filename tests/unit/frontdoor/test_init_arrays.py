"""What `memtrain init` proposes for arrays that are read where they lie."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather

from memtrain.config.dataset import ImportSettings
from memtrain.config.files import FilesSettings
from memtrain.core.errors import UserError
from memtrain.data.files_description import describe_files
from memtrain.data.tables.importer import TableImport
from memtrain.frontdoor.array_rows import facts_of_rows, sampled_rows
from tests.tables import ROWS

ONE_RANGE = {"train": [0, "80%"], "validate": ["80%", "90%"], "evaluate": ["90%", "100%"]}


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)


@pytest.fixture
def labels(features):
    return features.argmax(1)


def test_a_matrix_in_many_files_with_the_target_as_its_last_column(init, tmp_path, features):
    (tmp_path / "shards").mkdir()
    for part, rows in enumerate(np.array_split(features, 12)):
        np.save(tmp_path / f"shards/part_{part}.npy", rows)
    content = init("shards", "--in-place", "--target", 3)
    assert content["dataset"] == {
        "name": "shards",
        "files": {"path": "shards/part_*.npy", "features": "0:3", "target": "3:"},
    }
    assert content["splits"] == {"all": ONE_RANGE}
    assert content["training"]["loss"] == "MSELoss"
    assert content["training"]["target"] == "standardize"


def test_columns_that_no_run_can_name_are_told(init, tmp_path, features):
    np.save(tmp_path / "x.npy", features)
    with pytest.raises(UserError, match="--no-in-place"):
        init("x.npy", "--in-place", "--target", 1)
    with pytest.raises(UserError, match="0 or 3"):
        init("x.npy", "--in-place", "--target", "price")
    assert init("x.npy", "--in-place", "--target", 0)["dataset"]["files"]["features"] == "1:"


def test_images_and_labels_side_by_side(init, tmp_path, labels):
    images = np.random.default_rng(1).integers(0, 255, (ROWS, 8, 8), np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    content = init("images.npy", "labels.npy", "--target", "labels")  # in place by its axes
    assert content["dataset"]["files"] == {
        "fields": {
            "images": {"path": "images.npy"},
            "labels": {"path": "labels.npy", "target": True},
        }
    }
    assert content["training"]["loss"] == "CrossEntropyLoss"


def test_parts_of_a_field_belong_together(init, tmp_path, features, labels):
    for day in range(10, 13):
        part = slice((day - 10) * 100, (day - 9) * 100)
        np.save(tmp_path / f"day_{day}_dense.npy", features[part])
        np.save(tmp_path / f"day_{day}_clicked.npy", labels[part])
    files = init(".", "--in-place", "--target", "day_clicked")["dataset"]["files"]
    assert files["fields"] == {
        "day_dense": {"path": "./day_*_dense.npy"},
        "day_clicked": {"path": "./day_*_clicked.npy", "target": True},
    }


def test_records_lose_what_is_no_number(init, tmp_path, features, labels):
    dtype = [("id", "S4"), ("pixels", "f4", (4,)), ("label", "i8")]
    records = np.zeros(ROWS, dtype)
    records["pixels"], records["label"] = features, labels
    np.save(tmp_path / "r.npy", records)
    files = init("r.npy", "--in-place", "--target", "label")["dataset"]["files"]
    assert files == {"path": "r.npy", "features": ["pixels"], "target": ["label"]}
    assert "id (a model is given numbers, and it is |S4)" in (tmp_path / "config.yaml").read_text()
    with pytest.raises(UserError, match="Did you mean 'label'"):
        init("r.npy", "--in-place", "--force", "--target", "lable")


def test_arrow_where_it_lies(init, tmp_path, features):
    table = {f"x{place}": features[:, place] for place in range(4)}
    feather.write_feather(pa.table(table), tmp_path / "t.arrow", compression="uncompressed")
    files = init("t.arrow", "--in-place", "--target", "x2")["dataset"]["files"]
    assert files == {"path": "t.arrow", "features": ["x0", "x1", "x3"], "target": ["x2"]}


def test_without_a_target_the_fields_are_listed(init, tmp_path, capsys, features, labels):
    np.save(tmp_path / "x.npy", features)
    np.save(tmp_path / "y.npy", labels)
    assert init("x.npy", "y.npy", "--in-place") is None
    printed = capsys.readouterr().out
    assert "400 rows in 2 files" in printed
    assert "  x  float32, 4 a row\n  y  int64\n" in printed
    assert "memtrain init x.npy y.npy --in-place --target y" in printed


def test_missing_numbers_are_filled_and_missing_targets_refused(init, tmp_path, features, labels):
    features[7, 2] = np.nan
    np.save(tmp_path / "x.npy", features)
    np.save(tmp_path / "y.npy", labels)
    content = init("x.npy", "y.npy", "--in-place", "--target", "y")
    assert content["training"]["impute"] == "mean"
    np.save(tmp_path / "y.npy", np.where(labels == 2, np.nan, labels))
    with pytest.raises(UserError, match="missing or infinite"):
        init("x.npy", "y.npy", "--in-place", "--force", "--target", "y")


def test_classes_below_zero_are_refused_in_place_and_imported(init, tmp_path, features, labels):
    np.save(tmp_path / "x.npy", features)
    np.save(tmp_path / "y.npy", np.where(labels == 0, -1, 1))
    with pytest.raises(UserError, match=r"it holds -1, .*add --no-in-place"):
        init("x.npy", "y.npy", "--in-place", "--target", "y")
    regression = ["--task", "regression"]
    files = init("x.npy", "y.npy", "--in-place", "--target", "y", *regression)["dataset"]["files"]
    assert files["task"] == "regression"
    rows = init("x.npy", "y.npy", "--force")["dataset"]["import"]
    assert rows["categories"] == ["target:0"]


def test_large_integers_in_two_files_are_rounded_each_by_its_name(init, tmp_path, features):
    large = np.random.default_rng(0).integers(2**55, 2**60, (ROWS, 2))
    np.save(tmp_path / "x.npy", large)
    np.save(tmp_path / "y.npy", large.sum(1))
    rows = init("x.npy", "y.npy")["dataset"]["import"]
    assert rows["inexact"] == {"0": "round", "1": "round", "target:0": "round"}
    survey = TableImport(ImportSettings.model_validate(rows))
    survey.survey()
    assert survey.rows == ROWS


def test_whole_numbers_of_many_values_are_amounts(init, tmp_path, features):
    np.save(tmp_path / "x.npy", features)
    np.save(tmp_path / "y.npy", np.random.default_rng(1).permutation(ROWS))
    files = init("x.npy", "y.npy", "--in-place", "--target", "y")["dataset"]["files"]
    assert files["task"] == "regression"


def test_rows_sorted_by_the_target_are_evaluated_in_all_parts(init, tmp_path, features, labels):
    order = labels.argsort(kind="stable")
    np.save(tmp_path / "x.npy", features[order])
    np.save(tmp_path / "y.npy", labels[order])
    ranges = init("x.npy", "y.npy", "--in-place", "--target", "y")["splits"]["all"]
    assert ranges["train"][:2] == [[0, "8%"], ["10%", "18%"]]
    assert ranges["evaluate"][-1] == ["99%", "100%"]
    assert {len(ranges[use]) for use in ("train", "validate", "evaluate")} == {10}


@pytest.mark.parametrize("seed", range(5))
def test_random_orders_do_not_drift(tmp_path, seed):
    draw = np.random.default_rng(seed)
    for target in (draw.normal(size=ROWS), draw.integers(0, 20, ROWS), draw.exponential(size=ROWS)):
        np.save(tmp_path / "x.npy", draw.normal(size=(ROWS, 2)))
        np.save(tmp_path / "y.npy", target)
        fields = {name: {"path": str(tmp_path / f"{name}.npy")} for name in "xy"}
        fields["y"]["target"] = True
        layout, _ = describe_files(FilesSettings.model_validate({"fields": fields}))
        facts = facts_of_rows(layout, target.dtype.kind == "i")
        assert not facts.drifts
        assert facts.target_values == len(np.unique(target))


def test_a_stream_of_values_has_no_target_of_its_own(init, tmp_path):
    np.save(tmp_path / "tokens.npy", np.arange(100))
    with pytest.raises(UserError, match="windows of a stream"):
        init("tokens.npy", "--in-place", "--target", "x")
    np.arange(100).tofile(tmp_path / "tokens.bin")
    with pytest.raises(UserError, match="dtype"):
        init("tokens.bin", "--target", "x")
    assert not (tmp_path / "config.yaml").exists()


def test_the_rows_that_are_looked_at_lie_evenly():
    rows = sampled_rows(10_000_000, 1000)
    assert (np.diff(rows) > 0).all()
    assert rows[0] == 0
    assert rows[-1] == 9_999_999
    assert len(rows) * 1000 <= 1 << 26
    assert (sampled_rows(77, 10**9)[[0, -1]] == [0, 76]).all()
