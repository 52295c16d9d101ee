"""Brings a user's tables into one record file, in two passes over them.

The first pass finds out what must be known before the first row is written: how many rows are kept,
the words of categories, the means that stand in for missing values; and everything that is wrong.
The second pass writes. Both see the same batches in the same order on one thread, so the bytes
depend on the files and the settings alone.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from memtrain.config.dataset import ImportSettings
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.wording import did_you_mean, listed
from memtrain.data.external_shuffle import ShuffledWriter
from memtrain.data.record_file import RecordWriter, record_dtype
from memtrain.data.source import Source
from memtrain.data.tables.columns import (
    CategoryColumn,
    CategoryTarget,
    ClassColumn,
    Column,
    NumberColumn,
    RefusedValueError,
)
from memtrain.data.tables.files import Table, open_tables, source_files
from memtrain.system.progress import Progress

#: Records that are put together before they are written; a one-hot column can make rows wide.
_PIECE_BYTES = 16 << 20

_HASHED_BYTES = 1 << 20


class TableImport:
    """The import of some files: ``survey`` them, ``write`` the rows, say where they came from.

    Attributes:
        rows_read: the rows of all tables.
        rows_dropped: those that were left out for a missing value.

    Raises:
        UserError: where files cannot be opened or lack columns.
    """

    def __init__(self, settings: ImportSettings):
        self._settings = settings
        self._features = _feature_columns(settings)
        self._target = _target_columns(settings)
        self._columns = [*self._features, *self._target]
        self._files = source_files(settings.path)
        self._states = _states(self._files)
        self._tables = open_tables(self._files)
        raise_problems(_absent_columns(self._tables, [column.name for column in self._columns]))
        self._descriptions: list[dict[str, Any]] = []
        self.rows_read = self.rows_dropped = 0
        self._problems: dict[str, str] = {}
        self._missing: Counter[str] = Counter()
        self._first_missing: dict[str, str] = {}

    @property
    def rows(self) -> int:
        """The rows that are written."""
        return self.rows_read - self.rows_dropped

    @property
    def dtype(self) -> np.dtype:
        """The record of one row."""
        return record_dtype(features=_field(self._features), target=_field(self._target))

    def survey(self) -> None:
        """Read all rows a first time.

        Raises:
            UserError: with everything that is wrong with them.
        """
        with Progress("surveying", None, "rows") as progress:
            for table, batch, start in self._batches():
                self._survey_batch(table, batch, start)
                progress.advance(batch.num_rows)
        raise_problems([*self._problems.values(), *self._missing_problems()])
        if not self.rows:
            raise UserError(
                f"{self._settings.path}: no rows are left; {self.rows_read:,} were read and "
                f"{self.rows_dropped:,} dropped for a missing value. Bring more rows, or leave out "
                "the columns that miss so many."
            )
        self._descriptions = _describe_files(self._files)

    def write(self, writer: RecordWriter | ShuffledWriter) -> None:
        """Read all rows a second time, and write them in the order of the files.

        Raises:
            UserError: where they are not those of the survey.
        """
        written = 0
        with Progress("writing", self.rows, "rows") as progress:
            for records in self._records():
                if written + len(records) > self.rows:
                    raise self._changed()
                writer.write(written, records)
                written += len(records)
                progress.advance(len(records))
        if written != self.rows or _states(self._files) != self._states:
            raise self._changed()

    def source(self) -> Source:
        """Return where the rows came from."""
        target = self._target[0]
        return Source(
            features=[name for column in self._features for name in column.names],
            target=[name for column in self._target for name in column.names],
            task="regression" if target.classes is None else "classification",
            classes=target.classes,
            class_names=target.words,
            origin={
                "kind": "import",
                "settings": self._settings.model_dump(mode="json"),
                "files": self._descriptions,
                "categories": {
                    column.name: column.words
                    for column in self._columns
                    if column.words is not None
                },
                "means": self._means_used(),
                "rows_read": self.rows_read,
                "rows_dropped": self.rows_dropped,
            },
        )

    def _batches(self) -> Iterator[tuple[Table, pa.RecordBatch, int]]:
        """Yield every table's batches, each with the number of its first row in the table."""
        names = [column.name for column in self._columns]
        for table in self._tables:
            start = 0
            for batch in table.batches(names):
                yield table, batch, start
                start += batch.num_rows

    def _survey_batch(self, table: Table, batch: pa.RecordBatch, start: int) -> None:
        contents = {}
        for column in self._columns:
            # The first problem of a column is told; it is not looked at any further.
            if column.name not in self._problems:
                try:
                    contents[column] = column.read(batch.column(column.name))
                except RefusedValueError as refusal:
                    self._note_problem(table, column, refusal, start)
        kept = self._kept_rows([missing for _, missing in contents.values()], batch.num_rows)
        self.rows_read += batch.num_rows
        self.rows_dropped += batch.num_rows - int(kept.sum())
        for column, (content, missing) in contents.items():
            self._count_missing(table, column, missing, start)
            try:
                column.learn(*_select(content, missing, kept))
            except RefusedValueError as refusal:
                self._note_problem(table, column, refusal, start)

    def _records(self) -> Iterator[np.ndarray]:
        """Yield the rows that are kept, as they are written."""
        dtype = self.dtype
        rows = max(1, _PIECE_BYTES // dtype.itemsize)
        for _, batch, _ in self._batches():
            for start in range(0, batch.num_rows, rows):
                try:
                    yield self._encode(batch.slice(start, rows), dtype)
                except RefusedValueError:
                    raise self._changed() from None

    def _encode(self, batch: pa.RecordBatch, dtype: np.dtype) -> np.ndarray:
        contents = {column: column.read(batch.column(column.name)) for column in self._columns}
        kept = self._kept_rows([missing for _, missing in contents.values()], batch.num_rows)
        records = np.empty(int(kept.sum()), dtype)
        for field, columns in (("features", self._features), ("target", self._target)):
            parts = [column.encode(*_select(*contents[column], kept)) for column in columns]
            np.concatenate(parts, axis=1, out=records[field])
        return records

    def _kept_rows(self, missing: Sequence[np.ndarray], rows: int) -> np.ndarray:
        kept = np.ones(rows, bool)
        if self._settings.missing == "drop":
            for part in missing:
                kept &= ~part.any(axis=1)
        return kept

    def _note_problem(
        self, table: Table, column: Column, refusal: RefusedValueError, start: int
    ) -> None:
        row = "" if refusal.row is None else f", row {start + refusal.row + 1:,}"
        where = f"{table.name}{row}, column '{column.name}'"
        self._problems[column.name] = f"{where}: {refusal.reason}"

    def _count_missing(self, table: Table, column: Column, missing: np.ndarray, start: int) -> None:
        if missing.any():
            row = start + int(missing.any(axis=1).argmax()) + 1
            self._missing[column.name] += int(missing.sum())
            self._first_missing.setdefault(column.name, f"{table.name}, row {row:,}")

    def _missing_problems(self) -> Iterator[str]:
        """Yield a problem for every column whose missing values may not be, or cannot be filled."""
        for column in self._columns:
            count = self._missing[column.name]
            if not count or self._settings.missing == "drop":
                continue
            found = (
                f"column '{column.name}' has missing values ({count:,}, the first in "
                f"{self._first_missing[column.name]})."
            )
            if self._settings.missing == "error":
                yield (
                    f"{found} Fill them in, or set `missing: drop` (to leave such rows out) or "
                    "`missing: mean` (to put the column's mean in their place)."
                )
            elif not column.takes_mean:
                what = "target" if column in self._target else "category"
                yield f"{found} A {what} has no mean; use `missing: drop`."
            else:
                yield from _mean_problems(column)

    def _means_used(self) -> dict[str, float]:
        if self._settings.missing != "mean":
            return {}
        used = [column for column in self._features if self._missing[column.name]]
        return {
            name: mean
            for column in used
            for name, mean in zip(column.names, column.means().tolist(), strict=True)
        }

    def _changed(self) -> UserError:
        return UserError(
            f"{self._settings.path}: the rows changed while they were imported; the second pass "
            "found others than the first. Run the import again when nothing writes to the files."
        )


def _select(
    content: np.ndarray | pa.Array, missing: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray | pa.Array, np.ndarray]:
    """Return the kept rows of what a column read."""
    if kept.all():
        return content, missing
    is_text = isinstance(content, pa.Array)
    return content.filter(pa.array(kept)) if is_text else content[kept], missing[kept]


def _feature_columns(settings: ImportSettings) -> list[Column]:
    return [
        CategoryColumn(name, _declared_dtype(settings, name, "features"))
        if name in settings.categories
        else NumberColumn(
            name, _declared_dtype(settings, name, "features"), settings.missing == "mean"
        )
        for name in settings.features
    ]


def _target_columns(settings: ImportSettings) -> list[Column]:
    names = settings.target
    dtypes = [_declared_dtype(settings, name, "target") for name in names]
    categories = [name for name in names if name in settings.categories]
    is_class = bool(categories) or np.result_type(*dtypes).kind in "iub"
    if not is_class:
        return [NumberColumn(name, dtype) for name, dtype in zip(names, dtypes, strict=True)]
    if len(names) > 1:
        raise UserError(
            f"target: found {listed(names)}; a category, or a target of an integer type, is a "
            "class, and a class is one column. Name one column, or give them the type float32."
        )
    return [_category_target(settings) if categories else ClassColumn(names[0], dtypes[0])]


def _category_target(settings: ImportSettings) -> CategoryTarget:
    name = settings.target[0]
    declared = settings.dtypes.get(name, settings.dtypes.get("target", "int64"))
    if declared != "int64":
        raise UserError(
            f"dtypes: found {declared} for the target '{name}'; it is a category, whose classes "
            "are int64. Remove its type."
        )
    return CategoryTarget(name, np.dtype(np.int64))


def _declared_dtype(settings: ImportSettings, name: str, group: str) -> np.dtype:
    return np.dtype(settings.dtypes.get(name, settings.dtypes.get(group, "float32")))


def _field(columns: list[Column]) -> tuple[str, int]:
    """Return the type and the width of the field that some columns make together."""
    dtype = np.result_type(*(column.dtype for column in columns))
    return dtype.newbyteorder("<").str, sum(len(column.names) for column in columns)


def _absent_columns(tables: list[Table], names: list[str]) -> Iterator[str]:
    """Yield a problem for every column that a table lacks, or has twice."""
    for name in names:
        lacking = [table for table in tables if table.columns.count(name) != 1]
        if not lacking:
            continue
        table = lacking[0]
        more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        if name in table.columns:
            yield f"{table.name}: the column '{name}' stands in it more than once. Rename one."
        else:
            yield (
                f"{table.name}{more}: there is no column '{name}'."
                f"{did_you_mean(name, table.columns)} The columns are {listed(table.columns)}."
            )


def _mean_problems(column: NumberColumn) -> Iterator[str]:
    try:
        column.means()
    except RefusedValueError as refusal:
        yield f"column '{column.name}': {refusal.reason}"


def _states(files: list[Path]) -> list[tuple[int, int] | None]:
    """Return what tells that a file was written to: its size and time, None where it is gone."""
    found = [file.stat() if file.exists() else None for file in files]
    return [status and (status.st_size, status.st_mtime_ns) for status in found]


def _describe_files(files: list[Path]) -> list[dict[str, Any]]:
    """Return the path, size and digest of every file."""
    described = []
    with Progress("hashing", sum(file.stat().st_size for file in files), "bytes") as progress:
        for file in files:
            digest = hashlib.sha256()
            with file.open("rb") as stream:
                while chunk := stream.read(_HASHED_BYTES):
                    digest.update(chunk)
                    progress.advance(len(chunk))
            described.append(
                {
                    "path": file.as_posix(),
                    "bytes": file.stat().st_size,
                    "sha256": digest.hexdigest(),
                }
            )
    return described
