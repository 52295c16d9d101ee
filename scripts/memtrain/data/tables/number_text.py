"""Reads numbers that text spells, exactly, or refuses the first text that spells none."""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

import re

import numpy as np
import pyarrow as pa
from pyarrow import compute

from memtrain.data.tables.refused_value import RefusedValueError

#: Spellings of a missing number in text files, in lower case.
MISSING_NUMBERS = pa.array(["", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"])

#: Every integer up to this size is exact as a double; larger ones may lose digits.
EXACT_DOUBLES = 2**53

#: An integer that is spelled by its digits, after ``tidied``.
_DIGITS = r"^-?\d+$"
_INFINITY = r"^[+-]?(?i:inf|infinity)$"


def parse_numbers(text: pa.Array, dtype: np.dtype) -> pa.Array:
    """Return the numbers that text spells; null where it spells a missing one.

    Args:
        text: the text of each cell.
        dtype: type that the numbers are for: integers are read as such where all cells are some.

    Raises:
        RefusedValueError: for the first text that spells no number, a number beyond all doubles, or
            an integer that would lose digits.
    """
    exact = pa.float64() if dtype.kind == "f" else pa.int64()
    numbers = cast_or_none(text, exact)
    tidy = text
    if numbers is None:
        tidy = tidied(text)
        numbers = cast_or_none(tidy, exact)
    if numbers is None:
        numbers = cast_or_none(tidy, pa.float64())
    if numbers is None:
        row = _first_row_without_number(tidy)
        raise _no_number(text, row)
    if pa.types.is_integer(numbers.type):
        _refuse_hexadecimal(text)
        return numbers
    _refuse_overflow(tidy, numbers)
    if exact != pa.float64():
        _refuse_lost_digits(tidy, numbers, dtype)
    return numbers


def first_rounded_integer(text: pa.Array, fitted: np.ndarray) -> int | None:
    """Return the first row whose text spells an integer in digits and whose number is another one.

    Args:
        text: the text of each cell.
        fitted: its numbers, floating-point (rows,).
    """
    # Smaller integers are exact in every floating-point type.
    large = np.abs(fitted) >= 2 ** (np.finfo(fitted.dtype).nmant + 1)
    if not large.any():
        return None
    tidy = tidied(text)
    is_integer = compute.match_substring_regex(tidy, _DIGITS).fill_null(False)
    for row in np.flatnonzero(large & is_integer.to_numpy(zero_copy_only=False)):
        if not np.isfinite(fitted[row]) or int(tidy[int(row)].as_py()) != int(fitted[row]):
            return int(row)
    return None


def tidied(text: pa.Array) -> pa.Array:
    """Return text with integers and booleans in plain digits, and null for a missing number."""
    trimmed = compute.utf8_trim_whitespace(text)
    lower = compute.utf8_lower(trimmed)
    tidy = compute.replace_substring_regex(trimmed, r"^\+([\d.])", r"\1")
    tidy = compute.replace_substring_regex(tidy, r"^(-?\d+)\.0*$", r"\1")
    for word, number in (("true", "1"), ("false", "0")):
        tidy = compute.if_else(compute.equal(lower, word), number, tidy)
    return compute.if_else(compute.is_in(lower, MISSING_NUMBERS), None, tidy)


def cast_or_none(text: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Return text as numbers; None where a cell spells no number."""
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        return None


def _first_row_without_number(text: pa.Array) -> int:
    """Return the first row whose text spells no number, by bisection; there is at least one."""
    start, end = 0, len(text)
    while end - start > 1:
        middle = (start + end) // 2
        if cast_or_none(text[start:middle], pa.float64()) is None:
            end = middle
        else:
            start = middle
    return start


def _no_number(text: pa.Array, row: int) -> RefusedValueError:
    found = text[row].as_py()[:100]
    advice = "Correct it, or name the column under `categories`."
    for decimal, thousands in ((",", "."), (".", ","), (".", " "), (".", "'")):
        if re.fullmatch(_grouped(decimal, thousands), found.strip()):
            advice = f'Set `csv: {{thousands: "{thousands}"}}` if these are digits in groups.'
            if decimal == ",":
                advice = 'Set `csv: {decimal: ",", thousands: "."}` if this is its decimal sign.'
    if re.fullmatch(r"[+-]?\d*,\d+", found.strip()):
        advice = 'Set `csv: {decimal: ","}` if the comma is the decimal sign of the file.'
    return RefusedValueError(
        f"found the text {found!r} where a number is needed. {advice}",
        row,
    )


def _grouped(decimal: str, thousands: str) -> str:
    sign, point = re.escape(thousands), re.escape(decimal)
    return rf"[+-]?\d{{1,3}}(?:{sign}\d{{3}})+(?:{point}\d+)?"


def _refuse_hexadecimal(text: pa.Array) -> None:
    """Refuse what Arrow takes for an integer and nobody else for a number: 0x1F."""
    row = compute.match_substring(text, "x", ignore_case=True).index(True).as_py()
    if row >= 0:
        raise _no_number(text, row)


def _refuse_overflow(text: pa.Array, numbers: pa.Array) -> None:
    """Refuse a finite number that no double holds, which Arrow reads as infinite."""
    is_infinite = compute.is_inf(numbers)
    if is_infinite.index(True).as_py() < 0:
        return
    is_spelled = compute.match_substring_regex(text, _INFINITY)
    row = compute.and_not(is_infinite, is_spelled).index(True).as_py()
    if row >= 0:
        raise RefusedValueError(
            f"{text[row].as_py()[:100]} is beyond all numbers that a computer's floating-point "
            "types hold (1.8e308). Correct it.",
            row,
        )


def _refuse_lost_digits(text: pa.Array, numbers: pa.Array, dtype: np.dtype) -> None:
    """Refuse integers too large to be exact in a column that was parsed as doubles."""
    values = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    large = np.flatnonzero((np.abs(values) >= EXACT_DOUBLES) & np.isfinite(values))
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    spelled = {int(row): text[int(row)].as_py() for row in large}
    digits = {row: int(word) for row, word in spelled.items() if word.lstrip("-").isdecimal()}
    for row, integer in digits.items():
        if not low <= integer <= high:
            raise RefusedValueError(
                f"{spelled[row][:100]} does not fit the type {dtype}. Correct it, or give the "
                "column another type under `dtypes`.",
                row,
            )
    for row, integer in digits.items():
        if integer != int(values[row]):
            raise RefusedValueError(
                f"{spelled[row]} would lose digits, as other cells hold a fraction or an exponent "
                "(1.5 or 1e3). Write all integers of the column in digits alone.",
                row,
            )
