"""Brings a user's tables into one record file, in two passes over them.

The first pass finds out what must be known before the first row is written (the number of rows
that are kept, the words of categories, the labels of classes) and the first problem of every
column. The second pass writes. Both see the same batches in the same order on one thread, so the
bytes depend on the files and the settings alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from memtrain.config.dataset import ImportSettings
from memtrain.core.errors import UserError, raise_problems
from memtrain.data.external_shuffle import ShuffledWriter
from memtrain.data.record_file import RecordWriter
from memtrain.data.row_places import ChangedValuesError
from memtrain.data.source import Source, SourceColumn
from memtrain.data.tables.chosen_columns import ChosenColumns
from memtrain.data.tables.columns import CategoryFeature, Cells, Column, NumberColumn
from memtrain.data.tables.files import open_source
from memtrain.data.tables.import_order import ImportOrder
from memtrain.data.tables.missing_values import MissingValues
from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.data.tables.selected_columns import resolve_columns
from memtrain.data.tables.source_files import describe_files, file_states, source_files
from memtrain.data.tables.table import Table
from memtrain.data.tables.time_column import TimeColumn
from memtrain.system.progress import Progress

#: Size of the records that are put together before they are written; categories make rows wide.
_PIECE_BYTES = 16 << 20


#: Under which name a problem of the column of the order is noted.
_ORDER = "order by {}"


@dataclass(frozen=True)
class _Batch:
    """Rows of a table.

    Attributes:
        table: the table.
        start: number of the first row in the table, from 0.
        content: the rows.
    """

    table: Table
    start: int
    content: pa.RecordBatch


class TableImport:
    """The import of some files: first ``survey``, then ``write``, then ``source``.

    Args:
        settings: settings of the import.

    Attributes:
        order: the order in which rows are written; known after ``survey``.
        rows_read: number of rows of all tables.
        rows_dropped: number of rows that were left out for a missing value.

    Raises:
        UserError: where files cannot be opened or lack columns.
    """

    def __init__(self, settings: ImportSettings):
        self._files = source_files(settings.path)
        self._states = file_states(self._files)
        self._tables = open_source(settings)
        self._settings = resolve_columns(settings, self._tables)
        chosen = [*self._settings.features, *self._settings.target]
        self._columns = ChosenColumns.from_settings(self._settings, _types(self._tables, chosen))
        self.order = ImportOrder(self._settings)
        raise_problems(self.order.absent_column(self._tables))
        of_order = [] if self.order.column is None else [self.order.column]
        self._names = list(dict.fromkeys([*chosen, *of_order]))
        self._descriptions: list[dict[str, str | int]] = []
        self._problems: dict[str, str] = {}
        self._missing = MissingValues(self._settings)
        self.rows_read = 0
        self.rows_dropped = 0

    @property
    def rows(self) -> int:
        """The number of rows that are written."""
        return self.rows_read - self.rows_dropped

    @property
    def dtype(self) -> np.dtype:
        """The dtype of one record; known after ``survey``."""
        return self._columns.dtype

    def survey(self) -> None:
        """Read all rows a first time.

        Raises:
            UserError: naming the first problem of every column, or where no rows are left.
        """
        with Progress("surveying", None, "rows") as progress:
            for batch in self._batches():
                self._survey_batch(batch)
                progress.advance(batch.content.num_rows)
        missing = self._missing.problems(self._columns.features, self._columns.target)
        columns = [*self._merged_values(), *self._order_problems()]
        raise_problems([*self._problems.values(), *missing, *columns])
        if not self.rows:
            raise UserError(
                f"{self._settings.path}: no rows are left; {self.rows_read:,} were read and "
                f"{self.rows_dropped:,} dropped for a missing value. Import more rows, or leave "
                "out the columns with so many missing values."
            )
        self._descriptions = describe_files(self._files)

    def write(self, writer: RecordWriter | ShuffledWriter) -> None:
        """Read all rows a second time, and write them in the order of the files.

        Raises:
            UserError: where the files changed after the survey.
        """
        written = 0
        with Progress("writing", self.rows, "rows") as progress:
            for records, codes in self._records():
                if written + len(records) > self.rows:
                    raise self._changed()
                self._write(writer, written, records, codes)
                written += len(records)
                progress.advance(len(records))
        if written != self.rows or file_states(self._files) != self._states:
            raise self._changed()

    def _write(
        self,
        writer: RecordWriter | ShuffledWriter,
        start: int,
        records: np.ndarray,
        codes: np.ndarray | None,
    ) -> None:
        if not isinstance(writer, ShuffledWriter):
            writer.write(start, records)
            return
        try:
            writer.write(start, records, codes)
        except ChangedValuesError:
            raise self._changed() from None

    def source(self) -> Source:
        """Return where the rows came from."""
        target = self._columns.target[0]
        return Source(
            features=[name for column in self._columns.features for name in column.names],
            target=[name for column in self._columns.target for name in column.names],
            task="regression" if target.classes is None else "classification",
            classes=target.classes,
            class_names=target.labels,
            columns=[self._description(column) for column in self._columns.all],
            origin=self._origin(),
        )

    def _origin(self) -> dict[str, Any]:
        return {
            "kind": "import",
            "settings": self._settings.model_dump(mode="json"),
            "files": self._descriptions,
            "missing": self._missing.values_kept(),
            "rows_read": self.rows_read,
            "rows_dropped": self.rows_dropped,
        }

    def _description(self, column: Column) -> SourceColumn:
        field, position = self._columns.place_of(column)
        return SourceColumn(
            name=column.name,
            kind=_kind_of(column),
            field=field,
            position=position,
            shape=list(column.shape),
            dtype=column.dtype.name,
            names=column.names,
            present=self._columns.validity_place_of(column),
            words=column.codes if isinstance(column, CategoryFeature) else None,
        )

    def _merged_values(self) -> Iterator[str]:
        """Yield a problem for every column whose type makes one value of many."""
        for column in self._columns.all:
            if isinstance(column, NumberColumn) and column.name not in self._problems:
                try:
                    column.refuse_merged()
                except RefusedValueError as refusal:
                    yield f"column '{column.name}': {refusal.reason}"

    def _order_problems(self) -> Iterator[str]:
        """Yield a problem where the column of the order has too many values."""
        try:
            self.order.refuse()
        except RefusedValueError as refusal:
            yield f"column '{self.order.column}': {refusal.reason}"

    def _batches(self) -> Iterator[_Batch]:
        """Yield the batches of all tables, one table after the other."""
        for table in self._tables:
            start = 0
            for content in table.batches(self._names):
                yield _Batch(table, start, content)
                start += content.num_rows

    def _survey_batch(self, batch: _Batch) -> None:
        cells: dict[Column, Cells] = {}
        for column in self._columns.all:
            # Only the first problem of a column is reported, so the column is not read any further.
            if column.name not in self._problems:
                try:
                    cells[column] = _read(batch.table, column, batch.content)
                except RefusedValueError as refusal:
                    self._note_problem(batch, column.name, refusal)
        kept = self._kept_rows(cells, batch.content)
        self._survey_order(batch, kept)
        self.rows_read += len(kept)
        self.rows_dropped += len(kept) - int(kept.sum())
        for column, read in cells.items():
            self._missing.count(column, read.missing, batch.table, batch.start)
            try:
                column.learn(_select(read, kept))
            except RefusedValueError as refusal:
                self._note_problem(batch, column.name, refusal)

    def _survey_order(self, batch: _Batch, kept: np.ndarray) -> None:
        column = self.order.column
        # A column that is a feature, too, may have a problem of its own, which is told first.
        if column is None or _ORDER.format(column) in self._problems:
            return
        try:
            self.order.learn(batch.content, kept)
        except RefusedValueError as refusal:
            self._note_problem(batch, column, refusal, _ORDER.format(column))

    def _records(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield the records of the rows that are kept, in pieces, and the codes of their order."""
        dtype = self.dtype
        rows_per_piece = max(1, _PIECE_BYTES // dtype.itemsize)
        for batch in self._batches():
            for start in range(0, batch.content.num_rows, rows_per_piece):
                try:
                    rows = batch.content.slice(start, rows_per_piece)
                    yield self._encode(batch.table, rows, dtype)
                except RefusedValueError:
                    raise self._changed() from None

    def _encode(
        self, table: Table, rows: pa.RecordBatch, dtype: np.dtype
    ) -> tuple[np.ndarray, np.ndarray | None]:
        cells: dict[Column, Cells] = {
            column: _read(table, column, rows) for column in self._columns.all
        }
        kept = self._kept_rows(cells, rows)
        records = np.empty(int(kept.sum()), dtype)
        selected = {column: _select(read, kept) for column, read in cells.items()}
        for field in self._columns.fields:
            values = field.values(selected)
            records[field.name] = values.reshape(records[field.name].shape)
        return records, self.order.codes(rows, kept)

    def _kept_rows(self, cells: dict[Column, Cells], rows: pa.RecordBatch) -> np.ndarray:
        return self._missing.kept_rows(cells, rows.num_rows)

    def _note_problem(
        self, batch: _Batch, column: str, refusal: RefusedValueError, key: str | None = None
    ) -> None:
        where = batch.table.name
        if refusal.row is not None:
            where = batch.table.place_of(batch.start + refusal.row, column)
        self._problems[key or column] = f"{where}, column '{column}': {refusal.reason}"

    def _changed(self) -> UserError:
        return UserError(
            f"{self._settings.path}: the rows changed while they were imported; the second pass "
            "found others than the first. Run the import again when nothing writes to the files."
        )


def _read(table: Table, column: Column, rows: pa.RecordBatch) -> Cells:
    """Return the cells of a column in some rows of a table.

    Raises:
        RefusedValueError: for the first cell that the column cannot take.
    """
    cells = rows.column(column.name)
    return column.read(
        table.plain(column.name, cells) if isinstance(column, NumberColumn) else cells
    )


def _select(cells: Cells, kept: np.ndarray) -> Cells:
    """Return the cells of the rows that are kept."""
    return cells if kept.all() else cells.select(kept)


def _kind_of(column: Column) -> Literal["number", "category", "time"]:
    if isinstance(column, CategoryFeature):
        return "category"
    return "time" if isinstance(column, TimeColumn) and column.is_instant else "number"


def _types(tables: list[Table], names: list[str]) -> dict[str, pa.DataType]:
    """Return the types of columns that are integers or booleans in every table, by their names."""

    def is_integer(kind: pa.DataType) -> bool:
        return pa.types.is_integer(kind) or pa.types.is_boolean(kind)

    return {
        name: tables[0].types[name]
        for name in names
        if all(is_integer(table.types[name]) for table in tables)
    }
