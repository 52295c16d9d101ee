"""Finds the borders that no window of a stream crosses, and cuts the stream into windows."""

from dataclasses import replace

import numpy as np

from memtrain.config.windows import BordersAtElement, BordersInFile, WindowSettings
from memtrain.core.errors import UserError
from memtrain.data.file_headers import FileHeaders
from memtrain.data.record_file import map_rows, read_record_layout
from memtrain.data.streams.row_addresses import Consecutive, Ragged, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stored_rows import StoredRows
from memtrain.data.streams.stream import Stream

#: Bytes that are read at a time in search of a delimiter.
_CHUNK_BYTES = 8 << 20


def cut_into_windows(
    headers: FileHeaders, array: str, stream: Stream, settings: WindowSettings
) -> Windows | Ragged:
    """Return the windows of a stream; rows that vary in length, where short ones are padded.

    Args:
        headers: the files of the stream.
        array: name of its array in the files.
        stream: the elements.
        settings: length, stride and borders of the windows.

    Raises:
        UserError: where borders are wrong, or no document is as long as a window.
    """
    where = f"{headers.where}.windows"
    borders = _borders(headers, array, stream, settings)
    if settings.rest == "pad":
        offsets = _offsets_of_pieces(borders, settings.length)
        return replace(Ragged.described(offsets, stream.elements), are_documents=False)
    windows = Windows(settings.stored_length, settings.step, borders, settings.rest)
    if windows.rows == 0:
        longest = int(np.diff(borders).max(initial=0))
        needed = f"{settings.stored_length:,} elements"
        if settings.stored_length > settings.length:
            needed += " with its target"
        raise UserError(
            f"{where}: a window takes {needed}, and the longest run of elements between borders "
            f"has {longest:,}. Use a smaller `length`, or other `borders`."
        )
    return windows


def _offsets_of_pieces(borders: np.ndarray, length: int) -> np.ndarray:
    """Cut segments into pieces, each but the last of a segment as long as a window.

    Args:
        borders: int64 (segments + 1,), the first element of every segment, and the end of the last.
        length: number of elements of a piece.

    Returns:
        int64 (pieces + 1,), the first element of every piece, and the end of the last.
    """
    pieces = -(-np.diff(borders) // length)
    within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.append(np.repeat(borders[:-1], pieces) + within * length, borders[-1])


def _borders(
    headers: FileHeaders, array: str, stream: Stream, settings: WindowSettings
) -> np.ndarray:
    """Return the first element of every document, and the end: int64 (documents + 1,)."""
    borders = settings.borders
    if isinstance(borders, BordersInFile):
        return _borders_in_file(f"{headers.where}.windows.borders", borders.offsets, stream)
    if isinstance(borders, BordersAtElement):
        return borders_at_element(f"{headers.where}.windows.borders", borders.delimiter, stream)
    if borders == "file":
        return stream.file_firsts
    if borders == "documents":
        return headers.documents(f"{headers.where}.windows.borders", array, stream)
    return np.array([0, stream.elements])


def _borders_in_file(where: str, path: str, stream: Stream) -> np.ndarray:
    layout = read_record_layout(path)
    if layout.row_shape or layout.dtype.kind not in "iu":
        raise UserError(
            f"{where}.offsets: {path} holds {layout.dtype} of shape {layout.shape}; a list of "
            "whole numbers is needed, the first element of every document."
        )
    offsets = map_rows(path, layout).astype(np.int64)
    backwards = np.flatnonzero(np.diff(offsets) < 0)
    if len(backwards):
        place = int(backwards[0])
        raise UserError(
            f"{where}.offsets: {path} is not ascending: {offsets[place + 1]} at position "
            f"{place + 1} follows {offsets[place]}. Write the first element of every document, in "
            "order."
        )
    if len(offsets) and not (offsets[0] >= 0 and offsets[-1] <= stream.elements):
        wrong = offsets[0] if offsets[0] < 0 else offsets[-1]
        raise UserError(
            f"{where}.offsets: {path} holds {wrong}, but the files hold {stream.elements:,} "
            "elements. Write offsets in elements, not in bytes, counted over all files."
        )
    return np.unique(np.concatenate([[0], offsets, [stream.elements]]))


def borders_at_element(where: str, delimiter: int, stream: Stream) -> np.ndarray:
    """Return the borders behind an element: int64 (documents + 1,), elements.

    All elements are read once.

    Args:
        where: key of the setting, for messages.
        delimiter: the last element of every document.
        stream: the elements.

    Raises:
        UserError: where no element is the delimiter, or none can be.
    """
    if stream.shape or stream.dtype.kind not in "iu":
        raise UserError(
            f"{where}.delimiter: elements are {stream.dtype} of shape {stream.shape}; a delimiter "
            "needs elements that are whole numbers."
        )
    bounds = np.iinfo(stream.dtype)
    if not bounds.min <= delimiter <= bounds.max:
        raise UserError(
            f"{where}.delimiter: {delimiter} is no {stream.dtype}, which is what the files hold."
        )
    step = max(1, _CHUNK_BYTES // stream.element_bytes)
    elements = StoredRows(StoredField("elements", stream, Consecutive(stream.elements)))
    found = [np.zeros(1, np.int64)]
    try:
        for start in range(0, stream.elements, step):
            values = elements.read(start, min(start + step, stream.elements))
            found.append(start + 1 + np.flatnonzero(values == delimiter))
    finally:
        elements.close()
    if sum(map(len, found)) == 1:
        raise UserError(
            f"{where}.delimiter: none of the {stream.elements:,} elements is {delimiter}. Use the "
            "element that ends documents in these files."
        )
    return np.unique(np.concatenate([*found, [stream.elements]]))
