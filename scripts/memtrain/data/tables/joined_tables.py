"""Features and target in two files: their rows are put side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.data.tables.cell_spelling import PLAIN
from memtrain.data.tables.table import Table


def join_tables(features: Sequence[Table], target: Sequence[Table]) -> list[Table]:
    """Return tables whose rows have the features and the target side by side.

    As many files of features as of the target belong together one by one; other numbers of files
    are laid end to end.

    Args:
        features: the tables of the features.
        target: the tables of the target.
    """
    if len(features) == len(target):
        pairs = zip(features, target, strict=True)
        return [_joined(_Side.of([one]), _Side.of([other])) for one, other in pairs]
    return [_joined(_Side.of(features), _Side.of(target))]


@dataclass(frozen=True)
class _Side:
    """The tables of the features, or those of the target, laid end to end.

    Attributes:
        tables: the tables.
        names: the columns of the first one, by the names that they have in rows side by side.
    """

    tables: Sequence[Table]
    names: Mapping[str, str]

    @classmethod
    def of(cls, tables: Sequence[Table]) -> "_Side":
        return cls(tables, {name: name for name in tables[0].columns})

    @property
    def name(self) -> str:
        more = len(self.tables) - 1
        return self.tables[0].name + (f" and {counted(more, 'file')} more" if more else "")

    def beside(self, other: "_Side") -> "_Side":
        """Return this side with "target:" before the names that the other one has, too."""
        names = {(f"target:{name}" if name in other.names else name): name for name in self.names}
        return _Side(self.tables, names)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all tables, with some columns under their names side by side."""
        own = [self.names[name] for name in columns]
        for table in self.tables:
            for name in own:
                if table.columns.count(name) != 1:
                    count = "more than one" if name in table.columns else "no"
                    raise UserError(
                        f"{table.name}: there is {count} column '{name}', which "
                        f"{self.tables[0].name} has."
                    )
            for batch in table.batches(own):
                yield pa.RecordBatch.from_arrays(
                    [batch.column(name) for name in own], names=list(columns)
                )

    def place_of(self, row: int, column: str) -> str:
        """Return where a row stands, for messages."""
        for table in self.tables:
            own = self.names[column]
            if table is self.tables[-1]:
                return table.place_of(row, own)
            rows = sum(batch.num_rows for batch in table.batches([own]))
            if row < rows:
                return table.place_of(row, own)
            row -= rows
        raise AssertionError("a side has a table")


def _joined(features: _Side, target: _Side) -> Table:
    target = target.beside(features)
    name = f"{features.name} beside {target.name}"

    def read(columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from _side_by_side(features, target, columns)

    def place(row: int, column: str | None) -> str:
        side = target if column in target.names else features
        return side.place_of(row, column or next(iter(side.names)))

    types = {
        name: side.tables[0].types[own]
        for side in (features, target)
        for name, own in side.names.items()
    }
    spellings = [side.tables[0].spelling for side in (features, target)]
    return Table(
        name=name,
        columns=[
            *_with_duplicates(features),
            *_with_duplicates(target),
        ],
        types=types,
        read=read,
        place=place,
        spelling=next((one for one in spellings if one != PLAIN), PLAIN),
        hint=features.tables[0].hint or target.tables[0].hint,
        sides={
            field: {own: name for name, own in side.names.items()}
            for field, side in (("features", features), ("target", target))
        },
    )


def _with_duplicates(side: _Side) -> list[str]:
    """Return the names of all columns of a side, twice where its file has one twice."""
    name_of = {own: name for name, own in side.names.items()}
    return [name_of[own] for own in side.tables[0].columns]


def _side_by_side(
    features: _Side, target: _Side, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of both sides with some columns.

    Raises:
        UserError: where one side has more rows than the other.
    """
    chosen = [[name for name in columns if name in side.names] for side in (features, target)]
    if not all(chosen):
        side = features if chosen[0] else target
        yield from side.batches(columns)
        return
    readers = [
        _Reader(side.batches(names)) for side, names in zip((features, target), chosen, strict=True)
    ]
    while all(reader.has_rows() for reader in readers):
        rows = min(reader.batch.num_rows for reader in readers)
        parts = [reader.take(rows) for reader in readers]
        arrays = {name: part.column(name) for part in parts for name in part.schema.names}
        yield pa.RecordBatch.from_pydict({name: arrays[name] for name in columns})
    counts = [reader.count_all() for reader in readers]
    if counts[0] != counts[1]:
        raise UserError(
            f"{features.name} has {counts[0]:,} rows, and {target.name} has {counts[1]:,}. Row for "
            "row, features and target belong together: import files with the same rows."
        )


class _Reader:
    """Reads the batches of a side in pieces."""

    def __init__(self, batches: Iterator[pa.RecordBatch]):
        self._batches = batches
        self._rows = 0
        self.batch = pa.RecordBatch.from_pydict({})

    def has_rows(self) -> bool:
        """Return whether more rows follow; they are in ``batch``."""
        while not self.batch.num_rows:
            following = next(self._batches, None)
            if following is None:
                return False
            self.batch = following
            self._rows += following.num_rows
        return True

    def take(self, rows: int) -> pa.RecordBatch:
        """Return the next rows of ``batch``."""
        taken, self.batch = self.batch.slice(0, rows), self.batch.slice(rows)
        return taken

    def count_all(self) -> int:
        """Read to the end, and return the number of rows."""
        return self._rows + sum(batch.num_rows for batch in self._batches)
