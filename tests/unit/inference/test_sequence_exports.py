"""Exported models of sequences and of rows that vary in length predict what the model predicts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import export
import memtrain
from memtrain.core.errors import UserError
from tests.unit.inference.sequence_models import (
    DOCUMENTS,
    GENERATOR,
    POINTS,
    ROWS,
    SUMS,
    TRAINED,
    WORDS,
    SequenceModel,
    write_module,
    write_rows,
)

pytestmark = pytest.mark.slow

BORDERS = {"borders": {"lengths": "lengths.npy"}}
LENGTH = 7


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    write_module(tmp_path, monkeypatch)
    write_rows()
    np.save("sums.npy", SUMS.astype("f4"))
    GENERATOR.integers(1, WORDS, ROWS * LENGTH + 1).astype("u2").tofile("tokens.bin")


def fields(features, target, ragged=None):
    words = {"path": features, "ragged": BORDERS}
    return {"fields": {"words": words, "y": {"path": target, "target": True, "ragged": ragged}}}


def exported(made, *arguments):
    """Export a model, and return the loaded program and its description."""
    options = [str(made.folder), "out", "--data", str(made.data), *arguments]
    assert export.main(options) == 0
    program = torch.export.load(Path("out/model.pt2")).module()
    return program, json.loads(Path("out/export.json").read_text())


def padded(rows, dtype):
    """Return rows as whoever has export.json alone pads them, and their lengths."""
    lengths = np.array([len(row) for row in rows])
    features = np.full((len(rows), max(1, *lengths), *rows[0].shape[1:]), 3, dtype)
    for place, row in zip(features, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(features), torch.from_numpy(lengths)


@pytest.mark.parametrize(
    ("files", "training", "rows"),
    [
        (
            fields("words.npy", "stars.npy"),
            {"model": "sequence_parts:Reader", "loss": "CrossEntropyLoss"},
            DOCUMENTS,
        ),
        (
            fields("points.npy", "sums.npy"),
            {
                "model": "sequence_parts:Average",
                "target": "standardize",
                "transform": "standardize",
            },
            POINTS,
        ),
    ],
)
def test_programs_take_any_number_of_rows_of_any_length(files, training, rows):
    made = SequenceModel(files, training)
    program, description = exported(made)
    dtype = description["input"]["dtype"]
    assert description["input"]["shape"] == ["rows", "longest", *rows[0].shape[1:]]
    assert description["input"]["lengths"]["shape"] == ["rows"]
    assert description["output"]["shape"] == ["rows", "values"]
    expected = made.evaluated["prediction"]
    found = program(*padded(rows[TRAINED:], dtype))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    for at in range(TRAINED, ROWS):
        found = program(*padded(rows[at : at + 1], dtype))
        np.testing.assert_allclose(found[0], expected[at - TRAINED], rtol=2e-5, atol=2e-5)
    assert "20 evaluation rows" in description["compared"]["rows"]


NEXT = {"path": "words.npy", "ragged": BORDERS | {"target": "next"}, "classes": WORDS}


@pytest.mark.parametrize(("kind", "longest"), [("NextWord", None), ("Placed", 40)])
def test_programs_of_elements_give_the_probability_of_every_class(kind, longest):
    made = SequenceModel(NEXT, {"model": f"sequence_parts:{kind}", "loss": "CrossEntropyLoss"})
    program, description = exported(made)
    assert description["input"]["longest"] == longest
    assert description["output"]["shape"] == ["rows", "longest", "values"]
    assert "every class of each element" in description["output"]["meaning"]
    predicted = memtrain.load_model(made.folder).predict(DOCUMENTS)
    features, lengths = padded(DOCUMENTS, "i4")
    found = program(features, lengths)
    assert found.shape == (*features.shape, WORDS)
    for row, values, classes in zip(
        found, predicted.values, predicted.class_numbers or (), strict=True
    ):
        assert row[: len(classes)].argmax(1).tolist() == classes.tolist()
        np.testing.assert_allclose(row[: len(classes)].max(1).values, values, rtol=1e-5)
        assert not row[len(classes) :].any()


def test_numbers_of_elements_are_in_the_unit_of_the_target():
    files = fields("points.npy", "running.npy", BORDERS)
    made = SequenceModel(files, {"model": "sequence_parts:Running", "target": "standardize"})
    program, description = exported(made)
    assert description["output"]["meaning"].startswith("the predicted numbers of each element")
    predicted = memtrain.load_model(made.folder).predict(POINTS[:9])
    for at, values in enumerate(predicted.values):
        found = program(*padded(POINTS[at : at + 1], "f8"))[0, : len(values)]
        np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-5)


def test_windows_have_one_length():
    windows = {"length": LENGTH, "target": "next"}
    files = {"path": "tokens.bin", "dtype": "uint16", "windows": windows, "classes": WORDS}
    training = {"model": "sequence_parts:NextWord", "loss": "CrossEntropyLoss"}
    made = SequenceModel(files, training, evaluate=(TRAINED + 1, ROWS))
    program, description = exported(made)
    assert description["input"]["shape"] == ["rows", LENGTH]
    assert description["output"]["shape"] == ["rows", LENGTH, "values"]
    rows = GENERATOR.integers(1, WORDS, (50, LENGTH))
    predicted = memtrain.load_model(made.folder).predict(rows)
    for count in (1, 2, 50):
        found = program(torch.from_numpy(rows[:count].astype("i4")))
        assert (found.argmax(2).numpy() == predicted.class_numbers[:count]).all()
        np.testing.assert_allclose(found.max(2).values, predicted.values[:count], rtol=1e-5)


def test_a_copied_split_is_tried_on_drawn_rows_and_its_card_says_how_to_use_it(capsys):
    made = SequenceModel(
        fields("words.npy", "stars.npy"),
        {"model": "sequence_parts:Reader", "loss": "CrossEntropyLoss"},
    )
    assert export.main([str(made.folder), "first"]) == 0
    assert "drawn from the statistics" in capsys.readouterr().out
    assert export.main([str(made.folder), "second"]) == 0
    for name in ("export.json", "README.md", "model.pt2"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()
    card = Path("first/README.md").read_text()
    assert "program(features, lengths)" in card
    assert "rows of any number of elements" in card
    assert "pipeline_tag" not in card


def test_models_that_no_program_can_be_made_of_are_refused():
    files = fields("words.npy", "stars.npy")
    training = {"model": "sequence_parts:Reader", "loss": "CrossEntropyLoss"}
    made = SequenceModel(files, training | {"model": "sequence_parts:Looping"})
    with pytest.raises(UserError, match=r"(?s)torch\.export does not take .*of any length"):
        exported(made)
    made = SequenceModel(files, training | {"transform": "sequence_parts:by_row"})
    with pytest.raises(UserError, match=r"behind the transform .*by_row, which is your own"):
        exported(made)
    recurrent = {"model": "sequence_parts:Recurrent", "loss": "CrossEntropyLoss"}
    made = SequenceModel(NEXT, recurrent)
    with pytest.raises(UserError, match=r"for rows of one length of the model .*Recurrent"):
        exported(made)
    assert not Path("out").exists()
