"""Cuts a stream into rows that vary in length."""

import numpy as np

from memtrain.config.ragged import LengthsOfRows, OffsetsOfRows, RaggedSettings
from memtrain.config.windows import BordersAtElement
from memtrain.core.errors import UserError
from memtrain.data.file_headers import FileHeaders
from memtrain.data.found_offsets import find_offsets
from memtrain.data.streams.row_addresses import Ragged
from memtrain.data.streams.row_offsets import OffsetsFile
from memtrain.data.streams.stream import Stream
from memtrain.data.window_cutting import borders_at_element


def cut_into_ragged_rows(
    headers: FileHeaders, array: str, stream: Stream, settings: RaggedSettings
) -> Ragged:
    """Return the rows of a stream.

    Args:
        headers: the files of the stream.
        array: name of its array in the files.
        stream: the elements.
        settings: where rows end.

    Raises:
        UserError: where offsets are wrong, there are no rows, or elements belong to none.
    """
    rows = Ragged.described(_offsets(headers, array, stream, settings), stream.elements)
    if rows.rows == 0:
        raise UserError(f"{headers.where}.ragged: there are no rows. Name borders of at least one.")
    first, end = rows.span(0, rows.rows)
    if (first, end) != (0, stream.elements):
        raise UserError(
            f"{headers.where}.ragged.borders: the rows are the elements {first:,} to {end:,}, but "
            f"the files have {stream.elements:,}, of which the others would not be used. Offsets "
            "begin with 0 and end with the end of the last row, and lengths add up to all elements."
        )
    return rows


def _offsets(
    headers: FileHeaders, array: str, stream: Stream, settings: RaggedSettings
) -> OffsetsFile | np.ndarray:
    """Return the first element of every row, and the end of the last; or where they lie."""
    borders, where = settings.borders, f"{headers.where}.ragged.borders"
    if isinstance(borders, OffsetsOfRows):
        return find_offsets(borders.offsets)
    if isinstance(borders, LengthsOfRows):
        return find_offsets(borders.lengths, "lengths")
    if isinstance(borders, BordersAtElement):
        return borders_at_element(where, borders.delimiter, stream)
    return headers.documents(where, array, stream) if borders == "documents" else stream.file_firsts
