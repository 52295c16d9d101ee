"""safetensors files: any number of tensors by name.

A file is the length of its header (u64, little-endian), the header as JSON, and the bytes of the
tensors, which lie end to end without holes: https://github.com/huggingface/safetensors#format
"""

import json
from typing import NoReturn

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.wording import shown
from memtrain.data.formats.dtypes import BFLOAT16
from memtrain.data.formats.found_array import FoundArray, Refusal, bytes_of_element, one_part
from memtrain.data.formats.opened_file import OpenedFile

_LENGTH_BYTES = 8

#: Longest header that the format's own package reads.
_LONGEST_HEADER = 100_000_000

_METADATA = "__metadata__"

_DTYPES = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "BF16": BFLOAT16,
    **{f"U{bits}": np.dtype(f"<u{bits // 8}") for bits in (16, 32, 64)},
    **{f"I{bits}": np.dtype(f"<i{bits // 8}") for bits in (16, 32, 64)},
    **{f"F{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
    "C64": np.dtype("<c8"),
}

#: Bits of a value of the types that are known and not read.
_REFUSED_BITS = {
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
}


def looks_like_safetensors(file: OpenedFile) -> bool:
    """Return whether a file begins with the length of a header that fits, and with JSON."""
    length = int.from_bytes(file.head[:_LENGTH_BYTES], "little")
    return 2 <= length <= min(_LONGEST_HEADER, file.size - _LENGTH_BYTES) and file.head[
        _LENGTH_BYTES : _LENGTH_BYTES + 2
    ] in (b'{"', b"{}")


def read_safetensors(file: OpenedFile) -> dict[str, FoundArray | Refusal]:
    """Find the tensors of a file. The first axis of a tensor counts its elements.

    Raises:
        UserError: where the header is damaged, or the tensors do not fill the file.
    """
    length = int.from_bytes(file.read(0, _LENGTH_BYTES), "little")
    if file.size < _LENGTH_BYTES or length > min(_LONGEST_HEADER, file.size - _LENGTH_BYTES):
        _refuse(
            file,
            f"its header has {length:,} bytes by the number at byte 0, but the file has "
            f"{file.size:,} bytes, and at most {_LONGEST_HEADER:,} are read",
        )
    tensors = _parse_header(file, file.read(_LENGTH_BYTES, length))
    places: list[tuple[int, int, str]] = []
    arrays: dict[str, FoundArray | Refusal] = {}
    for name, tensor in tensors.items():
        arrays[name], (begin, end) = _read_tensor(file, name, tensor, _LENGTH_BYTES + length)
        places.append((begin, end, name))
    _check_places(file, sorted(places), file.size - _LENGTH_BYTES - length)
    return arrays


def _refuse(file: OpenedFile, reason: str) -> NoReturn:
    raise UserError(f"{file.path}: this is not a safetensors file ({reason}). Write it anew.")


def _parse_header(file: OpenedFile, header: bytes) -> dict[str, object]:
    try:
        tensors = json.loads(header.decode(), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        _refuse(file, f"its header is no JSON: {error}")
    if not isinstance(tensors, dict):
        _refuse(file, "its header is no JSON object")
    tensors.pop(_METADATA, None)
    return tensors


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name stands in it twice")
    return content


def _read_tensor(
    file: OpenedFile, name: str, tensor: object, values_offset: int
) -> tuple[FoundArray | Refusal, tuple[int, int]]:
    """Return a tensor, and the bytes that it has among the values."""
    match tensor:
        case {"dtype": str(dtype_name), "shape": list(lengths), "data_offsets": [begin, end]}:
            numbers = [*lengths, begin, end]
        case _:
            _refuse(file, f"tensor {shown(name)} has not dtype, shape and data_offsets")
    if any(type(number) is not int or not 0 <= number < 1 << 63 for number in numbers):
        _refuse(file, f"tensor {shown(name)} has the shape {shown(lengths)} at {begin!r}, {end!r}")
    shape = tuple(lengths)
    dtype = _DTYPES.get(dtype_name)
    bits = 8 * dtype.itemsize if dtype is not None else _REFUSED_BITS.get(dtype_name)
    if bits is None:
        _refuse(file, f"tensor {shown(name)} has the unknown dtype {shown(dtype_name)}")
    values = bytes_of_element(np.dtype("u1"), shape)
    if values * bits != 8 * (end - begin):
        _refuse(
            file,
            f"tensor {shown(name)}, {values:,} values of {bits} bits, has the bytes {begin:,} to "
            f"{end:,}",
        )
    return _found_tensor(dtype_name, dtype, shape, values_offset + begin), (begin, end)


def _found_tensor(
    dtype_name: str, dtype: np.dtype | None, shape: tuple[int, ...], offset: int
) -> FoundArray | Refusal:
    if dtype is None:
        return Refusal(
            f"its values are {dtype_name}, which is not read. Save them as BF16, F16 or F32."
        )
    if not shape:
        return Refusal("it is a single value. Save an array of rows.")
    if 0 in shape[1:]:
        return Refusal(f"its elements of shape {shape[1:]} have no bytes. Save values.")
    return FoundArray(dtype, shape[1:], one_part(offset, shape[0]))


def _check_places(file: OpenedFile, places: list[tuple[int, int, str]], size: int) -> None:
    """Refuse tensors that overlap, leave holes, or do not end where the file does."""
    position = 0
    for begin, end, name in places:
        if begin != position:
            state = "overlaps the one before" if begin < position else "leaves a hole before it"
            _refuse(file, f"tensor {shown(name)} at byte {begin:,} of the values {state}")
        position = end
    if position != size:
        _refuse(
            file,
            f"its tensors have {position:,} bytes, but {size:,} follow the header: the file was "
            f"{'cut short' if size < position else 'written over or grew'}",
        )
