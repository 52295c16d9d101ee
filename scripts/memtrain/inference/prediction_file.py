"""Writes the predictions for rows of files, in flat memory.

The file is a record file. A record has the fields

  row         int64, the number of the row in the files, from 0
  prediction  as in the predictions of an evaluation: the predicted numbers, the probabilities of
              yes or those of the classes
  class       with more than 1,000 classes, int64, the classes that the probabilities belong to
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.ranges import at_positions
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
    batches = model.predict_rows(rows.read, unknown, done=written)
    pieces = _records(batches, rows, written)
    first = next(kept.read() if written else pieces)
    with create(path, first.dtype, count) as writer, Progress("predicting", count, "rows") as bar:
        at = 0
        for piece in kept.read():
            writer.write(at, piece)
            at += len(piece)
        bar.advance(at)
        for records in pieces if written else chain([first], pieces):
            if at + len(records) > count:
                raise _changed(rows)
            writer.write(at, records)
            kept.add(records, unknown)
            at += len(records)
            bar.advance(len(records))
        if at != count:
            raise _changed(rows)
    kept.remove()
    return unknown


def _records(
    batches: Iterator[PredictedBatch], rows: RowsOfFiles, written: int
) -> Iterator[np.ndarray]:
    """Yield the records of batches, from a row on."""
    for batch in batches:
        records = np.empty(len(batch.values), _record_dtype(batch))
        of_batch = at_positions(rows.ranges, written, written + len(records))
        numbers = [np.arange(one.start, one.end) for one in of_batch]
        if sum(map(len, numbers)) != len(records):
            raise _changed(rows)
        records["row"] = np.concatenate(numbers)
        records["prediction"] = batch.values
        if batch.classes is not None:
            records["class"] = batch.classes
        written += len(records)
        yield records


def _record_dtype(batch: PredictedBatch) -> np.dtype:
    width = (batch.values.shape[1],)
    fields = [("row", "<i8"), ("prediction", batch.values.dtype.newbyteorder("<"), width)]
    return np.dtype([*fields, *([("class", "<i8", width)] if batch.classes is not None else [])])


def _changed(rows: RowsOfFiles) -> UserError:
    return UserError(
        f"{listed(rows.files)}: the rows changed while they were predicted. Run this again when "
        "nothing writes to the files."
    )
