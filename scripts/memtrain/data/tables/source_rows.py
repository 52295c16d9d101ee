"""The rows that a data file was made from, as they stand in its source.

Imported rows stand in the user's files, in other columns and maybe in another order than in the
data file. Generated rows have no other source than the data file: its fields are their columns.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from memtrain.config.dataset import ResolvedImport
from memtrain.core.errors import UserError, raise_problems
from memtrain.data.record_file import read_layout
from memtrain.data.source import Source
from memtrain.data.source_order import SourceOrder
from memtrain.data.tables.chosen_columns import ChosenColumns
from memtrain.data.tables.columns import Column, NumberColumn
from memtrain.data.tables.files import open_source, open_tables
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

    Attributes:
        order: the order in which the rows were written.

    Raises:
        UserError: where the files of the source are not those that were imported.
    """

    def __init__(self, data: str | os.PathLike, source: Source):
        self._layout = read_layout(data)
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
        self.order = SourceOrder(self._layout, settings.shuffle_once if settings else None)
        self._chosen = (
            [*self._layout.fields] if settings is None else [*settings.features, *settings.target]
        )

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
        names = list(dict.fromkeys([*columns, *(one.name for one in self._dropping)]))
        written = 0
        self.order.start()
        with Progress("reading the source", None, "rows") as progress:
            for table in self._tables:
                for content in table.batches(names):
                    batch = self._batch(table, content)
                    written += int((batch.places != LEFT_OUT).sum())
                    progress.advance(content.num_rows)
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
        names = [one.name for one in self._dropping] or [column or self._chosen[0]]
        self.order.start()
        for table in self._tables:
            start = 0
            for content in table.batches(names):
                found = np.flatnonzero(self._batch(table, content).places == wanted)
                if len(found):
                    return table.place_of(start + int(found[0]), column)
                start += content.num_rows
        return None

    def _batch(self, table: Table, content: pa.RecordBatch) -> SourceBatch:
        kept = np.ones(content.num_rows, bool)
        if self._missing:
            cells = {
                one: one.read(table.plain(one.name, content.column(one.name)))
                if isinstance(one, NumberColumn)
                else one.read(content.column(one.name))
                for one in self._dropping
            }
            kept = self._missing.kept_rows(cells, content.num_rows)
        places = np.full(content.num_rows, LEFT_OUT)
        places[kept] = self.order.next_places(int(kept.sum()))
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
