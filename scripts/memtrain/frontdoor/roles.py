"""What each column of a table is proposed to be used for, and why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean, listed
from memtrain.data.tables.column_facts import MOST_VALUES, ColumnFacts, Value
from memtrain.data.tables.table import Table
from memtrain.frontdoor.column_order import different_values, has_missing, is_sorted

Use = Literal["number", "category", "date", "left out"]

#: Words by which columns of identifiers are called: customer_id, ID, userId, uuid.
_IDENTIFIER = re.compile(r"(^|_|-|\s)(id|ids|uuid|guid|identifier)$", re.IGNORECASE)
_CAMEL_IDENTIFIER = re.compile(r"[a-z](Id|ID)$")

#: Names of columns that had none, as pandas and spreadsheets write them.
_UNNAMED = re.compile(r"\s*|Unnamed: \d+")

#: Fewest values of a feature: of less, the training rows may have none.
_FEWEST_VALUES = 10

#: Fewest groups of rows that can be divided into trained, validated and evaluated ones.
_FEWEST_GROUPS = 10

#: Largest integers up to which float32 and float64 hold every one.
_LARGEST_EXACT, LARGEST_EXACT_DOUBLE = 2**24, 2**53

#: Largest integer that a column can hold, and the largest number that float32 can.
_LARGEST_INTEGER, _LARGEST_SINGLE = 2**63 - 1, 3.4e38

#: Largest numbers that can be standardized: squares of larger ones are no floats, or nearly so.
_LARGEST_SCALE = 1e150

#: Size of numbers below which float32 has fewer digits for many of them, or none.
_SMALL_SINGLE = 1e-30

#: Share of its largest value by which a column varies; where it is less, float32 is coarse.
_LEAST_SPREAD = 2.0**-12


@dataclass(frozen=True)
class Role:
    """What a column is used for.

    Attributes:
        facts: what stands in it.
        use: what it becomes.
        dtype: the type that it needs in the data file; None for the usual one, float32.
        why: why it is left out; "" for one that is used.
    """

    facts: ColumnFacts
    use: Use
    dtype: str | None = None
    why: str = ""

    @property
    def name(self) -> str:
        """The name of the column."""
        return self.facts.name


@dataclass(frozen=True)
class RowOrder:
    """How the rows hang together.

    Attributes:
        time: the column of dates by which the rows are sorted; None where there is none.
        group: the column of an identifier that several rows have in common; None for none.
        note: what to know about it; "" for nothing.
    """

    time: str | None = None
    group: str | None = None
    note: str = ""


def find_order(columns: Sequence[ColumnFacts], tables: Sequence[Table], target: str) -> RowOrder:
    """Return how the rows of a table hang together."""
    note = ""
    leading = columns[0]
    if leading.kind in ("date", "time") and leading.name != target and len(columns) > 1:
        if is_sorted(tables, leading.name):
            return RowOrder(time=leading.name)
        note = (
            f"the rows are not in the order of {leading.name}: sort the file by it, and run "
            "`memtrain init` again, to be evaluated on what comes last"
        )
    for column in columns:
        if column.name != target and is_identifier(column) and not column.missing:
            groups = column.values or different_values(tables, column.name)
            is_useful = _FEWEST_GROUPS <= groups <= column.rows // 2
            if is_useful and not has_missing(tables, column.name):
                return RowOrder(group=column.name, note=note)
    return RowOrder(note=note)


def is_identifier(column: ColumnFacts) -> bool:
    """Return whether a column is called as identifiers are."""
    is_called_so = _IDENTIFIER.search(column.name) or _CAMEL_IDENTIFIER.search(column.name)
    return bool(is_called_so) and column.kind in ("integer", "text") and not column.shape


def role_of(column: ColumnFacts) -> Role:
    """Return what a column that is not the target is used for."""
    if reason := _reason_against(column):
        return Role(column, "left out", why=reason)
    if column.kind == "text":
        return Role(column, "category")
    if column.kind in ("date", "time"):
        return _role_of_date(column)
    return Role(column, "number", number_type(column))


def _reason_against(column: ColumnFacts) -> str:
    """Return why a column is of no use as a feature; "" where it may be of use."""
    if is_missing_everywhere(column):
        return "all values are missing"
    if column.kind == "other":
        return f"no import takes the type {column.type}"
    if column.shape:
        return ""
    if column.rows - column.missing < _FEWEST_VALUES:
        return f"fewer than {_FEWEST_VALUES} values that are not missing"
    if column.values == 1 and not column.missing:
        return "the same in every row"
    if _UNNAMED.fullmatch(column.name):
        return "it has no name, as an index of rows that was written with the table"
    if is_identifier(column):
        return "an identifier by its name, which says nothing of rows to come"
    if column.kind == "text" and all(map(_is_ambiguous_date, column.examples)):
        return (
            "dates of which nobody can tell the day from the month; write them as 2010-02-01 "
            "or 01.02.2010"
        )
    if column.kind == "text" and column.values is None:
        return f"more than {MOST_VALUES:,} different words"
    if column.kind == "text" and (column.values or 0) > column.rows / 2:
        return "words that are different in most rows"
    if _counts_rows(column):
        return "counts the rows"
    if _is_infinite(column):
        return "infinite values, on which no model is trained"
    if largest(column) > _LARGEST_SCALE:
        return f"numbers beyond {_LARGEST_SCALE:g}, which nothing can standardize"
    is_too_large = column.kind == "integer" and largest(column) > _LARGEST_INTEGER
    return "integers of more than 64 bits" if is_too_large else ""


def _is_ambiguous_date(value: Value) -> bool:
    """Return whether a text is a date such as 01/02/2010: the second of January, or not."""
    return re.match(r"\s*\d{1,2}([/-])\d{1,2}\1(\d{4}|\d{2})\b", str(value)) is not None


def is_missing_everywhere(column: ColumnFacts) -> bool:
    """Return whether no row has a value; NaN is none."""
    return column.kind == "nothing" or column.missing == column.rows


def _counts_rows(column: ColumnFacts) -> bool:
    """Return whether a column of integers holds 0, 1, 2, ... or 1, 2, 3, ..., as an index does."""
    ends = (column.least, column.greatest)
    return (
        column.kind == "integer"
        and column.rows > 2
        and column.values in (None, column.rows)
        and ends in ((0, column.rows - 1), (1, column.rows))
        and str(column.first) == str(column.least)
    )


def _is_infinite(column: ColumnFacts) -> bool:
    ends = (column.least, column.greatest)
    return any(isinstance(end, float) and abs(end) == float("inf") for end in ends)


def largest(column: ColumnFacts) -> int | float:
    """Return the largest of the absolute numbers of a column."""
    return max((abs(end) for end in _ends(column)), default=0)


def _ends(column: ColumnFacts) -> list[int | float]:
    ends: tuple[Value, Value] = (column.least, column.greatest)
    return [end for end in ends if isinstance(end, int | float)]


def _role_of_date(column: ColumnFacts) -> Role:
    if column.missing:
        return Role(column, "left out", why="some dates are missing")
    if column.type != "text":
        is_clock = column.type.startswith(("time32", "time64", "duration"))
        return Role(column, "number" if is_clock else "date")
    text = str(column.least)
    if re.search(r"(Z|[+-]\d{2}:?\d{2})$", text) and len(text) > len("2024-01-31"):
        return Role(column, "left out", why="times with a zone, which no import reads from text")
    if "-" not in text:
        return Role(column, "left out", why="times of day, which no import reads from text")
    return Role(column, "date", "date" if column.kind == "date" else "timestamp")


def number_type(column: ColumnFacts) -> str | None:
    """Return the type that the numbers of a column need; None where float32 holds them well."""
    if column.shape:
        return None
    size = largest(column)
    if column.kind == "integer":
        if size > LARGEST_EXACT_DOUBLE:
            return "float64"
        return "int64" if size > _LARGEST_EXACT else None
    ends = _ends(column)
    is_narrow = len(ends) == 2 and 0 < ends[1] - ends[0] < _LEAST_SPREAD * size
    is_small = 0 < size < _SMALL_SINGLE
    return "float64" if is_narrow or is_small or size > _LARGEST_SINGLE else None


def find_target(columns: Sequence[ColumnFacts], name: str) -> ColumnFacts:
    """Return the column of the target.

    Raises:
        UserError: where there is no such column, or one that no model can learn.
    """
    names = [column.name for column in columns]
    if name not in names:
        raise UserError(
            f"--target: there is no column '{name}'.{did_you_mean(name, names)} The columns are "
            f"{listed(names)}."
        )
    target = columns[names.index(name)]
    if problem := _problem_of_target(target):
        raise UserError(f"--target: {problem}. Choose another column.")
    return target


def _problem_of_target(target: ColumnFacts) -> str:
    name = f"'{target.name}'"
    if is_missing_everywhere(target) or target.kind == "other":
        return f"{name} holds nothing that a model can learn: {_reason_against(target)}"
    if target.kind in ("date", "time"):
        return f"{name} holds dates, which no model learns to predict; a number of days would do"
    if target.values == 1:
        return f"{name} has the same value in every row, so that there is nothing to learn"
    if target.kind == "text" and (target.values is None or target.values > target.rows / 2):
        return f"{name} is text with too many different words for classes"
    if _is_infinite(target):
        return f"{name} holds infinite values, which no model can learn"
    if largest(target) > _LARGEST_SCALE:
        return f"{name} holds numbers beyond {_LARGEST_SCALE:g}; their logarithms would do"
    return ""
