"""Models of rows that vary in length predict new rows as their evaluation does."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import memtrain
from memtrain.core.errors import UserError
from tests.unit.inference.sequence_models import (
    DOCUMENTS,
    POINTS,
    ROWS,
    TRAINED,
    WORDS,
    SequenceModel,
    write_module,
    write_rows,
)

EVALUATED = slice(TRAINED, ROWS)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    write_module(tmp_path, monkeypatch)
    write_rows()
    np.save("big_points.npy", np.concatenate(POINTS).astype(">f4"))


def fields(features, target, **settings):
    rows = {"borders": {"lengths": "lengths.npy"}}
    return {
        "fields": {
            "words": {"path": features, "ragged": rows},
            "y": {"path": target, "target": True, **settings},
        }
    }


@pytest.fixture
def reader():
    training = {"model": "sequence_parts:Reader", "loss": "CrossEntropyLoss"}
    return SequenceModel(fields("words.npy", "stars.npy"), training)


def same(predicted, evaluated):
    assert predicted.values.dtype == evaluated["prediction"].dtype
    assert predicted.values.tobytes() == evaluated["prediction"].tobytes()


@pytest.mark.parametrize(
    "form",
    [
        lambda rows: rows,
        lambda rows: [row.tolist() for row in rows],
        lambda rows: [row.astype("f4" if at % 2 else "i8") for at, row in enumerate(rows)],
        lambda rows: np.array([*rows, None], object)[:-1],
        lambda rows: pa.array(rows),
        lambda rows: pa.chunked_array([pa.array(rows[:7]), pa.array(rows[7:])]),
        lambda rows: pa.array(rows, pa.large_list(pa.float64())),
        lambda rows: pa.table({"words": pa.array(rows), "y": range(len(rows))}),
        lambda rows: pd.DataFrame({"words": rows}),
        lambda rows: {"words": rows},
        lambda rows: pd.Series(rows),
    ],
)
def test_rows_of_every_form_get_the_bytes_of_the_evaluation(reader, form):
    predicted = memtrain.load_model(reader.folder).predict(form(DOCUMENTS[EVALUATED]))
    same(predicted, reader.evaluated)
    assert predicted.classes.tolist() == reader.evaluated["prediction"].argmax(1).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("points", ["points.npy", "big_points.npy"])
@pytest.mark.parametrize("transform", ["standardize", "none", "sequence_parts:by_row"])
def test_numbers_of_rows_of_vectors(points, transform):
    training = {"model": "sequence_parts:Average", "target": "standardize", "transform": transform}
    made = SequenceModel(fields(points, "sums.npy"), training)
    own = np.load(points).dtype
    rows = [row.astype(own) for row in POINTS[EVALUATED]]
    model = memtrain.load_model(made.folder)
    same(model.predict(rows), made.evaluated)
    assert made.evaluated["prediction"].dtype == np.float64
    nested = pa.array([row.tolist() for row in rows], pa.list_(pa.list_(pa.float64(), 3)))
    same(model.predict(pa.table({"words": nested})), made.evaluated)


def test_batches_are_those_of_the_evaluation(monkeypatch):
    monkeypatch.setattr("memtrain.metrics.scorer._BYTES_PER_BATCH", 29 * 4 * 3)
    training = {"model": "sequence_parts:Reader", "loss": "CrossEntropyLoss"}
    made = SequenceModel(fields("words.npy", "stars.npy"), training)
    same(memtrain.load_model(made.folder).predict(DOCUMENTS[EVALUATED]), made.evaluated)


def next_word(**training):
    ragged = {"borders": {"lengths": "lengths.npy"}, "target": "next"}
    files = {"path": "words.npy", "ragged": ragged, "classes": WORDS}
    model = {"model": "sequence_parts:NextWord", "loss": "CrossEntropyLoss"}
    return SequenceModel(files, model | training)


def test_a_class_for_every_element():
    made = next_word(normalize="elements")
    model = memtrain.load_model(made.folder)
    predicted = model.predict([row[:-1] for row in DOCUMENTS[EVALUATED]])
    assert predicted.task == "sequence"
    assert len(predicted) == ROWS - TRAINED
    shares = []
    for row, classes, probabilities in zip(
        DOCUMENTS[EVALUATED], predicted.classes, predicted.values, strict=True
    ):
        shares.append((classes == row[1:]).mean() if len(row) > 1 else 0)
        with torch.no_grad():
            outputs = model.model(torch.from_numpy(row[None, :-1].astype("i4")))[0].softmax(1)
        assert outputs.argmax(1).tolist() == classes.tolist()
        np.testing.assert_allclose(probabilities, outputs.max(1).values, rtol=1e-5)
    assert made.evaluated["accuracy"].tolist() == shares
    table = predicted.to_arrow()
    assert table.column_names == ["class", "probability"]
    assert table["class"].to_pylist() == [row.tolist() for row in predicted.classes]


def test_a_number_for_every_element():
    files = fields("points.npy", "running.npy", ragged={"borders": {"lengths": "lengths.npy"}})
    made = SequenceModel(files, {"model": "sequence_parts:Running", "target": "standardize"})
    model = memtrain.load_model(made.folder)
    predicted = model.predict(POINTS[EVALUATED])
    scale = model.recipe.training.statistics_of("target")
    for row, values in zip(POINTS[EVALUATED], predicted.values, strict=True):
        with torch.no_grad():
            outputs = model.model(torch.from_numpy(row[None]).float())[0].double().numpy()
        expected = outputs * scale.standard_deviation + scale.mean
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
        assert values.dtype == np.float64
    assert predicted.to_arrow()["prediction"].to_pylist()[0] == predicted.values[0].tolist()


def test_rows_that_do_not_fit_are_refused(reader):
    model = memtrain.load_model(reader.folder)
    for rows, reason in [
        ([[1, 2], [3, 0.5]], "row 1, element 1: .*0.5 does not fit the type uint16"),
        ([[1, 2], np.zeros((2, 3))], r"row 1: found the shape \(2, 3\) .*\(elements\)"),
        ([[1], ["a"]], "row 1: found"),
        ([], "none to predict"),
        (3, "Give a list of arrays"),
        ({"word": [[1]]}, "no column 'words'"),
        ({"words": [1, 2]}, "each is a list of numbers"),
        (pa.array([[1], None]), "row 1: it is missing"),
        (pa.array([[1], [2, None]]), "row 1, element 1: it is missing"),
    ]:
        with pytest.raises(UserError, match=reason):
            model.predict(rows)


@pytest.mark.parametrize(("value", "reason"), [(np.nan, "missing"), (-np.inf, "infinite")])
def test_elements_that_no_model_can_be_given_are_refused(value, reason):
    made = SequenceModel(fields("points.npy", "sums.npy"), {"model": "sequence_parts:Average"})
    rows = [np.ones((length, 3)) for length in (2, 0, 5)]
    rows[2][3, 1] = value
    with pytest.raises(UserError, match=f"rows, row 2, element 3: it is {reason}"):
        memtrain.load_model(made.folder).predict(rows)


def test_outputs_without_a_meaning_are_refused():
    model = memtrain.load_model(next_word(loss="sequence_parts:surprise").folder)
    with pytest.raises(UserError, match=r"whose meaning its loss .*surprise does not say"):
        model.predict([[1, 2]])
