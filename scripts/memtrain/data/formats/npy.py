"""NumPy's ``.npy`` files, versions 1.0, 2.0 and 3.0: plain and structured arrays.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import io
import tokenize
import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib import format as npy

from memtrain.core.errors import UserError
from memtrain.core.wording import shown
from memtrain.data.formats.dtypes import BFLOAT16
from memtrain.data.formats.found_array import FoundArray, bytes_of_element, one_part
from memtrain.data.formats.opened_file import OpenedFile, check_file_size

MAGIC = npy.MAGIC_PREFIX

#: Longest header that is read: enough for thousands of fields. NumPy's own limit is lower, for
#: versions of Python whose parser crashes on deeply nested text.
_LONGEST_HEADER = 1 << 20

#: Bytes of the number that says how long the text of the header is, by version of the format.
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}

#: What NumPy and Python's parser raise for damaged text.
_PARSER_ERRORS = (
    *(ValueError, TypeError, LookupError, SyntaxError, tokenize.TokenError),
    *(RecursionError, MemoryError, OverflowError, AttributeError),
)


@dataclass(frozen=True)
class NpyHeader:
    """What the header of a ``.npy`` file says.

    Attributes:
        version: version of the format.
        dtype: dtype of one value or record.
        shape: shape of the whole array; its first axis counts the elements.
        fortran_order: whether the first axis changes fastest in the file.
        offset: byte at which the values begin.
    """

    version: tuple[int, int]
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran_order: bool
    offset: int


def read_npy_header(file: OpenedFile) -> NpyHeader:
    """Read the header of a ``.npy`` file. A text that was read before is not parsed again.

    Raises:
        UserError: where the file is no ``.npy`` file, or holds Python objects, a single value or
            columns in Fortran order.
    """
    try:
        header = _parse_header(_header_bytes(file))
    except _PARSER_ERRORS as error:
        raise UserError(f"{file.path}: this is not a .npy file ({error}).") from None
    if header.dtype.hasobject:
        raise UserError(f"{file.path}: it holds Python objects, which are not read. Save numbers.")
    if len(header.shape) == 0:
        raise UserError(f"{file.path}: it holds a single value. Save an array of rows.")
    if header.fortran_order and len(header.shape) > 1:
        raise UserError(
            f"{file.path}: its rows lie column by column (Fortran order). Save it again with "
            "np.save(path, np.ascontiguousarray(array))."
        )
    return header


def read_npy(file: OpenedFile, stated: np.dtype | None = None) -> FoundArray:
    """Find the elements of a ``.npy`` file: along its first axis.

    Args:
        file: the file.
        stated: dtype that the user states. It gives values of bfloat16 their type, since NumPy
            saves them as bytes without one.

    Raises:
        UserError: as ``read_npy_header``, and where values have no type or no bytes, or the file
            has another size than its header says.
    """
    header = read_npy_header(file)
    dtype, shape = header.dtype, header.shape[1:]
    if dtype == np.dtype("V2") and stated == BFLOAT16:
        dtype = BFLOAT16
    if dtype.kind == "V" and not dtype.names and dtype != BFLOAT16:
        raise UserError(
            f"{file.path}: its values of {dtype.itemsize} bytes have no type. NumPy saves "
            "bfloat16 like this, without its name: if they are bfloat16, state that dtype."
        )
    element_bytes = bytes_of_element(dtype, shape)
    if element_bytes == 0:
        raise UserError(
            f"{file.path}: its elements, {dtype} of shape {shape}, have no bytes. Save an array "
            "with values."
        )
    elements = header.shape[0]
    check_file_size(
        file,
        header.offset + elements * element_bytes,
        f"{elements:,} elements of {element_bytes:,} bytes after a header of {header.offset:,}",
    )
    return FoundArray(dtype, shape, one_part(header.offset, elements))


def _header_bytes(file: OpenedFile) -> bytes:
    """Return the whole header of a file, from its magic to the end of its text."""
    version = npy.read_magic(io.BytesIO(file.head))
    if version not in _LENGTH_BYTES:
        raise ValueError(f"version {version[0]}.{version[1]} of the format")
    start = npy.MAGIC_LEN + _LENGTH_BYTES[version]
    length = int.from_bytes(file.head[npy.MAGIC_LEN : start], "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes; at most {_LONGEST_HEADER:,} are read")
    header = file.read(0, start + length)
    if len(header) < start + length:
        raise ValueError(f"it ends at byte {len(header):,} within its header of {start + length:,}")
    return header


@lru_cache(maxsize=32)
def _parse_header(header: bytes) -> NpyHeader:
    version = (header[npy.MAGIC_LEN - 2], header[npy.MAGIC_LEN - 1])
    text = header[npy.MAGIC_LEN :]
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    if version == (3, 0):
        text = _as_version_2(text)
    try:
        # NumPy warns of headers that were written by Python 2.
        with warnings.catch_warnings(action="ignore"):
            shape, fortran_order, dtype = read(io.BytesIO(text), max_header_size=_LONGEST_HEADER)
    except (ValueError, TypeError):
        if b"np.int" in text:
            # https://github.com/numpy/numpy/issues/28334: open_memmap writes the shape as it is.
            raise ValueError(
                "its header holds a NumPy integer such as np.int64(4), which NumPy itself cannot "
                "read back. Write it again with a shape of Python's integers: int(rows)"
            ) from None
        raise
    if any(length < 0 for length in shape):
        raise ValueError(f"the shape {shown(shape)}")
    return NpyHeader(version, dtype, shape, fortran_order, len(header))


def _as_version_2(text: bytes) -> bytes:
    """Return the length and text of a version 3.0 header as version 2.0 has them.

    Version 3.0 differs in its encoding, UTF-8. Characters are written as escapes here, so that
    NumPy's public reader of version 2.0, which expects Latin-1, reads them.
    """
    escaped = text[4:].decode().encode("ascii", "backslashreplace")
    return len(escaped).to_bytes(4, "little") + escaped
