"""Codes of the values of one column, by which rows are ordered: numbers of 64 bits.

Equal values have equal codes, in whatever file they stand and whatever the settings. Two different
values have the same code with a probability of 3e-8 among a million values; then they are one class
or one group, and so a group is never cut.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from memtrain.core.siphash import KEY_BYTES
from memtrain.data.tables.cell_digests import digest_cells
from memtrain.data.tables.refused_value import RefusedValueError

#: Codes are no secret.
_KEY = bytes(KEY_BYTES)

#: Spellings of a missing value, whatever else the settings say.
_MISSING = ("", "na", "n/a", "nan", "null", "none")


@dataclass(frozen=True)
class RowCodes:
    """The codes of some rows.

    Attributes:
        codes: uint64 (rows,).
        missing: which values are missing, booleans (rows,).
    """

    codes: np.ndarray
    missing: np.ndarray


def codes_of_rows(array: pa.Array) -> RowCodes:
    """Return the codes of the values of a column.

    Args:
        array: numbers, booleans, text, dates, times or decimals, or fixed-size lists of numbers.

    Raises:
        RefusedValueError: where the values are of another type.
    """
    codes = digest_cells(_as_simple(array), _KEY, "")
    missing = np.isin(codes, _codes_of_missing())
    # All spellings of a missing value are one value.
    codes[missing] = _codes_of_missing()[0]
    return RowCodes(codes, missing)


def _as_simple(array: pa.Array) -> pa.Array:
    """Return values of types that only text can spell as text."""
    kind = array.type
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return array.cast(pa.string())
    if pa.types.is_nested(kind) and not pa.types.is_fixed_size_list(kind):
        raise RefusedValueError(
            f"rows cannot be ordered by values of the type {kind}. Name a column of words or "
            "numbers."
        )
    return array


@cache
def _codes_of_missing() -> np.ndarray:
    spelled = [*_MISSING, *map(str.upper, _MISSING), *map(str.title, _MISSING), "NaN"]
    return digest_cells(pa.array([None, *spelled], pa.string()), _KEY, "")
