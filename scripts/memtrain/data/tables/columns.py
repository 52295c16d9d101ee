"""One column on its way: an Arrow array comes in, numbers of the column's type go out.

A column is read twice. The first time it learns what must be known before a row can be written: the
words of a category, the means that stand in for missing numbers, the number of classes.
"""

import numpy as np
import pyarrow as pa
from pyarrow import compute

from memtrain.data.field_statistics import FieldStatistics

#: A category of more words than this is taken for a mistake: each would be a column, or a class.
MOST_WORDS = 10_000

#: How text files spell a missing number, in lower case.
_MISSING_NUMBERS = pa.array(["", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"])

#: From here on, not every integer is a double.
_EXACT_DOUBLES = 2**53


class RefusedValueError(Exception):
    """A value that a column cannot take.

    Attributes:
        reason: what it is and what to do, to stand behind the name of the column.
        row: of the array; None where all of the column is meant.
    """

    def __init__(self, reason: str, row: int | None = None):
        super().__init__(reason)
        self.reason, self.row = reason, row


def read_numbers(array: pa.Array, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of an array and which of them are missing.

    Args:
        array: of numbers, booleans, text that spells them, or lists of ``width`` of them.
        dtype: what the values must fit; integers keep all of their digits.

    Returns:
        The values in the dtype (0 where missing) and booleans, both of shape (rows, width).

    Raises:
        RefusedValueError: for the first value that is no number or does not fit.
    """
    if pa.types.is_fixed_size_list(array.type):
        return _read_lists(array, dtype)
    numbers = _as_numbers(array, dtype)
    missing = _to_numpy(numbers.is_null(nan_is_null=True))
    values = _to_numpy(numbers.fill_null(0) if numbers.null_count else numbers)
    if missing.any():
        values = np.where(missing, values.dtype.type(0), values)
    fitted, fits = _fit(values, dtype)
    if not fits.all():
        row = int(np.argmin(fits))
        raise RefusedValueError(
            f"{values[row].item()!r} does not fit the type {dtype}. Correct it, or give the column "
            "another type under `dtypes`.",
            row,
        )
    return fitted[:, np.newaxis], missing[:, np.newaxis]


def read_words(array: pa.Array) -> pa.Array:
    """Return the values of a category as text; null where one is missing or empty."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise RefusedValueError(
            f"a category is of text or integers; this column is of the type {kind}. Remove it from "
            "`categories`, or save it as text."
        )
    words = _as_text(array)
    return compute.if_else(compute.equal(words, ""), None, words)


class Column:
    """A column of the tables, and what the first pass over them finds out about it.

    Args:
        name: of the column in the tables.
        dtype: of its values as they are written.

    Attributes:
        takes_mean: whether a mean can stand in for a missing value.
        words: of a category, sorted; None for numbers.
        classes: the number of classes; None for all but the target of a classification.
    """

    takes_mean = False
    words: list[str] | None = None
    classes: int | None = None

    def __init__(self, name: str, dtype: np.dtype):
        self.name, self.dtype = name, dtype

    @property
    def names(self) -> list[str]:
        """What the columns are called that this one becomes."""
        return [self.name]


class NumberColumn(Column):
    """A column of numbers, or a block of several numbers a row."""

    def __init__(self, name: str, dtype: np.dtype, takes_mean: bool = False):
        super().__init__(name, dtype)
        self.takes_mean = takes_mean
        self._width: int | None = None
        self._statistics: FieldStatistics | None = None

    @property
    def names(self) -> list[str]:
        """The name, and of a block also the position of each number."""
        if self._width in (None, 1):
            return [self.name]
        return [f"{self.name}[{position}]" for position in range(self._width)]

    def read(self, array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Return values and booleans, what is missing, both of shape (rows, width)."""
        values, missing = read_numbers(array, self.dtype)
        width = values.shape[1]
        self._width = self._width or width
        if width != self._width:
            raise RefusedValueError(
                f"rows of {width} numbers follow rows of {self._width}. Import them apart."
            )
        return values, missing

    def learn(self, values: np.ndarray, missing: np.ndarray) -> None:
        """Take rows that are kept into account."""
        if self.takes_mean:
            found = FieldStatistics.of(np.where(missing, np.nan, values.astype(np.float64)))
            self._statistics = self._statistics.merge(found) if self._statistics else found

    def means(self) -> np.ndarray:
        """Return the mean of the values that are there, in the column's type, (width,).

        Raises:
            RefusedValueError: where there are none, or their mean does not fit the type.
        """
        if not self._statistics.count.all():
            raise RefusedValueError("there is no value to take the mean of. Leave the column out.")
        fitted, fits = _fit(self._statistics.mean, self.dtype)
        if not fits.all():
            mean = self._statistics.mean[np.argmin(fits)]
            raise RefusedValueError(
                f"its mean, {mean}, does not fit the type {self.dtype}. Give the column a floating "
                "type under `dtypes`, or set `missing: drop`."
            )
        return fitted

    def encode(self, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """Return rows as they are written, (rows, width): with means where values are missing."""
        return np.where(missing, self.means(), values) if missing.any() else values


class ClassColumn(NumberColumn):
    """A target that is the number of a class."""

    classes = 0

    def read(self, array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Do as ``NumberColumn`` does, and refuse what is not the number of a class."""
        values, missing = super().read(array)
        advice = "Correct it, or give the target the type float32 if it is no class."
        if values.shape[1] > 1:
            raise RefusedValueError(
                f"a class is one number, and this is {values.shape[1]}. {advice}"
            )
        negative = values[:, 0] < 0
        if negative.any():
            row = int(np.argmax(negative))
            raise RefusedValueError(
                f"classes count from 0, and this is {values[row, 0]}. {advice}", row
            )
        return values, missing

    def learn(self, values: np.ndarray, missing: np.ndarray) -> None:
        """Count the classes."""
        if len(values):
            self.classes = max(self.classes, int(values.max()) + 1)


class CategoryColumn(Column):
    """A feature of words: it becomes one column a word, 1 where the row has the word, else 0."""

    def __init__(self, name: str, dtype: np.dtype):
        super().__init__(name, dtype)
        self._found: set[str] = set()

    @property
    def words(self) -> list[str]:
        """All words that were found, sorted."""
        return sorted(self._found)

    @property
    def names(self) -> list[str]:
        """The name with each word."""
        return [f"{self.name}={word}" for word in self.words]

    def read(self, array: pa.Array) -> tuple[pa.Array, np.ndarray]:
        """Return the words (rows,) and booleans, what is missing (rows, 1)."""
        words = read_words(array)
        return words, _to_numpy(words.is_null())[:, np.newaxis]

    def learn(self, words: pa.Array, missing: np.ndarray) -> None:
        """Take rows that are kept into account."""
        self._found.update(words.unique().drop_null().to_pylist())
        if len(self._found) > MOST_WORDS:
            raise RefusedValueError(
                f"it has more than {MOST_WORDS:,} different words, and each becomes a column or a "
                "class. Leave the column out, or put its words into fewer groups."
            )

    def encode(self, words: pa.Array, missing: np.ndarray) -> np.ndarray:
        """Return rows as they are written, (rows, words)."""
        numbers = self._numbers(words)
        encoded = np.zeros((len(numbers), len(self._found)), self.dtype)
        encoded[np.arange(len(numbers)), numbers] = 1
        return encoded

    def _numbers(self, words: pa.Array) -> np.ndarray:
        numbers = compute.index_in(words, pa.array(self.words, pa.string()))
        if numbers.null_count:
            raise RefusedValueError("it has a word that it did not have before.")
        return _to_numpy(numbers)


class CategoryTarget(CategoryColumn):
    """A target of words: it becomes the number of its word among all of them."""

    @property
    def names(self) -> list[str]:
        """The name: the column stays one."""
        return [self.name]

    @property
    def classes(self) -> int:
        """The number of words."""
        return len(self._found)

    def encode(self, words: pa.Array, missing: np.ndarray) -> np.ndarray:
        """Return rows as they are written, (rows, 1)."""
        return self._numbers(words)[:, np.newaxis].astype(self.dtype)


def _read_lists(array: pa.Array, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    width = array.type.list_size
    # The values of a slice are those of the whole array.
    flat = array.values.slice(array.offset * width, len(array) * width)
    try:
        values, missing = read_numbers(flat, dtype)
    except RefusedValueError as refusal:
        row = None if refusal.row is None else refusal.row // width
        raise RefusedValueError(refusal.reason, row) from None
    missing_rows = _to_numpy(array.is_null())[:, np.newaxis]
    return values.reshape(-1, width), missing.reshape(-1, width) | missing_rows


def _as_numbers(array: pa.Array, dtype: np.dtype) -> pa.Array:
    """Return an array of integers or floating numbers, whatever it was that spelled them."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return array
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return array.cast(pa.uint8())
    if pa.types.is_decimal(kind) or _is_text(kind):
        return _parse(_as_text(array), dtype)
    advice = (
        "Save it as a number, of days or seconds for example."
        if pa.types.is_temporal(kind)
        else "Save it as numbers, or leave it out."
    )
    raise RefusedValueError(f"it is of the type {kind}, which is no number. {advice}")


def _parse(text: pa.Array, dtype: np.dtype) -> pa.Array:
    """Return the numbers that text spells; null where it spells a missing one."""
    exact = pa.float64() if dtype.kind == "f" else pa.int64()
    numbers = _cast(text, exact)
    if numbers is not None:
        return numbers
    tidy = _tidied(text)
    numbers = _cast(tidy, exact)
    if numbers is not None:
        return numbers
    numbers = _cast(tidy, pa.float64())
    if numbers is None:
        row = _first_that_is_no_number(tidy)
        raise RefusedValueError(
            f"found the text {text[row].as_py()[:100]!r} where a number is needed. Correct it, or "
            "name the column under `categories`.",
            row,
        )
    if exact != pa.float64():
        _refuse_rounded(text, numbers)
    return numbers


def _tidied(text: pa.Array) -> pa.Array:
    """Return text with integers and truths as digits alone, null where a number is missing."""
    trimmed = compute.utf8_trim_whitespace(text)
    lower = compute.utf8_lower(trimmed)
    tidy = compute.replace_substring_regex(trimmed, r"^\+?(-?\d+)(?:\.0*)?$", r"\1")
    for word, number in (("true", "1"), ("false", "0")):
        tidy = compute.if_else(compute.equal(lower, word), number, tidy)
    return compute.if_else(compute.is_in(lower, _MISSING_NUMBERS), None, tidy)


def _cast(text: pa.Array, kind: pa.DataType) -> pa.Array | None:
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        return None


def _first_that_is_no_number(text: pa.Array) -> int:
    start, end = 0, len(text)
    while end - start > 1:
        middle = (start + end) // 2
        if _cast(text[start:middle], pa.float64()) is None:
            end = middle
        else:
            start = middle
    return start


def _refuse_rounded(text: pa.Array, numbers: pa.Array) -> None:
    """Refuse integers that are too large for doubles, which other cells had them read as."""
    rounded = compute.greater_equal(compute.abs(numbers), _EXACT_DOUBLES).index(True).as_py()
    if rounded >= 0:
        raise RefusedValueError(
            f"{text[rounded].as_py()} would lose digits, as other cells hold a fraction or an "
            "exponent (1.5 or 1e3). Write all integers of the column in digits alone.",
            rounded,
        )


def _fit(values: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return values in a dtype, and which of them fit it."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            fitted = values.astype(dtype)
        return fitted, np.isfinite(fitted) | ~np.isfinite(values)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    # The end is a power of two, and so exact as a floating number too.
    fits = (values >= low) & (values < high + 1)
    if values.dtype.kind == "f":
        fits &= values == np.floor(values)
    return np.where(fits, values, 0).astype(dtype), fits


def _is_text(kind: pa.DataType) -> bool:
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _as_text(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        raise RefusedValueError("its text is not UTF-8. Save it as UTF-8.") from None


def _to_numpy(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False)
