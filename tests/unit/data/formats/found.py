"""Reads what was found in a file, byte by byte, and damages files."""

import numpy as np
from hypothesis import strategies as st

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
    assert str(path.parent) in told
    return None


def damage(path, data, header_bytes=None):
    """Cut a file anywhere, or change some bytes of its first ``header_bytes``, or both."""
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    places = st.integers(0, min(header_bytes or len(content), len(content)) - 1)
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(places)] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
