"""Reads what was found in a file, as NumPy alone would: the bytes of the parts, one by one."""

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.formats.file_formats import read_arrays


def only_array(path, **stated):
    arrays = read_arrays(path, **stated)
    assert list(arrays) == [""]
    return arrays[""]


def elements_of(path, found):
    """Return the elements of an array that was found, (elements, *shape)."""
    content = b""
    with open(path, "rb") as file:
        for offset, elements in found.parts:
            assert elements > 0, "no part is empty"
            file.seek(offset)
            content += file.read(elements * found.element_bytes)
    values = np.frombuffer(content, np.uint8).view(found.dtype)
    assert len(content) == found.elements * found.element_bytes
    return values.reshape(found.elements, *found.shape)


def found_or_refused(path, **stated):
    """Return the only array of a file; None where it is refused with a message that names it."""
    told = ""
    try:
        return only_array(path, **stated)
    except UserError as error:
        told = str(error)
    assert str(path) in told
    return None
