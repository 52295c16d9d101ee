"""Turns the cells of one column, an Arrow array of any type, into numbers or words.

An integer that would lose digits is refused, and so is a value that does not fit the column's type.
"""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import compute

from memtrain.data.tables.column_kinds import is_text
from memtrain.data.tables.number_text import first_rounded_integer, parse_numbers
from memtrain.data.tables.refused_value import RefusedValueError


@dataclass(frozen=True)
class NumberCells:
    """The cells of a column of numbers.

    Attributes:
        values: the numbers, in the column's type, (rows, width); 0 where one is missing.
        missing: which numbers are missing, booleans (rows, width).
        shape: shape of the numbers of one row; () for a single number.
        rounded_from: the numbers in double precision, where the column's type is a smaller one that
            rounded some of them, (rows, width); None elsewhere.
    """

    values: np.ndarray
    missing: np.ndarray
    shape: tuple[int, ...] = ()
    rounded_from: np.ndarray | None = None

    def select(self, kept: np.ndarray) -> "NumberCells":
        """Return the rows where ``kept``, booleans (rows,), is true."""
        doubles = None if self.rounded_from is None else self.rounded_from[kept]
        return NumberCells(self.values[kept], self.missing[kept], self.shape, doubles)


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


def read_numbers(array: pa.Array, dtype: np.dtype, rounds: bool = False) -> NumberCells:
    """Return the numbers of an array.

    Args:
        array: numbers, booleans, text that spells them, or fixed-size lists of these or of lists.
        dtype: type that the numbers must fit.
        rounds: whether an integer may lose digits; if not, it is refused.

    Raises:
        RefusedValueError: for the first value that is no number or does not fit.
    """
    if pa.types.is_fixed_size_list(array.type):
        return _read_lists(array, dtype, rounds)
    text = _text_of_numbers(array)
    numbers = _as_numbers(array) if text is None else parse_numbers(text, dtype)
    missing = to_numpy(numbers.is_null(nan_is_null=True))
    values = to_numpy(numbers.fill_null(0) if numbers.null_count else numbers)
    if missing.any():
        values = np.where(missing, values.dtype.type(0), values)
    fitted, fits = fit(values, dtype)
    if not fits.all():
        row = int(np.argmin(fits))
        raise RefusedValueError(
            f"{_shown(values, text, row)} does not fit the type {dtype}. Correct it, or give the "
            "column another type under `dtypes`.",
            row,
        )
    if dtype.kind == "f" and not rounds:
        _refuse_rounded(values, fitted, text)
    is_rounded = dtype.kind == "f" and bool((fitted != values).any())
    return NumberCells(
        values=fitted[:, np.newaxis],
        missing=missing[:, np.newaxis],
        rounded_from=values.astype(np.float64)[:, np.newaxis] if is_rounded else None,
    )


def refuse_rounded_beside(values: np.ndarray, stored: np.dtype) -> None:
    """Refuse the first integer that the common type of a field does not hold exactly.

    Args:
        values: integers of one column of the field, (rows, width).
        stored: the type in which all columns of the field are written.

    Raises:
        RefusedValueError: for the first row with such an integer.
    """
    flat = values.reshape(-1)
    place = _first_changed_integer(flat, flat.astype(stored))
    if place is not None:
        raise RefusedValueError(
            f"the integer {flat[place]} would become {int(flat[place].astype(stored))}, as it is "
            f"written beside columns of floating types, as {stored}. Give all of them an integer "
            "type, or set `inexact: round`.",
            place // values.shape[1],
        )


def _refuse_rounded(values: np.ndarray, fitted: np.ndarray, text: pa.Array | None) -> None:
    """Refuse the first integer that a floating-point type does not hold exactly.

    Args:
        values: the numbers as they were read, (rows,).
        fitted: the same in the column's type.
        text: the text that spelled them; None where they were numbers.
    """
    row = (
        first_rounded_integer(text, fitted)
        if text is not None
        else _first_changed_integer(values, fitted)
    )
    if row is not None:
        raise RefusedValueError(
            f"the integer {_shown(values, text, row)} would become {int(fitted[row])} as "
            f"{fitted.dtype}. Give the column a type that holds it under `dtypes` (int64, or "
            "float64 up to 2^53), name it under `categories`, or set `inexact: round` if the last "
            "digits do not matter.",
            row,
        )


