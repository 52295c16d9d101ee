"""Dates, times and durations of a table as seconds: of an instant, those since 1970.

An instant with a time zone counts in UTC; one without counts as it stands.
"""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

import pyarrow as pa
from pyarrow import compute

from memtrain.data.tables.date_spellings import iso_dates
from memtrain.data.tables.refused_value import RefusedValueError

#: Units of Arrow, in seconds: how many of them make one.
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

_SECONDS_OF_DAY = 86_400

#: Texts of a missing value, in lower case.
_MISSING = ("", "na", "n/a", "nan", "nat", "null", "none")

_EXAMPLES = {"date": "2024-01-31", "timestamp": "2024-01-31T10:30:00"}


def seconds_of_times(array: pa.Array) -> pa.Array:
    """Return dates, times of day, timestamps or durations in seconds, doubles (rows,).

    A double holds seconds since 1970 to less than a microsecond.

    Args:
        array: Arrow's date32, date64, time32, time64, timestamp or duration.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_date32(kind):
        days = array.cast(pa.int32()).cast(pa.float64())
        return compute.multiply(days, float(_SECONDS_OF_DAY))
    per_second = 1000 if pa.types.is_date64(kind) else _PER_SECOND[kind.unit]
    width = pa.int32() if pa.types.is_time32(kind) else pa.int64()
    count = array.cast(width).cast(pa.int64())
    # Whole seconds and the rest apart: a count of nanoseconds has more digits than a double.
    whole = compute.divide(count, per_second)
    rest = compute.subtract(count, compute.multiply(whole, per_second))
    fraction = compute.divide(rest.cast(pa.float64()), float(per_second))
    return compute.add(whole.cast(pa.float64(), safe=False), fraction)


def parse_times(text: pa.Array, kind: str) -> pa.Array:
    """Return dates or times that text spells (rows,), to the microsecond; null where it is missing.

    Args:
        text: "2024-01-31", "2024-01-31 10:30", "2024-01-31T10:30:00.5", "31.01.2024", "20240131"
            and the like (see ``iso_dates``), maybe with blanks around.
        kind: "date", which has no time of day, or "timestamp".

    Raises:
        RefusedValueError: for the first text that is no such date or time.
    """
    plain = compute.utf8_trim_whitespace(text)
    is_missing = compute.is_in(compute.utf8_lower(plain), value_set=pa.array(_MISSING))
    present = compute.if_else(is_missing, None, plain)
    as_type = pa.date32() if kind == "date" else pa.timestamp("us")
    try:
        return iso_dates(present, is_compact=True).cast(as_type)
    except pa.ArrowInvalid:
        row = next(row for row in range(len(present)) if not _is_time(present[row], as_type))
        raise RefusedValueError(
            f"{present[row].as_py()[:100]!r} is no {kind} as ISO 8601 writes it "
            f"({_EXAMPLES[kind]}), nor in another spelling that has one meaning (2024/01/31, "
            "31.01.2024, 20240131). Correct it, or save the column so, without a time zone.",
            row,
        ) from None


def _is_time(cell: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        iso_dates(pa.array([cell.as_py()], pa.string()), is_compact=True).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
