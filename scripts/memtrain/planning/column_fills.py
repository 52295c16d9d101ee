"""Medians and most frequent values of columns, exact, by passes over the rows that count."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from memtrain.core.errors import UserError

#: Yields the rows of some columns, float64 (rows, columns); every call begins anew.
Pass = Callable[[], Iterator[np.ndarray]]

#: Bits of a key that one pass decides.
_BITS = 16

#: Columns whose medians are found in the same passes: their counts take 64 MiB.
_COLUMNS_AT_ONCE = 64

#: Most different values of a column whose most frequent one is counted.
_MOST_VALUES = 1_000_000


def medians(rows: Pass, names: Sequence[str]) -> list[float]:
    """Return the median of the finite values of every column, as NumPy gives it.

    Of an even number of values, it is the mean of the middle two. Four passes count the values by
    16 bits each of a key that has their order. Many columns are taken in groups, each with passes
    of its own, so that memory grows with the columns no more than with the rows.

    Args:
        rows: function that reads the rows once.
        names: names of the columns, each of which has a finite value.
    """
    found: list[float] = []
    for start in range(0, len(names), _COLUMNS_AT_ONCE):
        places = slice(start, min(start + _COLUMNS_AT_ONCE, len(names)))

        def group(places: slice = places) -> Iterator[np.ndarray]:
            return (block[:, places] for block in rows())

        found += _medians(group, names[places])
    return found


def _medians(rows: Pass, names: Sequence[str]) -> list[float]:
    counts = sum(np.isfinite(block).sum(axis=0) for block in rows())
    ranks = np.stack([(np.asarray(counts) - 1) // 2, np.asarray(counts) // 2], axis=1)
    prefixes = np.zeros((len(names), 2), np.uint64)
    for shift in range(64 - _BITS, -1, -_BITS):
        found = np.zeros((len(names), 2, 1 << _BITS), np.int64)
        for block in rows():
            for column in range(len(names)):
                values = block[:, column]
                keys = _keys(values[np.isfinite(values)])
                for side in range(2):
                    _count_next_bits(keys, prefixes[column, side], shift, found[column, side])
        for column, side in np.ndindex(len(names), 2):
            below = np.cumsum(found[column, side])
            digit = int(np.searchsorted(below, ranks[column, side], side="right"))
            ranks[column, side] -= below[digit - 1] if digit else 0
            prefixes[column, side] |= np.uint64(digit << shift)
    low, high = _values(prefixes[:, 0]), _values(prefixes[:, 1])
    return [float(np.mean([one, other])) for one, other in zip(low, high, strict=True)]


def most_frequent(rows: Pass, names: Sequence[str]) -> list[float]:
    """Return the most frequent finite value of every column; of several, the smallest.

    Args:
        rows: function that reads the rows once.
        names: names of the columns, each of which has a finite value.

    Raises:
        UserError: where a column has too many different values to count them.
    """
    found: list[Counter[float]] = [Counter() for _ in names]
    for block in rows():
        for number, counts in enumerate(found):
            values = block[:, number]
            different, often = np.unique(values[np.isfinite(values)], return_counts=True)
            counts.update(dict(zip(different.tolist(), often.tolist(), strict=True)))
            if len(counts) > _MOST_VALUES:
                raise UserError(
                    f"{names[number]} has more than {_MOST_VALUES:,} different values in the "
                    "training rows, too many to find the most frequent one for `impute`. Use mean "
                    "or median."
                )
    return [min(counts, key=lambda value: (-counts[value], value)) for counts in found]


def _count_next_bits(keys: np.ndarray, prefix: np.uint64, shift: int, found: np.ndarray) -> None:
    """Count the next bits of the keys that begin with a prefix."""
    high = shift + _BITS
    if high < 64:
        keys = keys[keys >> np.uint64(high) == prefix >> np.uint64(high)]
    digits = (keys >> np.uint64(shift)) & np.uint64((1 << _BITS) - 1)
    found += np.bincount(digits.astype(np.int64), minlength=1 << _BITS)


def _keys(values: np.ndarray) -> np.ndarray:
    """Return integers, uint64, that have the order of some doubles."""
    # Adding 0 turns -0 into 0.
    bits = (values + 0.0).view(np.int64)
    return np.where(bits < 0, ~bits, bits ^ np.int64(-(2**63))).view(np.uint64)


def _values(keys: np.ndarray) -> np.ndarray:
    """Return the doubles that have some keys."""
    bits = keys.view(np.int64)
    return np.where(bits < 0, bits ^ np.int64(-(2**63)), ~bits).view(np.float64)
