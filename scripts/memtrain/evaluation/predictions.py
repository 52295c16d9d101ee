"""Writes and reads ``predictions.npy``: the prediction of a model for every evaluation row.

The file is a record file. A record has the fields

  row         int64, the number of the row in the data file
  target      float32 (targets,), the true numbers; or int64 (1,), the true class
  prediction  float32 (targets,), the predicted numbers, or the probabilities of yes; or float32
              (classes,), the probability of every class (its score, with MultiMarginLoss)

With more than ``MOST_PROBABILITIES`` classes, a record has the ``STORED_CLASSES`` most probable
classes, the best first:

  class       int64 (10,), the classes
  prediction  float32 (10,), their probabilities

Numbers are float64 where the target is float64 in the data file.

Where a row is a sequence of elements, each with a class, the probabilities of all elements would
take many times the space of the rows. A record then says how good the predictions of a row are:

  row            int64, the number of the row in the data file
  cross_entropy  float64, mean over its elements, in nats
  accuracy       float64, share of its elements whose class is predicted correctly

or only the number of the row, where nobody has said what the outputs of the model mean.

This module needs no PyTorch, so that the figures can be drawn without it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.record_file import RecordWriter, create, read_record_layout
from memtrain.metrics.stored_probabilities import MOST_PROBABILITIES, STORED_CLASSES

_FIELDS = ("row", "target", "prediction")
_FIELDS_OF_MANY_CLASSES = ("row", "target", "class", "prediction")
_FIELDS_OF_SEQUENCES = ("row", "cross_entropy", "accuracy")
_FIELDS_OF_UNKNOWN_SEQUENCES = ("row",)
_KNOWN_FIELDS = (
    _FIELDS,
    _FIELDS_OF_MANY_CLASSES,
    _FIELDS_OF_SEQUENCES,
    _FIELDS_OF_UNKNOWN_SEQUENCES,
)

_CHUNK_BYTES = 8 << 20


def prediction_dtype(task: str, outputs: int, targets: int, doubles: bool = False) -> np.dtype:
    """Return the dtype of one record.

    Args:
        task: the kind of task; only "classification" makes a difference.
        outputs: the number of values in a prediction; for a classification, that of the classes.
        targets: the number of values in a target; 1 for a classification.
        doubles: whether numbers are float64.
    """
    if task == "classification":
        target, number = ("<i8", (1,)), "<f4"
    else:
        number = "<f8" if doubles else "<f4"
        target = (number, (targets,))
    begin: list[tuple] = [("row", "<i8"), ("target", *target)]
    if task == "classification" and outputs > MOST_PROBABILITIES:
        stored = (STORED_CLASSES,)
        return np.dtype([*begin, ("class", "<i8", stored), ("prediction", number, stored)])
    return np.dtype([*begin, ("prediction", number, (outputs,))])


def sequence_dtype(is_known: bool) -> np.dtype:
    """Return the dtype of one record where a row is a sequence of elements, each with a class.

    Args:
        is_known: whether it is known what the outputs of the model mean.
    """
    qualities = [("cross_entropy", "<f8"), ("accuracy", "<f8")]
    return np.dtype([("row", "<i8"), *(qualities if is_known else [])])


class PredictionsWriter:
    """Writes predictions, batch after batch, into a file that ``create_predictions`` opened."""

    def __init__(self, writer: RecordWriter, dtype: np.dtype):
        self._writer = writer
        self._dtype = dtype
        self._rows_written = 0

    def write(
        self,
        rows: np.ndarray,
        target: np.ndarray,
        prediction: np.ndarray,
        classes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Write the next rows.

        Args:
            rows: numbers of the rows in the data file, int64 (rows,).
            target: the true values, (rows, targets), or (rows,) where a target is one number.
            prediction: the predictions, (rows, outputs).
            classes: the classes of the predictions, (rows, outputs), where there are many classes.

        Returns:
            The predictions as they stand in the file, (rows, outputs). A number that their type
            cannot hold is infinite.
        """
        records = np.empty(len(rows), self._dtype)
        records["row"] = rows
        records["target"] = target.reshape(len(rows), -1)
        if classes is not None:
            records["class"] = classes
        with np.errstate(over="ignore"):
            records["prediction"] = prediction
        self._writer.write(self._rows_written, records)
        self._rows_written += len(rows)
        return records["prediction"]

    def write_sequences(self, rows: np.ndarray, **qualities: np.ndarray) -> None:
        """Write the next rows of sequences.

        Args:
            rows: numbers of the rows in the data file, int64 (rows,).
            qualities: cross entropy and accuracy of each row, float64 (rows,), by the names of
                their fields; nothing where the outputs of the model have no known meaning.
        """
        records = np.empty(len(rows), self._dtype)
        records["row"] = rows
        for name, values in qualities.items():
            records[name] = values
        self._writer.write(self._rows_written, records)
        self._rows_written += len(rows)


