"""Files of values of one dtype and nothing else, aside from a header that is skipped.

Such are nanoGPT's ``train.bin`` (uint16), what ``ndarray.tofile`` writes, and the token files of
OLMo, which are named ``.npy`` but have no header of NumPy's:

- https://github.com/karpathy/nanoGPT/blob/master/data/openwebtext/prepare.py
- https://numpy.org/doc/stable/reference/generated/numpy.ndarray.tofile.html
- https://github.com/allenai/OLMo-core/blob/main/src/olmo_core/data/utils.py (``load_array_slice``)
"""

from dataclasses import dataclass

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.data.formats.dtypes import dtype_text
from memtrain.data.formats.found_array import FoundArray, bytes_of_element, one_part
from memtrain.data.formats.opened_file import OpenedFile


@dataclass(frozen=True)
class RawFormat:
    """What a user says about a file that does not describe itself.

    Attributes:
        dtype: dtype of one value, or of one record.
        shape: shape of one element, such as ``(3,)`` for a matrix of three columns.
        header_bytes: bytes at the beginning of the file that are skipped.
    """

    dtype: np.dtype
    shape: tuple[int, ...] = ()
    header_bytes: int = 0

    def __post_init__(self) -> None:
        if self.dtype.hasobject or bytes_of_element(self.dtype, self.shape) == 0:
            raise ValueError(f"elements of {self.dtype} {self.shape} are not found in a file")
        if self.header_bytes < 0:
            raise ValueError(f"a header of {self.header_bytes} bytes")


def read_raw(file: OpenedFile, raw: RawFormat) -> FoundArray:
    """Find the elements of a raw file. A file without bytes has no elements.

    Raises:
        UserError: where the file is shorter than its header, or ends within an element.
    """
    if file.size < raw.header_bytes:
        raise UserError(
            f"{file.path}: the file has {counted(file.size, 'byte')}, fewer than the "
            f"{raw.header_bytes:,} of its header. Correct header_bytes, or write the file anew."
        )
    element_bytes = bytes_of_element(raw.dtype, raw.shape)
    elements, rest = divmod(file.size - raw.header_bytes, element_bytes)
    if rest:
        raise UserError(
            f"{file.path}: the file ends {counted(rest, 'byte')} after byte {file.size - rest:,}, "
            f"where its last whole element ends: {file.size:,} bytes after a header of "
            f"{raw.header_bytes:,} are no whole number of elements of {element_bytes:,} bytes "
            f"({_element_text(raw)}). Correct dtype, shape or header_bytes, or write the file anew."
        )
    return FoundArray(raw.dtype, raw.shape, one_part(raw.header_bytes, elements))


def _element_text(raw: RawFormat) -> str:
    name = dtype_text(raw.dtype)
    return f"{name} of shape {raw.shape}" if raw.shape else name
