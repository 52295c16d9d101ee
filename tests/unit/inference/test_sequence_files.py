"""Rows of files that vary in length, and windows, are predicted as they are evaluated."""

import os

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import memtrain
import predict
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.explain import explain
from tests.unit.inference.sequence_models import (
    DOCUMENTS,
    GENERATOR,
    ROWS,
    TRAINED,
    WORDS,
    SequenceModel,
    write_module,
    write_rows,
)
from tests.unit.inference.test_going_on import Prediction

BORDERS = {"borders": {"lengths": "lengths.npy"}}
LENGTH = 7


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    write_module(tmp_path, monkeypatch)
    write_rows()


@pytest.fixture
def reader():
    words = {"path": "words.npy", "ragged": BORDERS}
    files = {"fields": {"words": words, "y": {"path": "stars.npy", "target": True}}}
    return SequenceModel(files, {"model": "sequence_parts:Reader", "loss": "CrossEntropyLoss"})


@pytest.fixture
def next_word():
    files = {"path": "words.npy", "ragged": BORDERS | {"target": "next"}, "classes": WORDS}
    return SequenceModel(files, {"model": "sequence_parts:NextWord", "loss": "CrossEntropyLoss"})


@pytest.fixture
def windows():
    GENERATOR.integers(1, WORDS, ROWS * LENGTH + 1).astype("u2").tofile("tokens.bin")
    windows = {"length": LENGTH, "target": "next"}
    files = {"path": "tokens.bin", "dtype": "uint16", "windows": windows, "classes": WORDS}
    training = {"model": "sequence_parts:NextWord", "loss": "CrossEntropyLoss"}
    return SequenceModel(files, training, evaluate=(TRAINED + 1, ROWS))


def predicted(made, data, *arguments):
    options = ["--split", str(made.folder), "--data", str(data), *arguments]
    assert predict.main([*options, "--predictions", "p.npy"]) == 0
    return np.load("p.npy")


def same(found, evaluated):
    assert found["row"].tolist() == list(range(len(evaluated)))
    assert found["prediction"].tobytes() == evaluated["prediction"].tobytes()


def test_rows_of_the_dataset(reader):
    found = predicted(reader, reader.data, "--rows", f"{TRAINED}:{ROWS}")
    assert found["row"].tolist() == list(range(TRAINED, ROWS))
    assert found["prediction"].tobytes() == reader.evaluated["prediction"].tobytes()
    both = predicted(reader, reader.data, "--rows", "0:3", "--rows", "50:55")
    assert both["row"].tolist() == [0, 1, 2, 50, 51, 52, 53, 54]


def test_lists_in_tables_of_ones_own(reader):
    table = pa.table({"words": pa.array(DOCUMENTS[TRAINED:]), "id": range(ROWS - TRAINED)})
    parquet.write_table(table, "own.parquet", row_group_size=6)
    same(predicted(reader, "own.parquet"), reader.evaluated)
    with pa.ipc.new_file("own.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=7)
    same(predicted(reader, "own.arrow"), reader.evaluated)
    os.mkdir("parts")
    for at, start in enumerate(range(0, len(table), 9)):
        parquet.write_table(table.slice(start, 9), f"parts/{at}.parquet")
    same(predicted(reader, "parts"), reader.evaluated)


def test_a_record_for_every_element(next_word):
    rows = [row[:-1] for row in DOCUMENTS[TRAINED:]]
    expected = memtrain.load_model(next_word.folder).predict(rows)
    assert expected.class_numbers is not None
    found = predicted(next_word, next_word.data, "--rows", f"{TRAINED}:{ROWS}")
    assert found.dtype.names == ("row", "element", "prediction", "class")
    assert found["prediction"].tobytes() == np.concatenate(expected.values).tobytes()
    assert (found["class"] == np.concatenate(expected.class_numbers)).all()
    numbers = [(row, at) for row, one in enumerate(rows, TRAINED) for at in range(len(one))]
    assert list(zip(found["row"].tolist(), found["element"].tolist(), strict=True)) == numbers


def test_every_window_has_its_elements(windows):
    found = predicted(windows, windows.data, "--rows", f"{TRAINED + 1}:{ROWS}")
    tokens = np.fromfile("tokens.bin", "u2")
    rows = np.lib.stride_tricks.sliding_window_view(tokens, LENGTH + 1)[::LENGTH][TRAINED + 1 :]
    assert (found["class"] == rows[:, 1:]).mean(1).tolist() == windows.evaluated[
        "accuracy"
    ].tolist()
    np.save("own.npy", rows[:, :-1])
    own = predicted(windows, "own.npy")
    assert own["class"].tobytes() == found["class"].tobytes()
    assert own["prediction"].tobytes() == found["prediction"].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [("reader", "words"), ("next_word", "rows")])
