"""Models of windows of a stream predict arrays of tokens as their evaluation does."""

import numpy as np
import pytest
import torch

import memtrain
from memtrain.core.errors import UserError
from tests.unit.inference.sequence_models import (
    ROWS,
    TRAINED,
    WORDS,
    SequenceModel,
    write_module,
)

LENGTH = 7
TOKENS = np.random.default_rng(1).integers(1, WORDS, ROWS * LENGTH + 1).astype("u2")
WINDOWS = np.lib.stride_tricks.sliding_window_view(TOKENS, LENGTH + 1)[::LENGTH]
EVALUATED = WINDOWS[TRAINED + 1 : ROWS]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    write_module(tmp_path, monkeypatch)
    TOKENS.tofile("tokens.bin")


def windows(target="next", **training):
    files = {
        "path": "tokens.bin",
        "dtype": "uint16",
        "windows": {"length": LENGTH, "target": target},
        "classes": WORDS,
    }
    model = {"model": "sequence_parts:NextWord", "loss": "CrossEntropyLoss"}
    return SequenceModel(files, model | training, evaluate=(TRAINED + 1, ROWS))


def test_the_next_token_behind_every_token():
    made = windows()
    model = memtrain.load_model(made.folder)
    predicted = model.predict(EVALUATED[:, :-1])
    assert predicted.task == "sequence"
    assert predicted.values.shape == predicted.classes.shape == (len(EVALUATED), LENGTH)
    assert predicted.values.dtype == np.float32
    is_right = predicted.classes == EVALUATED[:, 1:]
    assert made.evaluated["accuracy"].tolist() == is_right.mean(1).tolist()
    with torch.no_grad():
        outputs = model.model(torch.from_numpy(EVALUATED[:, :-1].astype("i4"))).softmax(2)
    assert (predicted.classes == outputs.argmax(2).numpy()).all()
    np.testing.assert_allclose(predicted.values, outputs.max(2).values, rtol=1e-5)
    lists = predicted.to_arrow()["class"].to_pylist()
    assert lists == predicted.classes.tolist()


def test_tokens_that_do_not_fit_are_refused():
    model = memtrain.load_model(windows().folder)
    for rows, reason in [
        (EVALUATED, r"shape \(19, 8\); the features of this model are \(rows, 7\)"),
        (EVALUATED[0], r"shape \(8,\)"),
        (EVALUATED[:, :-1] + 0.5, "row 0, feature .*does not fit the type uint16"),
        (EVALUATED[:, :-1].astype(int) - 9, "does not fit the type uint16"),
    ]:
        with pytest.raises(UserError, match=reason):
            model.predict(rows)


def test_outputs_without_a_meaning_are_refused():
    model = memtrain.load_model(windows(loss="sequence_parts:surprise").folder)
    with pytest.raises(UserError, match=r"whose meaning its loss .*surprise does not say"):
        model.predict(EVALUATED[:, :-1])
