"""What stands in the columns of a table: asked before anybody decides how to import it.

All rows are read once. Memory holds a batch, and for each column at most as many different values
as are counted.
"""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from pyarrow import compute

from memtrain.config.dataset import TwoPaths
from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError
from memtrain.data.tables.cell_spelling import CellSpelling
from memtrain.data.tables.column_kinds import Kind, SpelledKind, is_text, kind_of_type
from memtrain.data.tables.date_spellings import is_called_date, iso_dates
from memtrain.data.tables.files import open_tables
from memtrain.data.tables.joined_tables import join_tables
from memtrain.data.tables.number_text import MISSING_NUMBERS
from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.data.tables.source_files import source_files
from memtrain.data.tables.table import Table
from memtrain.system.progress import Progress

#: Most different values that are counted exactly, unless another limit is given.
MOST_VALUES = 1000

#: Number of examples, and the most characters of one.
_EXAMPLES = 5
_LONGEST_EXAMPLE = 60

#: Number of spellings of a missing number that a column may have, beside its values.
_MOST_WORDS = 64

Value = str | int | float | bool | None


@dataclass(frozen=True)
class ColumnFacts:
    """What stands in a column.

    Attributes:
        name: its name.
        kind: what its values are: integer, number, boolean, date, time, text; nothing where all
            are missing; other for structs, lists of different lengths and the like. Cells of text
            files are all looked at: one word makes the column text. Integers such as 20240131 are
            dates where the column is called so.
        type: its type in the file; "text" in a text file.
        shape: shape of the values of one row, such as (12, 4); () for one value.
        rows: number of rows.
        missing: number of missing values; in a text file, empty cells and the words for missing
            values of the settings, and NA and the like where the others are no text.
        values: number of different values, as they are written, missing ones aside; None where
            there are more than were counted, and where a row has several values.
        least: the least number, date or time; None for other kinds. Dates and times of text files
            are written as in ISO 8601.
        greatest: the greatest one.
        first: the value of the first row; None where it is missing.
        examples: some of the different values, in the order in which they come.
    """

    name: str
    kind: Kind
    type: str
    shape: tuple[int, ...]
    rows: int
    missing: int
    values: int | None
    least: Value
    greatest: Value
    first: Value
    examples: tuple[Value, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON."""
        return asdict(self) | {"shape": list(self.shape), "examples": list(self.examples)}


def describe_columns(
    path: str | TwoPaths, csv: CsvSettings | None = None, most_values: int = MOST_VALUES
) -> list[ColumnFacts]:
    """Return what stands in every column of the tables of a path, in the order of the first table.

    Args:
        path: a file of any kind that is imported, a folder, a pattern, or two paths.
        csv: how text files are written; as usual unless given.
        most_values: most different values of a column that are counted exactly.

    Raises:
        UserError: where files cannot be read, or do not have the same columns.
    """
    tables = _open(path, csv or CsvSettings())
    names = _columns_of_all(tables)
    gatherers = [_Gatherer(name, tables[0], most_values) for name in names]
    with Progress("reading", None, "rows") as progress:
        for table in tables:
            for batch in table.batches(names):
                for gatherer in gatherers:
                    gatherer.add(batch.column(gatherer.name), table.spelling)
                progress.advance(batch.num_rows)
    return [gatherer.facts() for gatherer in gatherers]


def _open(path: str | TwoPaths, csv: CsvSettings) -> list[Table]:
    if not isinstance(path, TwoPaths):
        return open_tables(source_files(path), csv)
    sides = [open_tables(source_files(one), csv) for one in (path.features, path.target)]
    return join_tables(*sides)


def _columns_of_all(tables: Sequence[Table]) -> list[str]:
    """Return the columns of the first table, after a check that all have the same.

    Raises:
        UserError: for columns that a table has twice, has alone or lacks.
    """
    names = tables[0].columns
    problems = [
        f"{tables[0].name}: more than one column is called '{name}'. Rename one."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    problems += [
        f"{table.name}: its columns are others than those of {tables[0].name}: '{name}'. Describe "
        "the files apart."
        for table in tables[1:]
        for name in sorted(set(table.columns) ^ set(names))[:1]
    ]
    if problems:
        raise UserError(*problems)
    return names


class _Gatherer:
    """Gathers what stands in one column, batch by batch.

    Args:
        name: the name of the column.
        table: the first table.
        most_values: most different values that are counted.
    """

    def __init__(self, name: str, table: Table, most_values: int):
        self.name = name
        self._type = table.types[name]
        self._spelled = SpelledKind(table.spelling) if is_text(self._type) else None
        self._most_values = most_values
        self._rows = 0
        self._missing = 0
        self._seen: dict[Value, None] | None = {}
        self._examples: list[Value] = []
        self._first: Value = None
        self._ends: list[Value] = [None, None]

    def add(self, cells: pa.Array, spelling: CellSpelling) -> None:
        """Look at the cells of some more rows."""
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if self._rows == 0 and len(cells):
            self._first = _shown(cells[0])
        self._rows += len(cells)
        is_missing = cells.is_null(nan_is_null=True)
        self._missing += compute.sum(is_missing).as_py() or 0
        present = cells.filter(compute.invert(is_missing))
        if self._spelled is not None:
            self._spelled.add(present)
        self._count(present)
        if len(present):
            self._note_ends(present, spelling)

    def _count(self, present: pa.Array) -> None:
        if self._seen is None or not len(present):
            return
        try:
            found = present.unique()
        except pa.ArrowNotImplementedError:  # lists, structs
            found = present.slice(0, _EXAMPLES)
            self._note_examples(map(_shown, found))
            self._seen = None
            return
        self._note_examples(map(_shown, found.slice(0, _EXAMPLES)))
        if len(found) > self._most_values + _MOST_WORDS:
            self._seen = None
            return
        self._seen.update(dict.fromkeys(map(_whole, found)))
        if len(self._counted()) > self._most_values:
            self._seen = None

    def _note_examples(self, values: Iterator[Value]) -> None:
        for value in values:
            if value not in self._examples and len(self._examples) < _EXAMPLES:
                self._examples.append(value)

    def _counted(self) -> list[Value]:
        """Return the different values; words such as NA are none where the others are no text."""
        if self._spelled is None or self._kind in ("text", "other"):
            return list(self._seen or ())
        words = set(MISSING_NUMBERS.to_pylist())
        return [one for one in self._seen or () if str(one).strip().lower() not in words]

    def _note_ends(self, present: pa.Array, spelling: CellSpelling) -> None:
        """Note the least and the greatest number, date or time."""
        if self._kind not in ("integer", "number", "date", "time") or self.shape:
            return
        values = present if self._spelled is None else _parsed(present, self._kind, spelling)
        if values is None:
            return
        values = values.drop_null()
        if pa.types.is_decimal(values.type) or pa.types.is_float16(values.type):
            values = values.cast(pa.float64())
        ends = compute.min_max(values)
        for place, name, better in ((0, "min", min), (1, "max", max)):
            value, before = ends[name].as_py(), self._ends[place]
            if value is not None:
                shown = value if isinstance(value, int | float) else str(value)
                self._ends[place] = shown if before is None else better(before, shown)  # type: ignore

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values of one row."""
        shape: list[int] = []
        kind = self._type
        while pa.types.is_fixed_size_list(kind):
            shape.append(kind.list_size)
            kind = kind.value_type
        return tuple(shape)

    @property
    def _kind(self) -> Kind:
        return kind_of_type(self._type) if self._spelled is None else self._spelled.kind

    def facts(self) -> ColumnFacts:
        """Return what was gathered."""
        kind = self._kind
        has_ends = kind in ("integer", "number", "date", "time") and not self.shape
        missing, examples = self._missing, self._examples
        if self._spelled is not None and kind not in ("text", "other"):
            missing += self._spelled.words_for_missing
            words = set(MISSING_NUMBERS.to_pylist())
            examples = [one for one in examples if str(one).strip().lower() not in words]
        ends = self._ends
        if kind == "integer" and self._are_dates():
            text = pa.array(map(str, ends))
            kind, ends = "date", iso_dates(text, is_compact=True).to_pylist()
        return ColumnFacts(
            name=self.name,
            kind=kind,
            type="text" if pa.types.is_binary(self._type) else str(self._type),
            shape=self.shape,
            rows=self._rows,
            missing=missing,
            values=None if self._seen is None else len(self._counted()),
            least=ends[0] if has_ends else None,
            greatest=ends[1] if has_ends else None,
            first=self._first,
            examples=tuple(examples),
        )

    def _are_dates(self) -> bool:
        """Return whether the integers of a text file are dates by their name, such as 20240131."""
        is_possible = self._spelled is not None and self._spelled.may_be_dates
        return is_possible and is_called_date(self.name)


def _parsed(present: pa.Array, kind: Kind, spelling: CellSpelling) -> pa.Array | None:
    """Return the numbers, or the dates as text, that cells spell; None where some spell none."""
    try:
        text = compute.utf8_trim_whitespace(present.cast(pa.string()))
        is_word = compute.is_in(compute.utf8_lower(text), MISSING_NUMBERS)
        text = text.filter(compute.invert(is_word))
        if kind in ("date", "time"):
            return iso_dates(text)
        plain = spelling.plain(text.cast(pa.binary())).cast(pa.string())
        plain = compute.replace_substring_regex(plain, r"^\+", "")
        try:
            return plain.cast(pa.int64() if kind == "integer" else pa.float64())
        except pa.ArrowInvalid:
            return plain.cast(pa.float64())
    except (pa.ArrowInvalid, RefusedValueError):
        return None


def _whole(cell: pa.Scalar) -> Value:
    value = cell.as_py()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, bool | int | float | str) else repr(value)


def _shown(cell: pa.Scalar) -> Value:
    """Return a value for people: bytes as text, and long texts cut."""
    value = cell.as_py()
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _LONGEST_EXAMPLE else text[: _LONGEST_EXAMPLE - 3] + "..."
