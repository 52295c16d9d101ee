"""Names and descriptions of dtypes, bfloat16 included, which NumPy itself does not have.

``ml_dtypes`` gives NumPy the type bfloat16: https://github.com/jax-ml/ml_dtypes. NumPy describes it
as bytes without meaning, ``"<V2"``, so that a description here has its name instead.
"""

import ml_dtypes
import numpy as np
from numpy.lib import format as npy

from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean, shown

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

#: Kinds of dtypes whose values are numbers or times: bool, integers, floats, complex numbers,
#: durations, times.
_KINDS = "biufcmM"

_KNOWN_NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)


def parse_dtype(name: object) -> np.dtype:
    """Return the dtype with a name such as ``uint16``, ``>f4``, ``bfloat16`` or ``datetime64[s]``.

    Raises:
        UserError: where there is no such dtype, or its values are no numbers and no times.
    """
    try:
        dtype = np.dtype(name) if isinstance(name, str) else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is not None and _is_of_numbers(dtype):
        return dtype
    raise UserError(
        f"{shown(name)} is not a dtype that can be read.{did_you_mean(name, _KNOWN_NAMES)} Use a "
        "name of NumPy's such as uint16, float32 or >i4, or bfloat16."
    )


def dtype_name(dtype: np.dtype) -> str:
    """Return the name that ``parse_dtype`` reads: ``uint16``, ``>f4``, ``bfloat16``.

    Raises:
        ValueError: where the dtype is structured or has no name.
    """
    if not _is_of_numbers(dtype):
        raise ValueError(f"{dtype} has no name")
    return dtype.name if dtype.isnative else dtype.str


def dtype_text(dtype: np.dtype) -> str:
    """Return what a message calls a dtype: its name, ``records``, or what NumPy calls it."""
    if dtype.names:
        return "records"
    return dtype_name(dtype) if _is_of_numbers(dtype) else str(dtype)


def dtype_to_json(dtype: np.dtype) -> object:
    """Return a dtype as text or lists, as ``.npy`` headers describe it, with bfloat16 by name."""
    return _with_names(_as_lists(npy.dtype_to_descr(dtype)), dtype)


def dtype_from_json(description: object) -> np.dtype:
    """Return the dtype that ``dtype_to_json`` described."""
    # NumPy's annotation admits only flat lists of fields; the function takes plain types and nested
    # records as well. It knows bfloat16 by name, since ml_dtypes is imported.
    return npy.descr_to_dtype(_as_descr(description))  # type: ignore[arg-type]


def _is_of_numbers(dtype: np.dtype) -> bool:
    # "M8" without a unit means nothing.
    has_unit = dtype.kind not in "mM" or np.datetime_data(dtype)[0] != "generic"
    return dtype == BFLOAT16 or (dtype.isbuiltin != 2 and dtype.kind in _KINDS and has_unit)


def _with_names(description: object, dtype: np.dtype) -> object:
    """Return a description where fields of bfloat16 have that name in place of ``"<V2"``."""
    if dtype == BFLOAT16:
        return BFLOAT16.name
    if not isinstance(description, list):
        return description
    return [_with_name(field, dtype) for field in description]


def _with_name(field: list, dtype: np.dtype) -> list:
    name, description, *shape = field
    # A field with a title has both for its name. Bytes between fields are described as a field
    # without a name.
    key = name[1] if isinstance(name, list) else name
    return [name, _with_names(description, dtype[key].base), *shape] if key else field


def _as_lists(description: object) -> object:
    return (
        [_as_lists(part) for part in description]
        if isinstance(description, list | tuple)
        else description
    )


def _as_descr(description: object) -> object:
    if not isinstance(description, list):
        return description
    return [
        (
            tuple(name) if isinstance(name, list) else name,
            _as_descr(dtype),
            *(tuple(part) for part in shape),
        )
        for name, dtype, *shape in description
    ]
