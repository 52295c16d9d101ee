"""Finds the arrays in a file of any known format, without reading their values.

The format is chosen by what the file begins with, never by its name: OLMo's token files are named
``.npy`` and are raw.
"""

import os
from collections.abc import Callable, Mapping
from typing import Literal

from memtrain.core.errors import UserError, raise_problems
from memtrain.core.wording import did_you_mean, listed, shown
from memtrain.data.formats import megatron, modded_nanogpt, npy, safetensors
from memtrain.data.formats.arrow_beginnings import looks_like_arrow
from memtrain.data.formats.dtypes import dtype_text
from memtrain.data.formats.found_array import FoundArray, Refusal
from memtrain.data.formats.opened_file import OpenedFile, opened
from memtrain.data.formats.raw import RawFormat, read_raw

FormatName = Literal["raw", "npy", "megatron", "modded_nanogpt", "safetensors", "arrow"]

#: Name of the only array of a file whose arrays have no names.
ONLY_ARRAY = ""

_Arrays = dict[str, FoundArray | Refusal]


def read_arrays(
    path: str | os.PathLike, *, raw: RawFormat | None = None, format: FormatName | None = None
) -> dict[str, FoundArray]:
    """Find the arrays of a file.

    Args:
        path: the file.
        raw: what the user says about a raw file. For a file that describes itself, it is compared
            with what the file says.
        format: the format, where the user states it; else it is found from the file.

    Returns:
        The arrays that can be read, by their names; ``""`` names the array of a format that has
        only one.

    Raises:
        UserError: where the file is missing, damaged, of no known format or not as stated, or has
            no array that can be read.
    """
    arrays = _find_arrays(path, raw, format)
    readable = {name: array for name, array in arrays.items() if isinstance(array, FoundArray)}
    if not readable:
        raise_problems(_not_read(path, name, array) for name, array in arrays.items())
        raise UserError(f"{path}: the file has no arrays. Name a file with values.")
    return readable


def why_not_read(path: str | os.PathLike, format: FormatName | None = None) -> dict[str, str]:
    """Return the arrays of a file that ``read_arrays`` leaves out, and why, by their names.

    Args:
        path: the file.
        format: as for ``read_arrays``.

    Raises:
        UserError: where the file is missing, damaged or of no known format.
    """
    arrays = _find_arrays(path, None, format)
    return {
        name: _not_read(path, name, array)
        for name, array in arrays.items()
        if isinstance(array, Refusal)
    }


def read_array(
    path: str | os.PathLike,
    name: str | None = None,
    *,
    raw: RawFormat | None = None,
    format: FormatName | None = None,
) -> FoundArray:
    """Find one array of a file.

    Args:
        path: the file.
        name: name of the array; None for the only one of a file.
        raw: as for ``read_arrays``.
        format: as for ``read_arrays``.

    Raises:
        UserError: as ``read_arrays``, and where there is no such array or it is not read, or where
            no name is given for one of several.
    """
    arrays = _find_arrays(path, raw, format)
    if name is None and len(arrays) == 1:
        name = next(iter(arrays))
    array = arrays.get(name) if name is not None else None
    if array is None:
        raise UserError(f"{path}: {_which_array(name, arrays)}")
    if isinstance(array, Refusal):
        raise UserError(_not_read(path, name or ONLY_ARRAY, array))
    return array


def _which_array(name: str | None, arrays: _Arrays) -> str:
    if not arrays:
        return "the file has no arrays. Name a file with values."
    if name is None:
        return f"the file has several arrays. Name one of them: {listed(arrays)}."
    if set(arrays) == {ONLY_ARRAY}:
        return f"the file has one array, without a name. Leave out the name {shown(name)}."
    return (
        f"the file has no array {shown(name)}, but {listed(arrays)}."
        f"{did_you_mean(name, arrays)} Correct the name."
    )


def _not_read(path: str | os.PathLike, name: str, array: FoundArray | Refusal) -> str:
    reason = array.reason if isinstance(array, Refusal) else ""
    return f"{path}: the array {shown(name)} is not read: {reason}"


def _find_arrays(
    path: str | os.PathLike, raw: RawFormat | None, stated: FormatName | None
) -> _Arrays:
    with opened(path) as file:
        format_name = stated or _format_of(file, raw)
        if format_name == "raw":
            return {ONLY_ARRAY: _read_raw(file, raw)}
        arrays = _READERS[format_name](file, raw)
    if raw is not None:
        _compare_with_stated(file, format_name, arrays, raw)
    return arrays


