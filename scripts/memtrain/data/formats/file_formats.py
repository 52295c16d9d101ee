"""Finds the arrays in a file of any known format, without reading their values.

The format is chosen by what the file begins with, never by its name: OLMo's token files are named
``.npy`` and are raw.
"""

import os
from collections.abc import Callable, Mapping
from typing import Literal

from memtrain.core.errors import UserError
from memtrain.data.formats import npy
from memtrain.data.formats.dtypes import dtype_name
from memtrain.data.formats.found_array import FoundArray
from memtrain.data.formats.opened_file import OpenedFile, opened
from memtrain.data.formats.raw import RawFormat, read_raw

FormatName = Literal["raw", "npy"]

#: Name of the only array of a file whose arrays have no names.
ONLY_ARRAY = ""

_Arrays = dict[str, FoundArray]


def read_arrays(
    path: str | os.PathLike, *, raw: RawFormat | None = None, format: FormatName | None = None
) -> _Arrays:
    """Find the arrays of a file.

    Args:
        path: the file.
        raw: what the user says about a raw file. For a file that describes itself, it is compared
            with what the file says.
        format: the format, where the user states it; else it is found from the file.

    Returns:
        The arrays by their names; ``""`` names the array of a format that has only one.

    Raises:
        UserError: where the file is missing, damaged, of no known format, or not as stated.
    """
    with opened(path) as file:
        found = format or _format_of(file, raw)
        if found == "raw":
            return {ONLY_ARRAY: _read_raw(file, raw)}
        arrays = _READERS[found](file, raw)
    if raw is not None:
        _compare_with_stated(file, found, arrays, raw)
    return arrays


def _read_npy(file: OpenedFile, raw: RawFormat | None) -> _Arrays:
    return {ONLY_ARRAY: npy.read_npy(file, raw.dtype if raw else None)}


_READERS: Mapping[str, Callable[[OpenedFile, RawFormat | None], _Arrays]] = {"npy": _read_npy}

#: What the files of a format begin with.
_BEGINNINGS: Mapping[bytes, FormatName] = {npy.MAGIC: "npy"}


def _format_of(file: OpenedFile, raw: RawFormat | None) -> FormatName:
    known = _known_beginning(file)
    if known is not None:
        return known
    if raw is not None:
        return "raw"
    raise UserError(f"{file.path}: {_why_unknown(file)}")


def _known_beginning(file: OpenedFile) -> FormatName | None:
    return next((name for magic, name in _BEGINNINGS.items() if file.head.startswith(magic)), None)


def _why_unknown(file: OpenedFile) -> str:
    if file.size == 0:
        return "this file is empty. Write it anew, or state the dtype of a raw file without values."
    if file.path.endswith(".npy"):
        return (
            "it is named .npy, but does not begin as NumPy's files do (\\x93NUMPY). If it is a raw "
            "file, as OLMo's token files are, state its dtype, such as uint16; else write it anew."
        )
    return "it does not say what it holds. If it is a raw file, state its dtype, such as uint16."


def _read_raw(file: OpenedFile, raw: RawFormat | None) -> FoundArray:
    if raw is None:
        raise UserError(f"{file.path}: a raw file does not say what it holds. State its dtype.")
    known = _known_beginning(file)
    if known is not None and raw.header_bytes == 0:
        raise UserError(
            f"{file.path}: it begins as a file of the format {known} does, so that its header "
            "would be read as values. State that format or none, or the header_bytes to skip."
        )
    return read_raw(file, raw)


def _compare_with_stated(file: OpenedFile, name: str, arrays: _Arrays, raw: RawFormat) -> None:
    """Compare what a file says about its only array with what the user states about it."""
    if set(arrays) != {ONLY_ARRAY}:
        raise UserError(
            f"{file.path}: this file of the format {name} describes its arrays itself. State no "
            "dtype, shape or header_bytes for it."
        )
    array = arrays[ONLY_ARRAY]
    if array.dtype != raw.dtype:
        found = str(array.dtype) if array.dtype.names else dtype_name(array.dtype)
        raise _not_as_stated(file, name, "dtype", found, raw.dtype)
    if raw.shape and array.shape != raw.shape:
        raise _not_as_stated(file, name, "shape", array.shape, raw.shape)
    begins = array.parts[0][0] if array.parts else raw.header_bytes
    if raw.header_bytes and raw.header_bytes != begins:
        raise _not_as_stated(file, name, "header_bytes", begins, raw.header_bytes)


def _not_as_stated(
    file: OpenedFile, name: str, key: str, found: object, stated: object
) -> UserError:
    return UserError(
        f"{file.path}: this file of the format {name} has the {key} {found}, but {stated} is "
        f"stated. Leave out {key}, or correct it."
    )
