"""Models that are loaded from a copied folder predict what their evaluation wrote."""

import io
import logging
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import memtrain
from memtrain.core.errors import UserError
from memtrain.recipes.recipe import Recipe
from tests.unit.inference.imported_models import (
    COLUMNS,
    HEADER,
    TABLE,
    TRAINED,
    TRAINING,
    ImportedModel,
)

CLASSIFICATION = COLUMNS | {"target": ["kind"], "categories": ["colour", "kind"]}
LOGITS = TRAINING | {"loss": "CrossEntropyLoss"}


def frame(unknown="kind"):
    """Return the evaluation rows as pandas reads them: missing numbers are NaN, dates are text.

    Args:
        unknown: name of a column of the file that is left out.
    """
    text = "\n".join([",".join(HEADER), *(",".join(row) for row in TABLE[TRAINED:])])
    return pd.read_csv(io.StringIO(text), dtype={"count": "Int64"}).drop(columns=unknown)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return ImportedModel(
        tmp_path_factory.mktemp("regression"),
        COLUMNS | {"target": ["price"]},
        TRAINING | {"target": "standardize"},
    )


@pytest.fixture(scope="module")
def classification(tmp_path_factory):
    return ImportedModel(tmp_path_factory.mktemp("classes"), CLASSIFICATION, LOGITS)


def refused(model, rows, *expected):
    with pytest.raises(UserError) as caught:
        model.predict(rows)
    for part in expected:
        assert part in str(caught.value)


def as_typed(rows):
    """Return a frame with dates and categories of pandas' own types."""
    return rows.assign(
        day=pd.to_datetime(rows["day"]), colour=rows["colour"].astype("category")
    ).set_index(pd.Index(np.arange(len(rows)) * 7, name="number"))


@pytest.mark.parametrize(
    "form",
    [
        lambda rows: rows,
        as_typed,
        lambda rows: rows[rows.columns[::-1]].drop(columns="price"),
        lambda rows: pa.Table.from_pandas(rows, preserve_index=False),
        lambda rows: pa.Table.from_pandas(rows, preserve_index=False).to_batches()[0],
        lambda rows: pa.concat_tables(
            [pa.Table.from_pandas(part, preserve_index=False) for part in (rows[:7], rows[7:])]
        ),
        lambda rows: {name: rows[name].to_numpy() for name in ("day", "size", "count", "colour")},
        lambda rows: (
            {name: list(rows[name]) for name in ("day", "size", "count", "colour")}
            | {"size": rows["size"].to_numpy()}
        ),
    ],
)
def test_predictions_are_those_of_the_evaluation_byte_for_byte(regression, form):
    model = memtrain.load_model(regression.folder)
    predicted = model.predict(form(frame()))
    assert predicted.values.dtype == np.float32
    assert predicted.values.tobytes() == regression.evaluated["prediction"].tobytes()
    assert predicted.unknown_words == {"colour": 1}
    table = predicted.to_arrow()
    assert table.column_names == ["price"]
    assert table["price"].to_numpy().tobytes() == predicted.values.tobytes()


def test_predictions_are_in_the_unit_of_the_target(regression):
    values = memtrain.load_model(str(regression.folder)).predict(frame()).values
    prices = TABLE[:TRAINED, 4].astype(float)
    assert abs(values.mean() - prices.mean()) < prices.std()


def test_unknown_words_are_told(regression, caplog):
    with caplog.at_level(logging.WARNING):
        memtrain.load_model(regression.folder).predict(frame())
    assert "1 of colour" in caplog.text
    assert "no word at all" in caplog.text


def test_classes_have_their_names(classification):
    model = memtrain.load_model(classification.folder)
    predicted = model.predict(frame("price"))
    evaluated = classification.evaluated["prediction"]
    assert predicted.values.tobytes() == evaluated.tobytes()
    assert model.class_names == ["boat", "flat", "house"]
    names = [model.class_names[number] for number in evaluated.argmax(1)]
    assert predicted.classes.tolist() == names
    table = predicted.to_arrow().to_pandas()
    assert list(table) == ["kind", "kind=boat", "kind=flat", "kind=house"]
    assert table["kind"].tolist() == names
    assert (table["kind=flat"].to_numpy() == evaluated[:, 1]).all()


