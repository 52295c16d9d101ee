"""Writes the predictions for rows of files, in flat memory.

The file is a record file. A record has the fields

  row         int64, the number of the row in the files, from 0
  prediction  as in the predictions of an evaluation: the predicted numbers, the probabilities of
              yes or those of the classes
  class       with more than 1,000 classes, int64, the classes that the probabilities belong to

Where the model predicts every element of a row, ``class`` is the most probable class of each
element, and ``prediction`` its probability, or the predicted numbers. Of rows of one length, a
record has those of all elements. Of rows that vary in length, every element has a record, with one
more field:

  element     int64, the number of the element in its row, from 0
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.ranges import at_positions, count_rows
from memtrain.core.wording import listed
from memtrain.data.record_file import create
from memtrain.inference.batch_predictor import PredictedBatch
from memtrain.inference.kept_predictions import KeptPredictions
from memtrain.inference.loaded_model import LoadedModel
from memtrain.inference.row_files import RowsOfFiles
from memtrain.system.progress import Progress


def write_predictions(
    model: LoadedModel, rows: RowsOfFiles, path: str | os.PathLike, kept: KeptPredictions
) -> Mapping[str, int]:
    """Write the predictions of a model for some rows; return the rows with unknown words by column.

    The file appears at ``path`` when it is complete.

    Args:
        model: the model.
        rows: the rows.
        path: the file to write.
        kept: predictions for the first rows, which are not made again; the others are added.

    Raises:
        UserError: if a row does not fit, the files change meanwhile, or the disk is too full.
    """
    model.refuse_unknown_rows()
    unknown, count, written = Counter(kept.unknown), rows.count, kept.rows
    if written:
        print(f"going on from row {written:,} of {count:,}")
    batches = model.predict_rows(rows.read, unknown, rows.longest, written)
    pieces = _pieces(batches, rows, written)
    first = next(pieces, None)
    begin = next(kept.read(), None) if first is None else first.records
    assert begin is not None, "there is a row"
    total = count
    if rows.lengths is not None and model.recipe.training.has_ragged_target:
        total = rows.lengths.elements
    with create(path, begin.dtype, total) as writer, Progress("predicting", count, "rows") as bar:
        at = 0
        for records in kept.read():
            writer.write(at, records)
            at += len(records)
        bar.advance(written)
        for piece in pieces if first is None else chain([first], pieces):
            if at + len(piece.records) > total:
                raise _changed(rows)
            writer.write(at, piece.records)
            kept.add(piece.records, piece.rows, unknown)
            at += len(piece.records)
            bar.advance(piece.rows)
        if at != total:
            raise _changed(rows)
    kept.remove()
    return unknown


@dataclass(frozen=True)
class _Piece:
    """The records of the predictions for some rows."""

    records: np.ndarray
    rows: int


def _pieces(batches: Iterator[PredictedBatch], rows: RowsOfFiles, written: int) -> Iterator[_Piece]:
    """Yield the records of batches, from a row on."""
    for batch in batches:
        size = len(batch.values) if batch.lengths is None else len(batch.lengths)
        of_batch = list(at_positions(rows.ranges, written, written + size))
        if count_rows(of_batch) != size:
            raise _changed(rows)
        numbers = np.concatenate([np.arange(one.start, one.end) for one in of_batch])
        yield _Piece(_records(batch, numbers, of_elements=rows.lengths is not None), size)
        written += size


def _records(batch: PredictedBatch, rows: np.ndarray, of_elements: bool) -> np.ndarray:
    """Return the records of a batch.

    Args:
        batch: the predictions.
        rows: the numbers of the rows, int64 (rows,).
        of_elements: whether each element has its record, if each has a prediction.
    """
    values, classes, lengths = batch.values, batch.classes, batch.lengths
    fields: list[tuple] = [("row", "<i8")]
    if lengths is not None and of_elements:
        fields.append(("element", "<i8"))
    elif lengths is not None:
        values = values.reshape(len(rows), -1)
        classes = None if classes is None else classes.reshape(len(rows), -1)
    fields.append(("prediction", values.dtype.newbyteorder("<"), values.shape[1:]))
    if classes is not None:
        fields.append(("class", "<i8", classes.shape[1:]))
    records = np.empty(len(values), fields)
    records["prediction"] = values
    if classes is not None:
        records["class"] = classes
    if lengths is not None and of_elements:
        starts = np.cumsum(lengths) - lengths
        records["element"] = np.arange(len(values)) - np.repeat(starts, lengths)
        rows = np.repeat(rows, lengths)
    records["row"] = rows
    return records


def _changed(rows: RowsOfFiles) -> UserError:
    return UserError(
        f"{listed(rows.files)}: the rows changed while they were predicted. Run this again when "
        "nothing writes to the files."
    )
