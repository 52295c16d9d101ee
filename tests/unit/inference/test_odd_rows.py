"""Rows that no model can be given are refused, not predicted as NaN or as some class."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import memtrain
import predict
from memtrain.core.errors import UserError
from tests.unit.inference.imported_models import (
    COLUMNS,
    TABLE,
    TRAINED,
    TRAINING,
    ImportedModel,
    write_table,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of classes, whose training rows lack sizes and counts, but no day."""
    columns = COLUMNS | {"target": ["kind"], "categories": ["colour", "kind"]}
    folder = tmp_path_factory.mktemp("classes")
    return ImportedModel(folder, columns, TRAINING | {"loss": "CrossEntropyLoss"})


@pytest.fixture(scope="module")
def model(trained):
    return memtrain.load_model(trained.folder)


@pytest.fixture
def rows():
    return {
        "colour": ["red", "green", "blue"],
        "size": [5.0, 4.0, 6.0],
        "count": [2**40, 2**40 + 1, 2**41],
        "day": ["2024-02-01", "2024-03-01", "2025-01-01"],
    }


def problems_of(model, rows):
    with pytest.raises(UserError) as caught:
        model.predict(rows)
    return caught.value.problems


def test_a_missing_value_that_nothing_fills_is_refused(model, rows):
    rows["day"][1] = None
    rows["size"][0] = rows["count"][2] = None  # These are filled.
    (problem,) = problems_of(model, rows)
    assert "row 1, column 'day': it is missing, and the training has nothing" in problem


def test_missing_integers_that_nothing_fills_are_refused(rows, tmp_path):
    columns = {"features": ["count"], "dtypes": {"count": "int64"}, "target": ["price"]}
    settings = TRAINING | {"impute": None, "encode": {}}
    table = TABLE.copy()
    table[TABLE[:, 2] == "", 2] = "7"
    trained = ImportedModel(
        tmp_path, columns | {"missing": {"features": "keep"}}, settings, table=table
    )
    model = memtrain.load_model(trained.folder)
    assert len(model.predict({"count": rows["count"]})) == 3
    (problem,) = problems_of(model, {"count": [1, None, 3]})
    assert "row 1, column 'count': it is missing" in problem


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_refused(model, rows, value):
    rows["size"][2] = value
    (problem,) = problems_of(model, rows)
    assert "row 2, column 'size': it is infinite" in problem


def test_rows_of_files_and_of_the_data_file_are_looked_at_too(trained, tmp_path):
    table = TABLE[TRAINED:].copy()
    table[7, 3] = ""
    path = write_table(tmp_path / "own.csv", table)
    options = ["--split", str(trained.folder), "--predictions", str(tmp_path / "p.npy")]
    with pytest.raises(UserError, match="row 7, column 'day': it is missing"):
        predict.main([*options, "--data", str(path)])
    records = np.load(trained.data)
    records["features_float32"][3] = np.inf
    np.save(tmp_path / "data.npy", records)
    with pytest.raises(UserError, match="row 3, column 'size': it is infinite"):
        predict.main([*options, "--data", str(tmp_path / "data.npy")])
    assert not (tmp_path / "p.npy").exists()


@pytest.mark.parametrize("missing", [pa.nulls(3), [None] * 3, pa.nulls(3, pa.string())])
def test_a_column_in_which_every_word_is_missing_is_one_of_words(model, rows, missing):
    expected = model.predict(rows | {"colour": ["", "", ""]})
    found = model.predict(rows | {"colour": missing})
    assert found.values.tobytes() == expected.values.tobytes()


def test_single_values_are_no_columns(model, rows):
    single = {name: values[0] for name, values in rows.items()}
    problems = problems_of(model, single)
    assert len(problems) == 4
    assert "column 'colour': found 'red', which is a single value" in problems[0]
    assert "a dict of arrays by column" in problems_of(model, pd.DataFrame(rows).iloc[0])[0]


def test_integers_of_any_size_are_refused_by_column(model, rows):
    (problem,) = problems_of(model, rows | {"count": [2**70, 1, 2]})
    assert problem.startswith("rows, column 'count': Arrow cannot read it")


def test_a_device_of_another_name_is_refused(trained):
    with pytest.raises(UserError, match="found the device 'gpu'"):
        memtrain.load_model(trained.folder, device="gpu")
