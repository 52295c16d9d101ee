"""The program that predicts rows of files."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

import memtrain
import predict
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.explain import explain
from memtrain.system.digests import digest_of_file
from tests.unit.inference.imported_models import (
    COLUMNS,
    ROWS,
    TABLE,
    TRAINED,
    TRAINING,
    ImportedModel,
    write_table,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    settings = TRAINING | {"target": "standardize"}
    return ImportedModel(
        tmp_path_factory.mktemp("model"), COLUMNS | {"target": ["price"]}, settings
    )


@pytest.fixture
def predicted(trained, tmp_path):
    """Return a function that runs the program, and returns the predictions."""

    def predicted(data, *arguments):
        output = tmp_path / "output" / "predictions.npy"
        output.parent.mkdir(exist_ok=True)
        options = ["--split", str(trained.folder), "--data", str(data), *arguments]
        assert predict.main([*options, "--predictions", str(output)]) == 0
        return np.load(output)

    return predicted


def assert_evaluated(trained, found, first):
    assert found["row"].tolist() == list(range(first, first + ROWS - TRAINED))
    assert found["prediction"].tobytes() == trained.evaluated["prediction"].tobytes()


def test_rows_of_the_data_file(trained, predicted):
    assert_evaluated(trained, predicted(trained.data, "--rows", f"{TRAINED}:{ROWS}"), TRAINED)
    assert len(predicted(trained.data)) == ROWS


def test_files_of_ones_own(trained, predicted, tmp_path, caplog):
    path = write_table(tmp_path / "own.csv", TABLE[TRAINED:])
    assert_evaluated(trained, predicted(path), 0)
    assert "1 of colour" in caplog.text
    typed = csv.read_csv(path, convert_options=csv.ConvertOptions(strings_can_be_null=True))
    parquet.write_table(typed, tmp_path / "own.parquet")
    assert_evaluated(trained, predicted(tmp_path / "own.parquet"), 0)
    with pa.ipc.new_file(tmp_path / "own.arrow", typed.schema) as file:
        file.write_table(typed, max_chunksize=7)
    assert_evaluated(trained, predicted(tmp_path / "own.arrow"), 0)


def test_several_files_with_other_separators(trained, predicted, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    write_table(folder / "1.csv", TABLE[TRAINED : TRAINED + 9], ";")
    write_table(folder / "2.csv", TABLE[TRAINED + 9 :], ";")
    assert_evaluated(trained, predicted(folder, "--csv", '{delimiter: ";"}'), 0)


def test_more_rows_than_a_batch_are_those_of_predict(trained, predicted, tmp_path):
    path = write_table(tmp_path / "many.csv", np.tile(TABLE, (100, 1)))
    table = csv.read_csv(path).drop_columns(["kind"])
    expected = memtrain.load_model(trained.folder).predict(table)
    assert len(expected) == 100 * ROWS
    assert predicted(path)["prediction"].tobytes() == expected.values.tobytes()


def test_mistakes_are_told_with_their_line_and_leave_no_file(predicted, tmp_path):
    table = TABLE.copy()
    table[41, 1] = "large"
    with pytest.raises(UserError, match=r"own\.csv, line 43 \(row 41\), column 'size'.*large"):
        predicted(write_table(tmp_path / "own.csv", table))
    assert not list((tmp_path / "output").iterdir())
    (tmp_path / "other.csv").write_text("colour,day,count\nred,2024-01-01,1\n")
    with pytest.raises(UserError, match="there is no column 'size'"):
        predicted(tmp_path / "other.csv")
    with pytest.raises(UserError, match="whose rows are all predicted"):
        predicted(tmp_path / "own.csv", "--rows", "1:2")
    np.save(tmp_path / "features.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(UserError, match="several types"):
        predicted(tmp_path / "features.npy")


def test_rows_that_the_data_file_does_not_have_are_refused(trained, predicted):
    with pytest.raises(UserError, match=f"90:{ROWS + 1}, but .* has {ROWS} rows"):
        predicted(trained.data, "--rows", f"90:{ROWS + 1}")
    with pytest.raises(UserError, match=r"rows \[5, 7\) are in two of these ranges"):
        predicted(trained.data, "--rows", "0:7", "--rows", "5:9")


@pytest.mark.slow
def test_a_mistake_in_one_prediction_of_a_workflow_ends_no_other(trained, tmp_path):
    def predicted(name, table):
        output = tmp_path / name / "predictions.npy"
        output.parent.mkdir()
        rows = write_table(tmp_path / name / "own.csv", table)
        options = ["--split", str(trained.folder), "--data", str(rows)]
        options += ["--predictions", str(output), "--records", str(tmp_path / "lineage")]
        predict.main([*options, "--workflow-run", "0192f0c1-2d3e-7a4b-8c5d-6e7f8091a2b3"])
        return np.load(output)

    wrong = TABLE.copy()
    wrong[3, 1] = "large"
    with pytest.raises(UserError, match="large"):
        predicted("one", wrong)
    assert len(predicted("other", TABLE)) == ROWS


@pytest.fixture
def explained(trained, tmp_path, monkeypatch):
    """Return a function that predicts rows, and returns what their record says that was read."""
    monkeypatch.chdir(tmp_path)

    def explained(data, *arguments):
        options = ["--split", str(trained.folder), "--data", str(data), *arguments]
        predict.main([*options, "--predictions", "p.npy", "--records", "lineage"])
        index = LineageIndex(tmp_path / "lineage")
        tree = explain(index, index.versions("p.npy")[-1].id)
        index.close()
        return {one.role: one for one in tree.inputs}

    return explained


@pytest.mark.slow
def test_what_predictions_were_made_from_is_explained_with_the_rows(trained, explained, tmp_path):
    read = explained(trained.data, "--rows", "10:20")
    assert read.keys() == {"recipe", "model", "rows"}
    assert read["rows"].rows == [Range(10, 20)]
    read = explained(write_table(tmp_path / "own.csv"))
    assert read.keys() == {"recipe", "model", "table"}
    assert read["table"].digest == digest_of_file(tmp_path / "own.csv")
    assert read["table"].note is None
