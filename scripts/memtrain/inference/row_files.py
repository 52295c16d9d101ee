"""Reads rows to predict from files, a few MiB at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.ranges import Range
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout, read_layout
from memtrain.data.record_file import RecordLayout, dtype_from_json, dtype_to_json
from memtrain.data.row_chunks import read_chunks, values_of_chunk
from memtrain.data.tables.files import open_tables
from memtrain.data.tables.selected_columns import absent_columns
from memtrain.data.tables.source_files import source_files
from memtrain.data.tables.table import Table
from memtrain.inference.input_rows import InputRows, checked_array
from memtrain.inference.loaded_model import LoadedModel


@dataclass(frozen=True)
class RowsOfFiles:
    """Rows to predict.

    Attributes:
        rows: their numbers in the files, which count from 0.
        files: the files.
        of_dataset: whether they are rows of a data file, and not of a user's own tables.
        read: reads all rows, again each time it is called: records in pieces, which are overwritten
            once the next piece comes.
    """

    rows: Range
    files: list[Path]
    of_dataset: bool
    read: Callable[[], Iterator[np.ndarray]]


def open_rows_of_files(
    model: LoadedModel, path: str, rows: Range | None = None, csv: CsvSettings | None = None
) -> RowsOfFiles:
    """Open the rows of a data file, of an array of features or of tables.

    Args:
        model: the model that will predict them.
        path: ``data.npy`` or ``rows.json`` of a dataset; a ``.npy`` array of features; or a file of
            a user's own, a folder or a pattern, of any kind that is imported.
        rows: the rows to predict; all of them unless given. Of tables, all rows are predicted.
        csv: how text files are written; as those that were imported unless given.

    Raises:
        UserError: where the files cannot be read, or hold other rows than the model takes.
    """
    if path.endswith((".npy", ".json")) and Path(path).is_file():
        layout = read_layout(path)
        chosen = _chosen(path, rows, layout.rows)
        if isinstance(layout, FilesLayout) or layout.dtype.names is not None:
            _check_dtype(model, path, layout)
            read = partial(_records_of_dataset, path, layout, chosen)
            return RowsOfFiles(chosen, [Path(path)], True, read)
        read = partial(_records_of_array, model, path, layout, chosen)
        return RowsOfFiles(chosen, [Path(path)], False, read)
    if rows is not None:
        raise UserError(f"--rows: {path} is a table, whose rows are all predicted. Leave it out.")
    files = source_files(path)
    inputs = model.recipe.inputs
    tables = open_tables(files, csv or (inputs.csv if inputs else None))
    names = [column.name for column in model.columns]
    if not names:
        raise UserError(
            f"{path}: the features of this model have no names, so that no table holds them. Give "
            "an array of features, .npy."
        )
    raise_problems(absent_columns(tables, names))
    count = sum(batch.num_rows for table in tables for batch in table.batches(names[:1]))
    if not count:
        raise UserError(f"{path}: there are no rows to predict.")
    read = partial(_records_of_tables, model, tables, names)
    return RowsOfFiles(Range(0, count), files, False, read)


def _chosen(path: str, rows: Range | None, count: int) -> Range:
    chosen = Range(0, count) if rows is None else rows
    if not 0 <= chosen.start < chosen.end <= count:
        raise UserError(
            f"--rows: found {chosen.start}:{chosen.end}, but {path} has {count:,} rows. Give "
            "START:END with START before END."
        )
    return chosen


def _check_dtype(model: LoadedModel, path: str, layout: RowLayout) -> None:
    found, needed = dtype_to_json(layout.view_dtype), model.recipe.training.task.dtype
    if found != needed:
        raise UserError(
            f"{path}: its rows are {found}, but the model was trained on {needed}. Give the data "
            "file of the same dataset, or a table with the columns that were imported."
        )


def _records_of_dataset(path: str, layout: RowLayout, rows: Range) -> Iterator[np.ndarray]:
    for chunk in read_chunks(path, layout, rows):
        values = values_of_chunk(chunk, layout)
        records = np.empty(len(next(iter(values.values()))), layout.view_dtype)
        for name, one in values.items():
            records[name] = one
        yield records


def _records_of_array(
    model: LoadedModel, path: str, layout: RecordLayout, rows: Range
) -> Iterator[np.ndarray]:
    training = model.recipe.training
    dtype = dtype_from_json(training.task.dtype)
    names = [column.name for column in model.columns]
    for chunk in read_chunks(path, layout, rows):
        assert isinstance(chunk, np.ndarray), "the rows of a record file have one length"
        array = checked_array(chunk, training, dtype, model.columns)
        yield InputRows(len(array), dtype, [], array, names).records(0, len(array))


def _records_of_tables(
    model: LoadedModel, tables: list[Table], names: list[str]
) -> Iterator[np.ndarray]:
    dtype = dtype_from_json(model.recipe.training.task.dtype)
    for table in tables:
        first = 0
        for batch in table.batches(names):
            columns = [
                (column, pa.chunked_array([batch.column(column.name)])) for column in model.columns
            ]
            rows = InputRows(batch.num_rows, dtype, columns, None, names, table, first)
            if rows.count:
                yield rows.records(0, rows.count)
            first += batch.num_rows
