"""What a column holds: integers, numbers, text, truth values, dates, times.

A column of a typed file holds what its type says. A column of a text file holds what all of its
cells spell, wherever in the file they stand.
"""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa
from pyarrow import compute

from memtrain.data.tables.cell_spelling import CellSpelling
from memtrain.data.tables.date_spellings import are_compact_dates, iso_dates
from memtrain.data.tables.number_text import MISSING_NUMBERS
from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.data.tables.table import Table

Kind = Literal["integer", "number", "boolean", "date", "time", "text", "nothing", "other"]

_CLOCK = r"\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
_DATE = r"\d{4}-\d{2}-\d{2}"

#: What the cells of each kind look like, without spaces around them; the narrower kinds first.
_SPELLINGS: dict[Kind, str] = {
    "boolean": r"^(?i:true|false)$",
    "integer": r"^[+-]?\d+$",
    "number": r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$",
    "date": rf"^{_DATE}$",
    "time": rf"^({_DATE}([T ]{_CLOCK}(Z|[+-]\d{{2}}:?\d{{2}})?)?|{_CLOCK})$",
}


def kind_of_type(kind: pa.DataType) -> Kind:
    """Return what a column of a type holds; of lists, what each of their values is."""
    if pa.types.is_dictionary(kind):
        return kind_of_type(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return kind_of_type(kind.value_type)
    tests: list[tuple[bool, Kind]] = [
        (pa.types.is_integer(kind), "integer"),
        (pa.types.is_floating(kind) or pa.types.is_decimal(kind), "number"),
        (pa.types.is_boolean(kind), "boolean"),
        (pa.types.is_date(kind), "date"),
        (pa.types.is_temporal(kind), "time"),
        (is_text(kind), "text"),
        (pa.types.is_null(kind), "nothing"),
    ]
    for is_kind, name in tests:
        if is_kind:
            return name
    return "other"


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is one of text, or of bytes that may be text."""
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


class SpelledKind:
    """Finds out what the cells of a column of text spell, from all of them.

    Args:
        spelling: how the file spells numbers.
    """

    def __init__(self, spelling: CellSpelling):
        self._spelling = spelling
        self._left: list[Kind] = list(_SPELLINGS)
        self._has_cells = False
        #: Number of cells such as NA, which are missing in all columns but those of text.
        self.words_for_missing = 0
        #: Whether all cells are integers like 20240131, which may be dates.
        self.may_be_dates = True

    @property
    def kind(self) -> Kind:
        """What all cells up to here spell; missing ones aside."""
        if not self._has_cells:
            return "nothing"
        return self._left[0] if self._left else "text"

    def add(self, cells: pa.Array) -> None:
        """Look at some more cells: text or bytes, null where one is missing."""
        present = cells.drop_null()
        try:
            text = compute.utf8_trim_whitespace(present.cast(pa.string()))
        except pa.ArrowInvalid:
            self._has_cells, self._left = True, []
            return
        is_word = compute.is_in(compute.utf8_lower(text), MISSING_NUMBERS)
        self.words_for_missing += compute.sum(is_word).as_py() or 0
        text = text.filter(compute.invert(is_word))
        self._has_cells |= len(text) > 0
        if self._left and len(text):
            self._left = [kind for kind in self._left if self._is_all(text, kind)]
            self.may_be_dates = self.may_be_dates and are_compact_dates(text)

    def _is_all(self, text: pa.Array, kind: Kind) -> bool:
        if kind in ("integer", "number"):
            try:
                text = self._spelling.plain(text.cast(pa.binary()))
            except RefusedValueError:
                return False
            text = text.cast(pa.string())
        elif kind in ("date", "time"):
            text = iso_dates(text)
        return bool(compute.all(compute.match_substring_regex(text, _SPELLINGS[kind])).as_py())


def kinds_of_text(tables: Sequence[Table]) -> Mapping[str, Kind]:
    """Return what the columns of text files hold, by their names; the files are read for it.

    Args:
        tables: tables of any kind; those that have types of their own are not read.
    """
    found: dict[str, SpelledKind] = {}
    for table in tables:
        names = [
            name
            for name, kind in table.types.items()
            if pa.types.is_binary(kind) and table.columns.count(name) == 1
        ]
        if names:
            for batch in table.batches(names):
                for name in names:
                    column = found.setdefault(name, SpelledKind(table.spelling))
                    column.add(batch.column(name))
    return {name: column.kind for name, column in found.items()}
