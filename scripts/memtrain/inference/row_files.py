"""Reads rows to predict from files, a few MiB at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from memtrain.config.files import FieldSettings
from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.ranges import Range, count_rows, resolve_bound, self_overlaps, subtract_ranges
from memtrain.core.wording import listed
from memtrain.data.described_from import files_of_field
from memtrain.data.files_description import describe_features
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout, read_layout
from memtrain.data.record_file import RecordLayout, dtype_from_json, dtype_to_json
from memtrain.data.row_chunks import read_chunks, values_of_chunk
from memtrain.data.source import FEATURES
from memtrain.data.tables.files import open_tables
from memtrain.data.tables.selected_columns import absent_columns
from memtrain.data.tables.source_files import source_files
from memtrain.data.tables.table import Table
from memtrain.inference.input_rows import InputRows, checked_array
from memtrain.inference.loaded_model import LoadedModel
from memtrain.inference.ragged_files import (
    RowLengths,
    lengths_in_dataset,
    lengths_in_tables,
    ragged_of_dataset,
    ragged_of_tables,
    refuse_array,
)
from memtrain.inference.ragged_input import element_name
from memtrain.inference.rebatching import Rows

#: Start and end of a range of rows: a row number, or a percentage of all rows like "80%".
Bounds = tuple[int | str, int | str]


@dataclass(frozen=True)
class RowsOfFiles:
    """Rows to predict.

    Attributes:
        ranges: their numbers in the files, which count from 0.
        files: the files.
        of_dataset: whether they are rows of a data file, and not of a user's own tables.
        read: reads all rows, again each time it is called: records in pieces, which are overwritten
            once the next piece comes; or the features of rows that vary in length.
        lengths: how long the rows are, where they vary in length; None elsewhere.
    """

    ranges: list[Range]
    files: list[Path]
    of_dataset: bool
    read: Callable[[], Iterator[Rows]]
    lengths: RowLengths | None = None

    @property
    def count(self) -> int:
        """The number of rows."""
        return count_rows(self.ranges)

    @property
    def longest(self) -> int:
        """The elements of the longest row; 1 where rows do not vary in length."""
        return self.lengths.longest if self.lengths else 1


def open_rows_of_files(
    model: LoadedModel,
    path: str,
    bounds: Sequence[Bounds] = (),
    csv: CsvSettings | None = None,
    withdrawn: Callable[[], Sequence[Range]] = list,
) -> RowsOfFiles:
    """Open the rows of a data file, of an array of features or of tables.

    Args:
        model: the model that will predict them.
        path: ``data.npy`` or ``rows.json`` of a dataset; a ``.npy`` array of features; or a file of
            a user's own, a folder or a pattern, of any kind that is imported.
        bounds: start and end of ranges of rows, as numbers or percentages; all rows where there are
            none. Of tables, all rows are predicted.
        csv: how text files are written; as those that were imported unless given.
        withdrawn: returns the rows of a dataset that nothing may use, which are left out.

    Raises:
        UserError: where the files cannot be read, or hold other rows than the model takes.
    """
    if path.endswith((".npy", ".json")) and Path(path).is_file():
        layout = read_layout(path)
        chosen = _chosen(path, bounds, layout.rows)
        if isinstance(layout, FilesLayout) or layout.dtype.names is not None:
            _check_dtype(model, path, layout)
            return _open_dataset(path, layout, subtract_ranges(chosen, withdrawn()))
        if model.recipe.training.task.ragged:
            raise refuse_array(path, element_name(model.recipe.training))
        read = partial(_records_of_array, model, path, layout, chosen)
        return RowsOfFiles(chosen, [Path(path)], False, read)
    if bounds:
        raise UserError(f"--rows: {path} is a table, whose rows are all predicted. Leave it out.")
    files = source_files(path)
    inputs = model.recipe.inputs
    tables = open_tables(files, csv or (inputs.csv if inputs else None))
    if model.recipe.training.task.ragged:
        return _open_tables_of_lists(model, path, files, tables)
    return _open_tables(model, path, files, tables)


def _open_dataset(path: str, layout: RowLayout, chosen: list[Range]) -> RowsOfFiles:
    if not chosen:
        raise UserError(f"{path}: all of these rows are withdrawn. Choose others.")
    if isinstance(layout, FilesLayout) and layout.ragged:
        lengths = lengths_in_dataset(layout, chosen)
        of_ragged = partial(ragged_of_dataset, path, layout, chosen)
        return RowsOfFiles(chosen, [Path(path)], True, of_ragged, lengths)
    read = partial(_records_of_dataset, path, layout, chosen)
    return RowsOfFiles(chosen, [Path(path)], True, read)


def _open_tables(
    model: LoadedModel, path: str, files: list[Path], tables: list[Table]
) -> RowsOfFiles:
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
    return RowsOfFiles([Range(0, count)], files, False, read)


def _open_tables_of_lists(
    model: LoadedModel, path: str, files: list[Path], tables: list[Table]
) -> RowsOfFiles:
    training = model.recipe.training
    name = element_name(training)
    raise_problems(absent_columns(tables, [name]))
    lengths = lengths_in_tables(tables, training, name)
    if not lengths.rows:
        raise UserError(f"{path}: there are no rows to predict.")
    read = partial(ragged_of_tables, tables, training, name)
    return RowsOfFiles([Range(0, lengths.rows)], files, False, read, lengths)


def open_described_rows(
    model: LoadedModel, settings: FieldSettings, bounds: Sequence[Bounds] = ()
) -> RowsOfFiles:
    """Open rows that are read where they lie in a user's own files.

    Args:
        model: the model that will predict them.
        settings: the field of the features.
        bounds: start and end of ranges of rows, as numbers or percentages; all rows where there are
            none.

    Raises:
        UserError: where the files cannot be read, or hold other rows than the model takes.
    """
    layout = describe_features("files", settings)
    training = model.recipe.training
    needed = dtype_from_json(training.task.dtype)
    found = layout.fields[FEATURES]
    is_ragged = FEATURES in training.task.ragged
    own = needed[FEATURES] if FEATURES in (needed.names or ()) else None
    if found != own or bool(layout.ragged) != is_ragged:
        raise UserError(
            f"files: a row of them is {_features_text(found, bool(layout.ragged))}, and the model "
            f"was trained on {'several fields' if own is None else _features_text(own, is_ragged)}."
            " Describe the field of the features as under `dataset: files:`."
        )
    paths = [Path(path) for path in files_of_field(settings)]
    chosen = _chosen(layout.stored[0].stream.paths[0], bounds, layout.rows)
    if layout.ragged:
        lengths = lengths_in_dataset(layout, chosen)
        return RowsOfFiles(
            chosen, paths, False, partial(ragged_of_dataset, "", layout, chosen), lengths
        )
    read = partial(_records_of_features, layout, needed, chosen)
    return RowsOfFiles(chosen, paths, False, read)


def _features_text(dtype: np.dtype, is_ragged: bool) -> str:
    shape = ("any", *dtype.shape) if is_ragged else dtype.shape
    return f"({', '.join(map(str, shape))}) of {dtype.base}"


def _records_of_features(
    layout: FilesLayout, dtype: np.dtype, ranges: Sequence[Range]
) -> Iterator[np.ndarray]:
    for chunk in (one for rows in ranges for one in read_chunks("", layout, rows)):
        values = values_of_chunk(chunk, layout)[FEATURES]
        records = np.zeros(len(values), dtype)
        records[FEATURES] = values
        yield records


def _chosen(path: str, bounds: Sequence[Bounds], count: int) -> list[Range]:
    """Return ranges of the rows of a file.

    Raises:
        UserError: naming those that are empty or not in it.
    """
    found = [(f"{start}:{end}", _resolved(start, end, count)) for start, end in bounds]
    raise_problems(
        f"--rows: found {text}, but {path} has {count:,} rows. Give START:END with START before "
        "END."
        for text, rows in found
        if not rows.start < rows.end <= count
    )
    raise_problems(
        f"--rows: rows {common} are in two of these ranges. Name them once."
        for common in self_overlaps([rows for _, rows in found])
    )
    return [rows for _, rows in found] or [Range(0, count)]


def _resolved(start: int | str, end: int | str, count: int) -> Range:
    return Range(resolve_bound(start, count), resolve_bound(end, count))


def _check_dtype(model: LoadedModel, path: str, layout: RowLayout) -> None:
    task = model.recipe.training.task
    found, needed = dtype_to_json(layout.view_dtype), task.dtype
    ragged = list(layout.ragged) if isinstance(layout, FilesLayout) else []
    if (found, ragged) != (needed, task.ragged):
        raise UserError(
            f"{path}: its rows are {_row_text(found, ragged)}, but the model was trained on "
            f"{_row_text(needed, task.ragged)}. Give the data file of the same dataset, or a table "
            "with the columns that were imported."
        )


def _row_text(dtype: Any, ragged: Sequence[str]) -> str:
    return f"{dtype}, with {listed(ragged)} of any length" if ragged else str(dtype)


def _records_of_dataset(
    path: str, layout: RowLayout, ranges: Sequence[Range]
) -> Iterator[np.ndarray]:
    for chunk in (one for rows in ranges for one in read_chunks(path, layout, rows)):
        values = values_of_chunk(chunk, layout)
        records = np.empty(len(next(iter(values.values()))), layout.view_dtype)
        for name, one in values.items():
            records[name] = one
        yield records


def _records_of_array(
    model: LoadedModel, path: str, layout: RecordLayout, ranges: Sequence[Range]
) -> Iterator[np.ndarray]:
    training = model.recipe.training
    dtype = dtype_from_json(training.task.dtype)
    names = [column.name for column in model.columns]
    for chunk in (one for rows in ranges for one in read_chunks(path, layout, rows)):
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