def test_a_killed_run_is_gone_on_with(request, kind, name, tmp_path, monkeypatch, capsys):
    made = request.getfixturevalue(kind)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    rows = [DOCUMENTS[at % ROWS] for at in range(200_000)]
    parquet.write_table(pa.table({name: pa.array(rows)}), "many.parquet")
    (tmp_path / "out").mkdir()
    prediction = Prediction(tmp_path / "out", made.folder, tmp_path / "many.parquet")
    prediction.kill_after(3)
    kept = sum(piece["rows"] for piece in prediction.kept())
    assert 0 < kept < len(rows)
    prediction.to_end()
    assert f"going on from row {kept:,} of 200,000" in capsys.readouterr().out
    (tmp_path / "whole").mkdir()
    prediction.to_end(tmp_path / "whole" / "p.npy")
    assert prediction.output.read_bytes() == (tmp_path / "whole" / "p.npy").read_bytes()


@pytest.mark.slow
def test_what_predictions_were_made_from_is_explained_with_the_rows(reader, tmp_path):
    predicted(reader, reader.data, "--rows", "10:20", "--records", "lineage")
    index = LineageIndex(tmp_path / "lineage")
    tree = explain(index, index.versions("p.npy")[-1].id)
    index.close()
    read = {one.role: one for one in tree.inputs}
    assert read.keys() == {"recipe", "model", "rows"}
    assert read["rows"].rows == [Range(10, 20)]


@pytest.mark.slow
def test_mistakes_are_told(reader):
    np.save("own.npy", np.zeros((3, 4), "u2"))
    with pytest.raises(UserError, match="a column 'words' of lists"):
        predicted(reader, "own.npy")
    parquet.write_table(pa.table({"words": [[1, 2], [3, None]]}), "own.parquet")
    with pytest.raises(UserError, match=r"own.parquet, column 'words', row 1, element 1: it is mi"):
        predicted(reader, "own.parquet")
    parquet.write_table(pa.table({"words": [1, 2]}), "own.parquet")
    with pytest.raises(UserError, match="each is a list of numbers"):
        predicted(reader, "own.parquet")
    rows = memtrain.rows_in_files(path="words.npy", ragged=BORDERS | {"target": "next"})
    rows.write("other.json")
    with pytest.raises(UserError, match=r"features, target of any length, but the model was"):
        predicted(reader, "other.json")


def own_files(made, settings, *arguments):
    """Predict rows that lie in files of one's own, as settings in YAML describe them."""
    options = ["--split", str(made.folder), "--files", settings, *arguments]
    assert predict.main([*options, "--predictions", "p.npy"]) == 0
    return np.load("p.npy")


def test_a_stream_of_ones_own_is_cut_into_windows(windows):
    tokens = np.fromfile("tokens.bin", "u2")
    rows = np.lib.stride_tricks.sliding_window_view(tokens, LENGTH)[::LENGTH]
    expected = memtrain.load_model(windows.folder).predict(rows)
    np.save("own.npy", tokens)
    for path in ("path: own.npy", 'path: "t*.bin", dtype: uint16'):
        found = own_files(windows, f"{{{path}, windows: {{length: 7}}}}")
        assert (found["class"] == expected.class_numbers).all()
        assert found["prediction"].tobytes() == np.asarray(expected.values).tobytes()
    some = own_files(windows, "{path: own.npy, windows: {length: 7, stride: 3}}", "--rows", "5:9")
    rows = np.lib.stride_tricks.sliding_window_view(tokens, LENGTH)[::3][5:9]
    assert (some["class"] == memtrain.load_model(windows.folder).predict(rows).classes).all()
    with pytest.raises(UserError, match=r"a row of them is \(8\) of uint16.* on \(7\) of uint16"):
        own_files(windows, "{path: own.npy, windows: {length: 8}}")


@pytest.mark.slow
def test_documents_of_ones_own_lie_between_delimiters(reader):
    documents = [np.append(document, 0).astype("u2") for document in DOCUMENTS]
    np.save("own.npy", np.concatenate(documents))
    found = own_files(reader, "{path: own.npy, ragged: {borders: {delimiter: 0}}}")
    expected = memtrain.load_model(reader.folder).predict(documents)
    assert found["prediction"].tobytes() == expected.values.tobytes()
    assert found["row"].tolist() == list(range(ROWS))
