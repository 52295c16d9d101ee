"""Turns the cells of one column, an Arrow array of any type, into numbers or words.

An integer that would lose digits is refused, and so is a value that does not fit the column's type.
"""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import compute

#: Spellings of a missing number in text files, in lower case.
MISSING_NUMBERS = pa.array(["", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"])

#: Every integer up to this size is exact as a double; larger ones may lose digits.
EXACT_DOUBLES = 2**53


class RefusedValueError(Exception):
    """A value that a column cannot take.

    Attributes:
        reason: the problem and its remedy, as text that can follow the name of the column.
        row: row of the value in the array; None where the whole column is meant.
    """

    def __init__(self, reason: str, row: int | None = None):
        super().__init__(reason)
        self.reason = reason
        self.row = row


@dataclass(frozen=True)
class NumberCells:
    """The cells of a column of numbers.

    Attributes:
        values: the numbers, in the column's type, (rows, width); 0 where one is missing.
        missing: which numbers are missing, booleans (rows, width).
    """

    values: np.ndarray
    missing: np.ndarray

    def select(self, kept: np.ndarray) -> "NumberCells":
        """Return the rows where ``kept``, booleans (rows,), is true."""
        return NumberCells(self.values[kept], self.missing[kept])


@dataclass(frozen=True)
class WordCells:
    """The cells of a column of words.

    Attributes:
        words: the words, an Arrow array of text (rows,); null where one is missing.
        missing: which words are missing, booleans (rows, 1).
    """

    words: pa.Array
    missing: np.ndarray

    def select(self, kept: np.ndarray) -> "WordCells":
        """Return the rows where ``kept``, booleans (rows,), is true."""
        return WordCells(self.words.filter(pa.array(kept)), self.missing[kept])

    def numbers(self, known_words: list[str]) -> np.ndarray:
        """Return the position of each row's word among the known words, integers (rows,).

        Raises:
            RefusedValueError: where a word is not among them.
        """
        numbers = compute.index_in(self.words, pa.array(known_words, pa.string()))
        if numbers.null_count:
            raise RefusedValueError("it has a word that it did not have before.")
        return to_numpy(numbers)


def read_numbers(array: pa.Array, dtype: np.dtype) -> NumberCells:
    """Return the numbers of an array.

    Args:
        array: numbers, booleans, text that spells them, or fixed-size lists of these.
        dtype: type that the numbers must fit; integers keep all of their digits.

    Raises:
        RefusedValueError: for the first value that is no number or does not fit.
    """
    if pa.types.is_fixed_size_list(array.type):
        return _read_lists(array, dtype)
    numbers = _as_numbers(array, dtype)
    missing = to_numpy(numbers.is_null(nan_is_null=True))
    values = to_numpy(numbers.fill_null(0) if numbers.null_count else numbers)
    if missing.any():
        values = np.where(missing, values.dtype.type(0), values)
    fitted, fits = fit(values, dtype)
    if not fits.all():
        row = int(np.argmin(fits))
        raise RefusedValueError(
            f"{values[row].item()!r} does not fit the type {dtype}. Correct it, or give the column "
            "another type under `dtypes`.",
            row,
        )
    return NumberCells(fitted[:, np.newaxis], missing[:, np.newaxis])


def read_words(array: pa.Array) -> WordCells:
    """Return the values of a category as text; an empty text is a missing word.

    Raises:
        RefusedValueError: where the values are neither text nor integers nor booleans.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise RefusedValueError(
            f"a category is of text or integers; this column is of the type {kind}. Remove it from "
            "`categories`, or save it as text."
        )
    text = as_text(array)
    words = compute.if_else(compute.equal(text, ""), None, text)
    return WordCells(words, to_numpy(words.is_null())[:, np.newaxis])


def fit(values: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers in another dtype, and booleans of the same shape: which of them fit it."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            fitted = values.astype(dtype)
        return fitted, np.isfinite(fitted) | ~np.isfinite(values)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    # high + 1 is a power of two, which a floating-point number represents exactly.
    fits = (values >= low) & (values < high + 1)
    if values.dtype.kind == "f":
        fits &= values == np.floor(values)
    return np.where(fits, values, 0).astype(dtype), fits


def _read_lists(array: pa.Array, dtype: np.dtype) -> NumberCells:
    width = array.type.list_size
    # `values` ignores that an array is a slice: it returns the values of the whole array.
    flat = array.values.slice(array.offset * width, len(array) * width)
    try:
        cells = read_numbers(flat, dtype)
    except RefusedValueError as refusal:
        row = None if refusal.row is None else refusal.row // width
        raise RefusedValueError(refusal.reason, row) from None
    missing_rows = to_numpy(array.is_null())[:, np.newaxis]
    return NumberCells(
        values=cells.values.reshape(-1, width),
        missing=cells.missing.reshape(-1, width) | missing_rows,
    )


def _as_numbers(array: pa.Array, dtype: np.dtype) -> pa.Array:
    """Return an array as integers or floating-point numbers."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return array
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return array.cast(pa.uint8())
    if pa.types.is_decimal(kind) or _is_text(kind):
        return _parse(as_text(array), dtype)
    advice = (
        "Save it as a number, of days or seconds for example."
        if pa.types.is_temporal(kind)
        else "Save it as numbers, or leave it out."
    )
    raise RefusedValueError(f"it is of the type {kind}, which is no number. {advice}")


def _parse(text: pa.Array, dtype: np.dtype) -> pa.Array:
    """Return the numbers that text spells; null where it spells a missing one."""
    exact = pa.float64() if dtype.kind == "f" else pa.int64()
    numbers = cast_or_none(text, exact)
    if numbers is not None:
        return numbers
    tidy = tidied(text)
    numbers = cast_or_none(tidy, exact)
    if numbers is not None:
        return numbers
    numbers = cast_or_none(tidy, pa.float64())
    if numbers is None:
        row = _first_row_without_number(tidy)
        raise RefusedValueError(
            f"found the text {text[row].as_py()[:100]!r} where a number is needed. Correct it, or "
            "name the column under `categories`.",
            row,
        )
    if exact != pa.float64():
        _refuse_rounded(text, numbers)
    return numbers


def tidied(text: pa.Array) -> pa.Array:
    """Return text with integers and booleans in plain digits, and null for a missing number."""
    trimmed = compute.utf8_trim_whitespace(text)
    lower = compute.utf8_lower(trimmed)
    tidy = compute.replace_substring_regex(trimmed, r"^\+?(-?\d+)(?:\.0*)?$", r"\1")
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


def _refuse_rounded(text: pa.Array, numbers: pa.Array) -> None:
    """Refuse integers too large to be exact in a column that was parsed as doubles."""
    rounded = compute.greater_equal(compute.abs(numbers), EXACT_DOUBLES).index(True).as_py()
    if rounded >= 0:
        raise RefusedValueError(
            f"{text[rounded].as_py()} would lose digits, as other cells hold a fraction or an "
            "exponent (1.5 or 1e3). Write all integers of the column in digits alone.",
            rounded,
        )


def _is_text(kind: pa.DataType) -> bool:
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def as_text(array: pa.Array) -> pa.Array:
    """Return text, or values that text can spell, as text.

    Raises:
        RefusedValueError: where there is no text for them.
    """
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        raise RefusedValueError("its text is not UTF-8. Save it as UTF-8.") from None


def to_numpy(array: pa.Array) -> np.ndarray:
    """Return an array without nulls, or of a floating type, as NumPy's."""
    return array.to_numpy(zero_copy_only=False)