@contextmanager
def create_predictions(
    path: str | os.PathLike, dtype: np.dtype, rows: int
) -> Iterator[PredictionsWriter]:
    """Create a file of predictions, which appears at ``path`` when the ``with`` block ends.

    Args:
        path: the final name.
        dtype: the dtype of one record, from ``prediction_dtype``.
        rows: the number of rows that will be written.

    Raises:
        UserError: if the disk is too full for the whole file; raised before the first row.
    """
    with create(path, dtype, rows) as writer:
        yield PredictionsWriter(writer, dtype)


@dataclass(frozen=True)
class PredictedRows:
    """Rows with their predictions.

    Attributes:
        target: the true values, (rows, targets).
        prediction: the predictions, float32 (rows, outputs).
        classes: the classes of the predictions, int64 (rows, outputs), the most probable first;
            None where every class has its prediction.
    """

    target: np.ndarray
    prediction: np.ndarray
    classes: np.ndarray | None = None

    @property
    def predicted_class(self) -> np.ndarray:
        """The most probable class, int64 (rows,)."""
        return self.prediction.argmax(axis=1) if self.classes is None else self.classes[:, 0]

    def __len__(self) -> int:
        return len(self.target)


class Predictions:
    """The rows of a predictions file whose predictions are finite.

    Args:
        path: ``predictions.npy``, from evaluate.

    Raises:
        UserError: where the file is missing or damaged, or holds no predictions.
    """

    def __init__(self, path: str | os.PathLike):
        layout = read_record_layout(path)
        if layout.dtype.names not in _KNOWN_FIELDS:
            raise UserError(
                f"{path}: its fields are {layout.dtype.names}, and those of predictions are "
                f"{_FIELDS}. Remove it and run evaluate again."
            )
        self._path = path
        self._layout = layout
        self._rows_per_chunk = max(1, _CHUNK_BYTES // layout.row_bytes)

    def __len__(self) -> int:
        """Return the number of all rows, finite or not."""
        return self._layout.rows

    def chunks(self, every: int = 1) -> Iterator[PredictedRows]:
        """Yield the rows in order, a few MiB at a time.

        Args:
            every: the step from one row that is read to the next; 1 reads all rows.
        """
        step = max(1, self._rows_per_chunk // every) * every
        for start in range(0, len(self), step):
            rows = self._map_rows(start, min(start + step, len(self)))[::every]
            finite = np.isfinite(rows["prediction"]).all(axis=1)
            yield PredictedRows(
                rows["target"][finite],
                rows["prediction"][finite],
                rows["class"][finite] if self.has_many_classes else None,
            )

    def cross_entropies(self) -> Iterator[np.ndarray]:
        """Yield the cross entropies of sequences, float64 (rows,), in order, finite or not."""
        for start in range(0, len(self), self._rows_per_chunk):
            end = min(start + self._rows_per_chunk, len(self))
            yield self._map_rows(start, end)["cross_entropy"]

    @property
    def has_many_classes(self) -> bool:
        """Whether only the most probable classes are stored."""
        return self._layout.dtype.names == _FIELDS_OF_MANY_CLASSES

    def _map_rows(self, start: int, end: int) -> np.ndarray:
        """Map rows ``[start, end)`` of the file, for as long as the array is used.

        If the whole file were mapped once, all pages that were read would count as memory in use.
        """
        first_byte, _ = self._layout.byte_range(start, end)
        return np.memmap(self._path, self._layout.dtype, "r", first_byte, (end - start,))