def _read_npy(file: OpenedFile, raw: RawFormat | None) -> _Arrays:
    return {ONLY_ARRAY: npy.read_npy(file, raw.dtype if raw else None)}


def _read_arrow(file: OpenedFile, raw: RawFormat | None) -> _Arrays:
    # Files of other formats are read where pyarrow is not installed.
    try:
        from memtrain.data.formats.arrow import read_arrow
    except ModuleNotFoundError as error:
        raise UserError(
            f"{file.path}: Arrow files are read by pyarrow, which is missing ({error}). Install "
            "it: pip install pyarrow."
        ) from None
    return read_arrow(file)


_READERS: Mapping[FormatName, Callable[[OpenedFile, RawFormat | None], _Arrays]] = {
    "npy": _read_npy,
    "megatron": lambda file, _: {ONLY_ARRAY: megatron.read_megatron(file)},
    "modded_nanogpt": lambda file, _: {ONLY_ARRAY: modded_nanogpt.read_token_shard(file)},
    "safetensors": lambda file, _: safetensors.read_safetensors(file),
    "arrow": _read_arrow,
}


_COMPRESSED = "compressed files are not read where they lie. Decompress it"

#: What is said of files that begin so, in place of saying that they are unknown.
_NOT_READ = {
    b"PAR1": "Parquet files are not read where they lie. Import it as a table.",
    b"FEA1": "Feather version 1 is not read. Write it again as version 2, without compression.",
    b"\x89HDF": "HDF5 files are not read. Save its arrays as .npy files.",
    b"PK\x03\x04": "zip files (.npz, .pt) are not read where they lie. Save arrays as .npy files.",
    b"\x1f\x8b": f"{_COMPRESSED} (gunzip).",
    b"\x28\xb5\x2f\xfd": f"{_COMPRESSED} (unzstd).",
}


def _format_of(file: OpenedFile, raw: RawFormat | None) -> FormatName:
    known = _known_format(file)
    if known is not None:
        return known
    if raw is not None:
        return "raw"
    raise UserError(f"{file.path}: {_why_unknown(file)}")


def _known_format(file: OpenedFile) -> FormatName | None:
    """Return the format of a file that describes itself; None where it does not."""
    if file.head.startswith(npy.MAGIC):
        return "npy"
    if file.head.startswith(megatron.MAGIC):
        return "megatron"
    if file.head.startswith(modded_nanogpt.MAGICS):
        return "modded_nanogpt"
    if looks_like_arrow(file):
        return "arrow"
    if safetensors.looks_like_safetensors(file):
        return "safetensors"
    return "megatron" if megatron.index_beside(file.path) else None


def _why_unknown(file: OpenedFile) -> str:
    if file.size == 0:
        return "this file is empty. Write it anew, or state the dtype of a raw file without values."
    for magic, what in _NOT_READ.items():
        if file.head.startswith(magic):
            return what
    if file.path.endswith(".npy"):
        return (
            "it is named .npy, but does not begin as NumPy's files do (\\x93NUMPY). If it is a raw "
            "file, as OLMo's token files are, state its dtype, such as uint16; else write it anew."
        )
    return "it does not say what it holds. If it is a raw file, state its dtype, such as uint16."


def _read_raw(file: OpenedFile, raw: RawFormat | None) -> FoundArray:
    if raw is None:
        raise UserError(f"{file.path}: a raw file does not say what it holds. State its dtype.")
    known = _known_format(file) if raw.header_bytes == 0 else None
    if known not in (None, "megatron") and _is_whole(file, known):
        raise UserError(
            f"{file.path}: this is a file of the format {known}, so that its header would be read "
            "as values. State that format or none, or the header_bytes to skip."
        )
    return read_raw(file, raw)


def _is_whole(file: OpenedFile, known: FormatName) -> bool:
    """Return whether a file is one of a format from its beginning to its end."""
    try:
        return bool(_READERS[known](file, None))
    except UserError:
        return False


def _compare_with_stated(file: OpenedFile, name: str, arrays: _Arrays, raw: RawFormat) -> None:
    """Compare what a file says about its only array with what the user states about it."""
    if set(arrays) != {ONLY_ARRAY}:
        raise UserError(
            f"{file.path}: this file of the format {name} describes its arrays itself. State no "
            "dtype, shape or header_bytes for it."
        )
    array = arrays[ONLY_ARRAY]
    assert isinstance(array, FoundArray)
    if array.dtype != raw.dtype:
        raise _not_as_stated(file, name, "dtype", dtype_text(array.dtype), dtype_text(raw.dtype))
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
