"""Keyed digests of the cells of a column: equal where the values are, in whatever file they stand.

A number has the same digest as text in a CSV file and in any type of a Parquet file: a float32 is
the number that its shortest decimal spells, as a CSV file would have it. Settings such as `dtypes`
and `categories` have no influence. All spellings of a missing value are one value.

Without the key, a digest tells nothing, not even of a column with two possible values.
"""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

import hashlib
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import compute

from memtrain.core.siphash import KEY_BYTES, siphash
from memtrain.data.tables.cell_values import as_text, to_numpy
from memtrain.data.tables.number_text import EXACT_DOUBLES, cast_or_none, tidied

_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity|nan)$"
_INTEGER = re.compile(r"-?\d{1,20}")
_LARGEST_INTEGER = 2**64


@dataclass(frozen=True)
class _Keys:
    """The keys of the values of a column, one for each kind of value."""

    numbers: bytes
    integers: bytes
    text: bytes
    lists: bytes

    @classmethod
    def of_column(cls, key: bytes, name: str) -> "_Keys":
        return cls(*(_derived(key, f"{kind} {name}") for kind in ("0", "1", "2", "3")))


def digest_cells(array: pa.Array, key: bytes, column: str) -> np.ndarray:
    """Return the digest of every cell of a column, uint64 (rows,).

    Args:
        array: the cells: numbers, booleans, text, or fixed-size lists of these.
        key: the key of all digests.
        column: the name of the column: the same value has other digests in other columns.

    Raises:
        RefusedValueError: where the values are of another type.
    """
    keys = _Keys.of_column(key, column)
    if not pa.types.is_fixed_size_list(array.type):
        return _digests(array, keys)
    width = array.type.list_size
    flat = array.values.slice(array.offset * width, len(array) * width)
    words = _digests(flat, keys).reshape(len(array), width)
    # A list of one number is that number.
    return words[:, 0] if width == 1 else siphash(keys.lists, words)


def digest_rows_of_cells(digests: np.ndarray) -> np.ndarray:
    """Return one digest of the digests of the cells of each row.

    Args:
        digests: uint64 (rows, columns).

    Returns:
        uint64 (rows,).
    """
    # The cells' digests are keyed already.
    return siphash(bytes(KEY_BYTES), digests)


def _derived(key: bytes, purpose: str) -> bytes:
    return hashlib.blake2b(purpose.encode(), key=key, digest_size=KEY_BYTES).digest()


def _digests(array: pa.Array, keys: _Keys) -> np.ndarray:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_null(kind) or pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    if pa.types.is_duration(kind):
        array = array.cast(pa.int64())
    if pa.types.is_integer(array.type):
        return _digests_of_integers(array, keys)
    if pa.types.is_floating(kind):
        return _digests_of_numbers(_widened(array), keys)
    return _digests_of_text(as_text(array), keys)


def _widened(array: pa.Array) -> pa.Array:
    """Return floating-point numbers as doubles, each as its shortest decimal spells it."""
    if pa.types.is_float64(array.type):
        return array
    return array.cast(pa.float32()).cast(pa.string()).cast(pa.float64())


def _digests_of_integers(array: pa.Array, keys: _Keys) -> np.ndarray:
    integers = to_numpy(array.fill_null(0))
    is_large = integers >= EXACT_DOUBLES
    if integers.dtype.kind == "i":
        is_large |= integers <= -EXACT_DOUBLES
    numbers = np.where(is_large, 0, integers).astype(np.float64)
    numbers[to_numpy(array.is_null())] = np.nan
    digests = _siphash_of_doubles(numbers, keys)
    if is_large.any():
        large = integers[is_large]
        wide = large.astype(np.int64 if large.dtype.kind == "i" else np.uint64)
        digests[is_large] = siphash(keys.integers, wide.view(np.uint64)[:, np.newaxis])
    return digests


def _digests_of_numbers(array: pa.Array, keys: _Keys) -> np.ndarray:
    """Return the digests of doubles; those from 2^53 on are integers, and count as such."""
    numbers = to_numpy(array.fill_null(np.nan))
    digests = _siphash_of_doubles(numbers, keys)
    sizes = np.abs(numbers)
    for row in np.flatnonzero((sizes >= EXACT_DOUBLES) & (sizes < _LARGEST_INTEGER)):
        digests[row] = _digest_of_integer(int(numbers[row]), keys)
    return digests


def _digest_of_integer(integer: int, keys: _Keys) -> np.uint64:
    words = np.array([[integer % _LARGEST_INTEGER]], np.uint64)
    return siphash(keys.integers, words)[0]


def _digests_of_text(text: pa.Array, keys: _Keys) -> np.ndarray:
    numbers = cast_or_none(text, pa.float64())
    tidy = text
    if numbers is None:
        tidy = tidied(text)
        numbers = cast_or_none(tidy, pa.float64())
    if numbers is not None:
        digests = _digests_of_numbers(numbers, keys)
        _mend_large_integers(digests, tidy, numbers, keys)
        return digests
    tidy = compute.replace_substring_regex(tidy, r"^\+", "")
    is_number = compute.match_substring_regex(tidy, _NUMBER).fill_null(True)
    numbers = compute.if_else(is_number, tidy, None).cast(pa.float64())
    digests = _digests_of_numbers(numbers, keys)
    _mend_large_integers(digests, tidy, numbers, keys)
    is_word = ~to_numpy(is_number)
    digests[is_word] = _digests_of_words(text.filter(pa.array(is_word)), keys)
    return digests


def _mend_large_integers(
    digests: np.ndarray, text: pa.Array, numbers: pa.Array, keys: _Keys
) -> None:
    """Replace the digests of integers that lost digits when they were read as doubles."""
    sizes = np.abs(to_numpy(numbers.fill_null(0)))
    for row in np.flatnonzero((sizes >= EXACT_DOUBLES) & (sizes < 2 * _LARGEST_INTEGER)):
        spelled = text[row].as_py()
        if _INTEGER.fullmatch(spelled) and abs(int(spelled)) < _LARGEST_INTEGER:
            digests[row] = _digest_of_integer(int(spelled), keys)


def _digests_of_words(text: pa.Array, keys: _Keys) -> np.ndarray:
    encoded = text.dictionary_encode()
    known = [
        int.from_bytes(hashlib.blake2b(word.encode(), key=keys.text, digest_size=8).digest())
        for word in encoded.dictionary.to_pylist()
    ]
    return np.array(known, np.uint64)[to_numpy(encoded.indices)]


def _siphash_of_doubles(numbers: np.ndarray, keys: _Keys) -> np.ndarray:
    """Return the digests of doubles; NaN is a missing value, and -0 is 0."""
    canonical = np.where(np.isnan(numbers), np.nan, numbers + 0.0)
    return siphash(keys.numbers, canonical.view(np.uint64)[:, np.newaxis])