def _shown(values: np.ndarray, text: pa.Array | None, row: int) -> str:
    return repr(values[row].item()) if text is None else text[row].as_py().strip()[:100]


def _first_changed_integer(values: np.ndarray, fitted: np.ndarray) -> int | None:
    if values.dtype.kind not in "iu":
        return None
    with np.errstate(invalid="ignore"):
        changed = fitted.astype(values.dtype) != values
    # Beyond the largest integer, the cast back may give anything.
    changed |= fitted.astype(np.float64) >= 2.0 ** (
        8 * values.dtype.itemsize - (values.dtype.kind == "i")
    )
    return int(changed.argmax()) if changed.any() else None


def read_words(array: pa.Array) -> WordCells:
    """Return the values of a category as text; an empty text is a missing word.

    Raises:
        RefusedValueError: where the values are neither text nor integers nor booleans.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
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


def _read_lists(array: pa.Array, dtype: np.dtype, rounds: bool) -> NumberCells:
    width = array.type.list_size
    if not width:
        raise RefusedValueError("its lists hold no value. Leave it out.")
    # `values` ignores that an array is a slice: it returns the values of the whole array.
    flat = array.values.slice(array.offset * width, len(array) * width)
    try:
        cells = read_numbers(flat, dtype, rounds)
    except RefusedValueError as refusal:
        row = None if refusal.row is None else refusal.row // width
        raise RefusedValueError(refusal.reason, row) from None
    missing_rows = to_numpy(array.is_null())[:, np.newaxis]
    doubles = cells.rounded_from
    return NumberCells(
        values=cells.values.reshape(len(array), -1),
        missing=cells.missing.reshape(len(array), -1) | missing_rows,
        shape=(width, *cells.shape),
        rounded_from=None if doubles is None else doubles.reshape(len(array), -1),
    )


def _text_of_numbers(array: pa.Array) -> pa.Array | None:
    """Return numbers that are spelled as text, as text; None for numbers of another kind."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    is_spelled = pa.types.is_decimal(array.type) or is_text(array.type)
    return as_text(array) if is_spelled else None


def _as_numbers(array: pa.Array) -> pa.Array:
    """Return an array as integers or floating-point numbers."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return array
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return array.cast(pa.uint8())
    advice = (
        "Save it as a number, of days or seconds for example."
        if pa.types.is_temporal(kind)
        else "Save it as a list of a fixed size, such as pa.list_(pa.float32(), 12)."
        if _is_list(kind)
        else "Save it as numbers, or leave it out."
    )
    raise RefusedValueError(f"it is of the type {kind}, which is no number. {advice}")


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def as_text(array: pa.Array) -> pa.Array:
    """Return text, or values that text can spell, as text.

    Raises:
        RefusedValueError: where there is no text for them.
    """
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        row = next(row for row, text in enumerate(array.to_pylist()) if not _is_utf8(text))
        raise RefusedValueError(
            f"its text {array[row].as_py()[:100]!r} has bytes that are no letters. Name the "
            "encoding of the file, such as `csv: {encoding: cp1252}` or latin-1 (UTF-8 unless "
            "given), or save it as UTF-8.",
            row,
        ) from None


def _is_utf8(text: bytes | str | None) -> bool:
    try:
        return not isinstance(text, bytes) or bool(text.decode() or True)
    except UnicodeDecodeError:
        return False


def to_numpy(array: pa.Array) -> np.ndarray:
    """Return an array without nulls, or of a floating type, as NumPy's."""
    return array.to_numpy(zero_copy_only=False)
