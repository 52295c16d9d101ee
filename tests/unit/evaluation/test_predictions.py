"""Files of predictions give back what was written to them, in flat memory."""

import re
from pathlib import Path

import numpy as np
import pytest

from memtrain.core.errors import UserError
from memtrain.evaluation.predictions import Predictions, create_predictions, prediction_dtype

GENERATOR = np.random.default_rng(0)


def write(path, target, prediction, kind="regression"):
    dtype = prediction_dtype(kind, prediction.shape[1], target.shape[1])
    with create_predictions(path, dtype, len(target)) as writer:
        for start in range(0, len(target), 1000):
            part = slice(start, start + 1000)
            numbers = np.arange(len(target))[part]
            written = writer.write(numbers, target[part], prediction[part])
            assert np.array_equal(written, prediction[part].astype(np.float32), equal_nan=True)
    return Predictions(path)


@pytest.mark.parametrize("every", [1, 7, 4000])
def test_rows_are_read_as_they_were_written(tmp_path, every):
    # Four chunks: a row takes 4 KB.
    target = GENERATOR.standard_normal((8000, 512)).astype(np.float32)
    prediction = GENERATOR.standard_normal((8000, 512)).astype(np.float32)
    chunks = list(write(tmp_path / "rows.npy", target, prediction).chunks(every))
    assert np.array_equal(np.concatenate([chunk.target for chunk in chunks]), target[::every])
    read = np.concatenate([chunk.prediction for chunk in chunks])
    assert np.array_equal(read, prediction[::every])
    assert len(chunks) > 1


def test_rows_whose_predictions_are_not_finite_are_left_out(tmp_path):
    target = np.arange(5).reshape(5, 1)
    prediction = np.array([[0.1, 0.9], [np.nan, 0.5], [0.3, 0.7], [np.inf, 0.0], [0.5, 0.5]])
    predictions = write(tmp_path / "rows.npy", target, prediction, "classification")
    (chunk,) = predictions.chunks()
    assert chunk.target.tolist() == [[0], [2], [4]]
    assert len(predictions) == 5


def test_a_number_that_float32_cannot_hold_is_infinite(tmp_path):
    dtype = prediction_dtype("regression", 1, 1)
    with create_predictions(tmp_path / "rows.npy", dtype, 1) as writer:
        written = writer.write(np.zeros(1, np.int64), np.zeros(1), np.full((1, 1), 1e300))
    assert written.tolist() == [[np.inf]]


def mapped_bytes():
    """Return the bytes of mapped files that this process holds in memory."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssFile:\s+(\d+) kB", status)[1]) << 10


@pytest.mark.parametrize("every", [1, 50])
def test_a_file_is_read_in_flat_memory(tmp_path, every):
    zeros = np.zeros((100_000, 64), np.float32)
    predictions = write(tmp_path / "rows.npy", zeros, zeros)
    assert (tmp_path / "rows.npy").stat().st_size > 48 << 20
    before = mapped_bytes()
    assert max(mapped_bytes() - before for _ in predictions.chunks(every)) < 20 << 20


def test_a_file_of_other_rows_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        Predictions(tmp_path / "rows.npy")
    np.save(tmp_path / "rows.npy", np.zeros((3, 2)))
    with pytest.raises(UserError, match="Remove it and run evaluate again"):
        Predictions(tmp_path / "rows.npy")
