"""The rows that a data file was made from, as they stand in its source.

Imported rows stand in the user's files, in other columns and maybe in another order than in the
data file. Generated rows have no other source than the data file: its fields are their columns.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from memtrain.config.dataset import ResolvedImport
from memtrain.core.errors import UserError, raise_problems
from memtrain.data.record_file import read_record_layout
from memtrain.data.row_places import ChangedValuesError, SourcePlaces
from memtrain.data.source import Source
from memtrain.data.source_order import SourceOrder
from memtrain.data.tables.chosen_columns import ChosenColumns
from memtrain.data.tables.columns import Column, NumberColumn
from memtrain.data.tables.files import open_source, open_tables
from memtrain.data.tables.import_order import ImportOrder
from memtrain.data.tables.missing_values import MissingValues
from memtrain.data.tables.source_files import source_files
from memtrain.data.tables.table import Table
from memtrain.system.digests import digest_of_file
from memtrain.system.progress import Progress

#: The place of a row that the import left out.
LEFT_OUT = -1


@dataclass(frozen=True)
class SourceBatch:
    """Some rows of a source.

    Attributes:
        places: where each row lies in the data file, int64 (rows,), as ``SourceOrder`` counts;
            ``LEFT_OUT`` for a row that was not written.
        content: their columns.
    """

    places: np.ndarray
    content: pa.RecordBatch


class SourceRows:
    """Reads the rows of the source of a data file, a batch at a time.

    Args:
        data: the data file.
        source: where its rows came from.

    Raises:
        UserError: where the files of the source are not those that were imported.
    """

    def __init__(self, data: str | os.PathLike, source: Source):
        self._layout = read_record_layout(data)
        self._folder = Path(data).parent
        settings = None
        if source.origin.get("kind") == "import":
            settings = ResolvedImport.model_validate(source.origin["settings"])
        self._missing: MissingValues | None = None
        self._dropping: list[Column] = []
        if settings is None:
            self._tables = open_tables([Path(data)])
        else:
            _refuse_changed_files(settings, source)
            self._tables = open_source(settings)
            self._missing = MissingValues(settings)
            self._dropping = [
                column
                for column in ChosenColumns.from_settings(settings).all
                if settings.missing_policy(column.name) == "drop"
            ]
        self._import_order = ImportOrder(settings) if settings else None
        self._chosen = (
            [*self._layout.fields] if settings is None else [*settings.features, *settings.target]
        )

    @cached_property
    def order(self) -> SourceOrder:
        """The order in which the rows were written, after a pass over its column, if it has one."""
        if self._import_order is None:
            return SourceOrder(SourcePlaces(self._layout.rows))
        if self._import_order.column is not None:
            for _, content, kept in self._contents([]):
                self._import_order.learn(content, kept)
        return SourceOrder(self._import_order.places(self._layout, self._folder))

    @property
    def columns(self) -> list[str]:
        """The columns that rows were made from, sorted."""
        return sorted(self._chosen)

    def present(self, columns: Sequence[str]) -> list[str]:
        """Return those of some columns that every table has."""
        return [
            name for name in columns if all(one.columns.count(name) == 1 for one in self._tables)
        ]

    def batches(self, columns: Sequence[str]) -> Iterator[SourceBatch]:
        """Yield all rows, in their order, with at least some columns.

        Raises:
            UserError: where the source has other rows than those that were written.
        """
        written = 0
        self.order.start()
        for _, content, kept in self._contents(columns):
            batch = self._batch(content, kept)
            written += int(kept.sum())
            yield batch
        if written != self._layout.rows:
            raise UserError(
                f"{self._tables[0].name}: {written:,} rows were read where {self._layout.rows:,} "
                "were written. Run snakemake, so that they are imported again."
            )

    def place_of(self, row: int, column: str | None = None) -> str | None:
        """Return where a row of the data file stands in the source: "houses.csv, line 18 (row 16)".

        Args:
            row: number of the row in the data file.
            column: the column of the source that is meant, if it is one.

        Returns:
            The place; None where the source has no such row any more.
        """
        if column not in self._chosen:
            column = None
        [wanted] = self.order.places_of(np.array([row]))
        self.order.start()
        last, start = None, 0
        for table, content, kept in self._contents([column or self._chosen[0]]):
            start = 0 if table is not last else start
            found = np.flatnonzero(self._batch(content, kept).places == wanted)
            if len(found):
                return table.place_of(start + int(found[0]), column)
            last, start = table, start + content.num_rows
        return None

    def _contents(
        self, columns: Sequence[str]
    ) -> Iterator[tuple[Table, pa.RecordBatch, np.ndarray]]:
        """Yield all rows with at least some columns, and which of them were kept, booleans."""
        order = [] if self._import_order is None else [self._import_order.column]
        needed = [*columns, *(one.name for one in self._dropping), *order]
        names = [name for name in dict.fromkeys(needed) if name is not None]
        with Progress("reading the source", None, "rows") as progress:
            for table in self._tables:
                for content in table.batches(names):
                    progress.advance(content.num_rows)
                    yield table, content, self._kept_rows(table, content)

    def _kept_rows(self, table: Table, content: pa.RecordBatch) -> np.ndarray:
        """Return which rows were written, booleans (rows,)."""
        if not self._missing:
            return np.ones(content.num_rows, bool)
        cells = {
            one: one.read(table.plain(one.name, content.column(one.name)))
            if isinstance(one, NumberColumn)
            else one.read(content.column(one.name))
            for one in self._dropping
        }
        return self._missing.kept_rows(cells, content.num_rows)

    def _batch(self, content: pa.RecordBatch, kept: np.ndarray) -> SourceBatch:
        codes = self._import_order.codes(content, kept) if self._import_order else None
        places = np.full(content.num_rows, LEFT_OUT)
        try:
            places[kept] = self.order.next_places(int(kept.sum()), codes)
        except ChangedValuesError:
            raise UserError(
                f"{self._tables[0].name}: its rows are not those of the data file. Run snakemake, "
                "so that they are imported again."
            ) from None
        return SourceBatch(places, content)


def _refuse_changed_files(settings: ResolvedImport, source: Source) -> None:
    """Refuse files that are not those that were imported.

    Raises:
        UserError: naming those that are others, or have changed.
    """
    files = source_files(settings.path)
    imported = {one["path"]: one["sha256"] for one in source.origin["files"]}
    names = {file.as_posix() for file in files}
    changed = [
        file.as_posix()
        for file in files
        if f"sha256:{imported.get(file.as_posix())}" != digest_of_file(file)
    ]
    raise_problems(
        f"{name}: this file has changed since it was imported, so that its rows are not those of "
        "the data file. Run snakemake first, which imports it again."
        for name in sorted({*changed, *(imported.keys() - names)})
    )
