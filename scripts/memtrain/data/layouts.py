"""The layouts that rows can have: those of a record file, and those of rows in many files."""

import os
from typing import Any

from memtrain.core.ranges import Range
from memtrain.core.wording import listed
from memtrain.data.files_layout import FilesLayout, is_description
from memtrain.data.places_in_files import span_of_rows
from memtrain.data.record_file import (
    RecordLayout,
    dtype_from_json,
    dtype_to_json,
    read_record_layout,
)

#: How rows lie: in one record file, or in the files of a description.
RowLayout = RecordLayout | FilesLayout


def read_layout(data: str | os.PathLike) -> RowLayout:
    """Return the layout of the rows of a data file.

    Args:
        data: a record file, any ``.npy`` file of rows, or the description of rows in many files,
            ``rows.json``.

    Raises:
        UserError: where the file is missing, damaged, or nothing of these.
    """
    return FilesLayout.read(data) if is_description(data) else read_record_layout(data)


def layout_to_json(layout: RowLayout) -> dict[str, Any]:
    """Return a layout as ``layout_from_json`` reads it."""
    if isinstance(layout, FilesLayout):
        return layout.to_json()
    return {
        "dtype": dtype_to_json(layout.dtype),
        "row_shape": list(layout.row_shape),
        "rows": layout.rows,
        "row_bytes": layout.row_bytes,
        "offset": layout.offset,
    }


def layout_from_json(content: dict[str, Any], folder: str | os.PathLike) -> RowLayout:
    """Return the layout that ``layout_to_json`` described.

    Args:
        content: the description.
        folder: the folder of the results, where the borders of documents lie.
    """
    if "stored" in content:
        return FilesLayout.from_json(content, folder)
    return RecordLayout(
        dtype=dtype_from_json(content["dtype"]),
        row_shape=tuple(content["row_shape"]),
        rows=content["rows"],
        offset=content["offset"],
    )


def describe_places(layout: RowLayout, rows: Range, most: int = 4) -> str:
    """Return where rows lie, as text: "bytes [0, 80)", of rows in files "a.bin, bytes [0, 80)"."""
    if isinstance(layout, RecordLayout):
        return f"bytes {Range(*layout.byte_range(*rows))}"
    return listed([str(place) for place in span_of_rows(layout, rows)], most)
