"""Writes the predictions for rows of files, in flat memory.

The file is a record file. A record has the fields

  row         int64, the number of the row in the files, from 0
  prediction  as in the predictions of an evaluation: the predicted numbers, the probabilities of
              yes or those of the classes
  class       with more than 1,000 classes, int64, the classes that the probabilities belong to
"""

import os
from collections import Counter
from collections.abc import Mapping
from itertools import chain

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.record_file import create
from memtrain.inference.loaded_model import LoadedModel, PredictedBatch
from memtrain.inference.row_files import RowsOfFiles
from memtrain.system.progress import Progress


def write_predictions(
    model: LoadedModel, rows: RowsOfFiles, path: str | os.PathLike
) -> Mapping[str, int]:
    """Write the predictions of a model for some rows; return the rows with unknown words by column.

    The file appears at ``path`` when it is complete.

    Args:
        model: the model.
        rows: the rows.
        path: the file to write.

    Raises:
        UserError: if a row does not fit, the files change meanwhile, or the disk is too full.
    """
    model.refuse_unknown_rows()
    unknown: Counter[str] = Counter()
    batches = model.predict_records(rows.read, unknown)
    first = next(batches)
    dtype, count = _record_dtype(first), rows.rows.rows
    written = 0
    with create(path, dtype, count) as writer, Progress("predicting", count, "rows") as bar:
        for batch in chain([first], batches):
            if written + len(batch.values) > count:
                raise _changed(rows)
            records = np.empty(len(batch.values), dtype)
            start = rows.rows.start + written
            records["row"] = np.arange(start, start + len(records))
            records["prediction"] = batch.values
            if batch.classes is not None:
                records["class"] = batch.classes
            writer.write(written, records)
            written += len(records)
            bar.advance(len(records))
        if written != count:
            raise _changed(rows)
    return unknown


def _record_dtype(batch: PredictedBatch) -> np.dtype:
    width = (batch.values.shape[1],)
    fields = [("row", "<i8"), ("prediction", batch.values.dtype.newbyteorder("<"), width)]
    return np.dtype([*fields, *([("class", "<i8", width)] if batch.classes is not None else [])])


def _changed(rows: RowsOfFiles) -> UserError:
    return UserError(
        f"{listed(rows.files)}: the rows changed while they were predicted. Run this again when "
        "nothing writes to the files."
    )