def test_a_split_without_evaluation_knows_its_classes_too(tmp_path):
    made = ImportedModel(tmp_path, CLASSIFICATION, LOGITS, evaluate=False)
    assert Recipe.read(made.folder / "split.json").evaluation is None
    predicted = memtrain.load_model(made.folder).predict(frame("price"))
    assert set(predicted.classes) <= {"boat", "flat", "house"}


def test_nothing_of_the_process_changes(regression):
    torch.manual_seed(5)
    torch.set_num_threads(2)
    before = torch.get_rng_state(), torch.get_deterministic_debug_mode()
    try:
        torch.set_deterministic_debug_mode("warn")
        memtrain.load_model(regression.folder).predict(frame())
        assert torch.get_num_threads() == 2
        assert torch.get_deterministic_debug_mode() == 1
        assert torch.equal(torch.get_rng_state(), before[0])
    finally:
        torch.set_deterministic_debug_mode(before[1])


def test_columns_that_do_not_fit_are_refused(regression):
    model = memtrain.load_model(regression.folder)
    rows = frame()
    refused(model, rows.rename(columns={"size": "sizes"}), "no column 'size'", "Did you mean")
    refused(model, rows.assign(id=1), "does not know the column 'id'", "Leave it out")
    refused(model, rows.assign(size="large"), "row 0, column 'size'", "large")
    refused(model, rows.assign(size=2**24 + 1), "column 'size'", "16777217 would become 16777216")
    refused(model, rows.assign(count=0.5), "column 'count'", "0.5 does not fit the type int64")
    refused(model, rows.assign(day="yesterday"), "column 'day'", "is no date")
    refused(model, rows.assign(day=3), "column 'day'", "int64")
    refused(model, rows.assign(colour=0.5), "column 'colour'", "of text or integers")
    refused(model, rows.assign(size=[[1], *[2] * 39]), "column 'size'")
    refused(model, rows.to_numpy(dtype=str), "Give a pandas DataFrame")
    refused(model, np.zeros((3, 4), np.float32), "several types", "colour, size, count, day")
    refused(model, rows[:0], "none to predict")
    refused(model, {"colour": ["red"], "size": [1.0, 2.0], "count": [1], "day": ["2024-01-01"]})
    refused(model, pd.concat([rows, rows[["size"]]], axis=1), "more than one column", "size")


def test_a_late_row_is_named_by_its_number(regression):
    rows = pd.concat([frame()] * 200, ignore_index=True).astype({"size": object})
    rows.loc[7654, "size"] = "big"
    rows["size"] = rows["size"].astype(str)
    refused(memtrain.load_model(regression.folder), rows, "row 7,654, column 'size'", "big")


def test_missing_values_are_refused_where_training_rows_had_none(tmp_path):
    columns = COLUMNS | {"target": ["price"], "missing": "drop"}
    made = ImportedModel(tmp_path, columns, TRAINING | {"impute": {}, "encode": {}}, False)
    model = memtrain.load_model(made.folder)
    refused(model, frame(), "row 15, column 'size'", "missing values")
    assert len(model.predict(frame().dropna())) == len(frame().dropna())


def test_two_files_of_different_splits_are_refused(regression, classification, tmp_path):
    folder = shutil.copytree(regression.folder, tmp_path / "mixed")
    shutil.copy(classification.folder / "model.safetensors", folder)
    with pytest.raises(UserError, match="Copy both files from the same folder"):
        memtrain.load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors: there is no such file"):
        memtrain.load_model(folder)
    with pytest.raises(UserError, match="Give the folder of a split"):
        memtrain.load_model(tmp_path)
