"""Predictions go on where a program was killed, and end with the same bytes."""

import json
import os
import signal
import subprocess

import numpy as np
import pytest

import predict
from memtrain.training.trainer import Trainer
from tests.programs import quick_python
from tests.trainings import code_of_training
from tests.unit.inference.imported_models import (
    COLUMNS,
    TABLE,
    TRAINING,
    ImportedModel,
    write_table,
)

pytestmark = pytest.mark.slow

#: Predicts, and kills itself when it has kept some pieces and is about to keep another.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import predict

pieces, *arguments = sys.argv[1:]

def watch(event, changed):
    if event == "os.rename" and Path(changed[1]).name == "pieces.json":
        note = Path(changed[1])
        if note.exists() and len(json.loads(note.read_text())["pieces"]) >= int(pieces):
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
predict.main(arguments)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return ImportedModel(
        tmp_path_factory.mktemp("model"), COLUMNS | {"target": ["price"]}, TRAINING
    )


class Prediction:
    """Predictions of many rows, which can be killed on the way.

    Args:
        folder: folder for all files.
        split: folder of the split.
        rows: the file of the rows.
    """

    def __init__(self, folder, split, rows):
        self.rows = rows
        self.output = folder / "predictions.npy"
        self.unfinished = folder / ".predictions.npy.unfinished"
        self.arguments = ["--split", str(split), "--data", str(rows)]

    def to_end(self, output=None):
        arguments = [*self.arguments, "--predictions", str(output or self.output)]
        assert predict.main(arguments) == 0

    def kill_after(self, pieces):
        """Run the program, which is killed when it has kept some pieces."""
        options = ["--predictions", str(self.output), "--keep-every", "0"]
        done = subprocess.run(
            [quick_python(), "-c", PROGRAM, str(pieces), *self.arguments, *options],
            env=os.environ | {"PYTHONPATH": os.path.dirname(predict.__file__)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert done.returncode == -signal.SIGKILL
        assert len(self.kept()) >= pieces
        assert not self.output.exists()

    def kept(self):
        try:
            return json.loads((self.unfinished / "pieces.json").read_text())["pieces"]
        except FileNotFoundError:
            return []


@pytest.fixture
def prediction(tmp_path, trained):
    rows = write_table(tmp_path / "rows.csv", np.tile(TABLE, (250, 1)))
    return Prediction(tmp_path, trained.folder, rows)


@pytest.fixture
def whole(tmp_path):
    """Where a run that nobody kills writes: a folder is searched for leftovers once a process."""
    (tmp_path / "whole").mkdir()
    return tmp_path / "whole" / "predictions.npy"


@pytest.fixture
def expected(prediction, whole):
    prediction.to_end(whole)
    return whole.read_bytes()


def test_a_killed_run_is_gone_on_with(prediction, expected, capsys):
    prediction.kill_after(3)
    kept = sum(piece["rows"] for piece in prediction.kept())
    prediction.to_end()
    assert f"going on from row {kept:,} of 25,000" in capsys.readouterr().out
    assert prediction.output.read_bytes() == expected
    assert not prediction.unfinished.exists()
    assert not [name for name in os.listdir(prediction.output.parent) if name.endswith(".part")]


def test_pieces_that_are_damaged_are_made_again(prediction, expected, caplog):
    prediction.kill_after(4)
    damaged = prediction.unfinished / "000002.npy"
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    prediction.to_end()
    assert "000002.npy: this piece is damaged" in caplog.text
    assert prediction.output.read_bytes() == expected


def test_other_rows_are_predicted_anew(prediction, whole, caplog, capsys):
    prediction.kill_after(2)
    write_table(prediction.rows, np.tile(TABLE[::-1], (250, 1)))
    prediction.to_end()
    assert "predicted other rows, or by another model or code" in caplog.text
    assert "going on" not in capsys.readouterr().out
    prediction.to_end(whole)
    assert prediction.output.read_bytes() == whole.read_bytes()


def test_a_run_may_be_killed_again_and_again(prediction, expected):
    for pieces in (1, 3, 5):
        prediction.kill_after(pieces)
    prediction.to_end()
    assert prediction.output.read_bytes() == expected


@pytest.fixture
def of_array(resolve, tmp_path):
    """Return predictions for an array of features."""
    features = np.random.default_rng(0).random((200_000, 4), dtype=np.float32)
    settings = {"model": "linear", "epochs": 1, "device": "cpu"}
    data, recipe = resolve(features[:100], features[:100, 0], settings)
    recipe.write(tmp_path / "split.json")
    Trainer(recipe, data).run().write(
        tmp_path / "model.safetensors",
        tmp_path / "history.csv",
        tmp_path / "performance.json",
        code=code_of_training(recipe),
    )
    np.save(tmp_path / "features.npy", features)
    (tmp_path / "array").mkdir()
    return Prediction(tmp_path / "array", tmp_path, tmp_path / "features.npy")


def test_other_rows_of_the_same_array_are_predicted_anew(of_array, whole, caplog):
    arguments = of_array.arguments
    of_array.arguments = [*arguments, "--rows", "0:150000"]
    of_array.kill_after(2)
    of_array.arguments = [*arguments, "--rows", "50000:200000"]
    of_array.to_end()
    assert "predicted other rows" in caplog.text
    assert np.load(of_array.output)["row"].tolist() == list(range(50_000, 200_000))
    of_array.to_end(whole)
    assert of_array.output.read_bytes() == whole.read_bytes()
