"""Common spellings of dates that can be read in one way only, written as ISO 8601 writes them.

Days and months as numbers are told apart by their place: the year comes first, or dots stand
between them, which put the day first. 01/02/2010 and 01-02-2010 are written by some with the day
first and by others with the month, so that they are left as they are.
"""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

import re

import pyarrow as pa
from pyarrow import compute

_YEAR, _MONTH, _DAY = r"(?P<year>\d{4})", r"(?P<month>0?[1-9]|1[0-2])", r"(?P<day>\d{1,2})"
_NAME = r"(?P<month>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))[a-z]*\.?"
_CLOCK = r"(?P<clock>[T ]\d{2}:\d{2}.*)?"

#: Each spelling as a regular expression; the last ones name the month in English.
_SPELLINGS = (
    rf"^{_YEAR}/{_MONTH}/{_DAY}{_CLOCK}$",  # 2010/01/31
    rf"^{_YEAR}\.{_MONTH}\.{_DAY}{_CLOCK}$",  # 2010.01.31
    rf"^{_DAY}\.{_MONTH}\.{_YEAR}{_CLOCK}$",  # 31.01.2010
    rf"^{_DAY}[ -]{_NAME}[ -]{_YEAR}{_CLOCK}$",  # 31 Jan 2010, 31-Jan-2010
    rf"^{_NAME} {_DAY}, {_YEAR}{_CLOCK}$",  # January 31, 2010
)

#: Without anything between year, month and day: 20100131 might be a number as well.
_COMPACT = r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})" + _CLOCK + "$"

_ISO_8601 = r"^\d{4}-\d{2}-\d{2}"

#: Words by which columns of dates are called.
_CALLED_DATE = re.compile(r"date|datum|(^|[_\s-])(day|dt|ymd|yyyymmdd)($|[_\s-])", re.IGNORECASE)

_MONTHS = pa.array(
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
)


def iso_dates(text: pa.Array, *, is_compact: bool = False) -> pa.Array:
    """Return dates and times in ISO 8601, strings (rows,); what spells none stays as it is.

    Whether the calendar has the day is not checked.

    Args:
        text: text (rows,) without blanks around it; null where it is missing.
        is_compact: whether 20100131 is a date, too.
    """
    if compute.all(compute.match_substring_regex(text, _ISO_8601)).as_py() is not False:
        return text
    for pattern in (*_SPELLINGS, *([_COMPACT] if is_compact else [])):
        parts = compute.extract_regex(text, pattern)
        if parts.null_count < len(parts):
            year, month, day, clock = (
                compute.struct_field(parts, name) for name in ("year", "month", "day", "clock")
            )
            date = compute.binary_join_element_wise(year, _two_digits(month), _pad(day), "-")
            text = compute.coalesce(compute.binary_join_element_wise(date, clock, ""), text)
    return text


def _two_digits(month: pa.Array) -> pa.Array:
    """Return months by number, from their numbers or the beginnings of their names."""
    number = compute.index_in(compute.utf8_lower(month), value_set=_MONTHS)
    named = compute.cast(compute.add(number, 1), pa.string())
    return _pad(compute.coalesce(named, month))


def _pad(number: pa.Array) -> pa.Array:
    return compute.utf8_lpad(number, 2, "0")


def are_compact_dates(text: pa.Array) -> bool:
    """Return whether all text is of days of the calendar, from 1800 to 2199, such as 20240131."""
    if not compute.all(compute.match_substring_regex(text, r"^(1[89]|2[01])\d{6}$")).as_py():
        return False
    try:
        iso_dates(text, is_compact=True).cast(pa.date32())
    except pa.ArrowInvalid:
        return False
    return True


def is_called_date(name: str) -> bool:
    """Return whether a column is called as dates are: date, order_date, birthDate, day, Datum."""
    return _CALLED_DATE.search(name) is not None
