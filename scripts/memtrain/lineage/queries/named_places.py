"""Finds the rows and the bytes that a user names by a file, by bytes, by elements or by a document.

Files are named as the configuration names them, or by any other path to the same place.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memtrain.core.errors import UserError
from memtrain.core.ranges import MOST_ROWS, Range, merge_ranges
from memtrain.core.wording import did_you_mean, listed, shown_path
from memtrain.data.files_layout import FilesLayout
from memtrain.data.formats import megatron
from memtrain.data.layouts import RowLayout
from memtrain.data.places_in_files import (
    FileBytes,
    bytes_of_document,
    bytes_of_elements,
    rows_of_bytes,
)
from memtrain.data.streams.stored_field import StoredField


@dataclass(frozen=True)
class NamedPlace:
    """What a user says of a place in files; None for what is not said.

    Attributes:
        path: the file.
        span: bytes of the file.
        elements: elements of the file; without a path, of the whole stream.
        document: number of a document in the file; without a path, in the whole stream.
        field: the field whose elements or documents are counted.
    """

    path: str | None = None
    span: Range | None = None
    elements: Range | None = None
    document: int | None = None
    field: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return self == NamedPlace()

    def __str__(self) -> str:
        parts = [
            self.path,
            self.span and f"bytes {self.span}",
            self.elements and f"elements {self.elements}",
            None if self.document is None else f"document {self.document}",
            self.field and f"field {self.field}",
        ]
        return ", ".join(part for part in parts if part)


def is_file_of_rows(layout: RowLayout, path: str) -> bool:
    """Return whether rows lie in a file, by its path."""
    return isinstance(layout, FilesLayout) and _named_file(layout, path) is not None


def bytes_of_place(layout: RowLayout, place: NamedPlace) -> list[FileBytes]:
    """Return the bytes of a place, joined where they touch.

    Args:
        layout: how the rows lie.
        place: the place.

    Raises:
        UserError: where there is no such file, field, element or document.
    """
    if not isinstance(layout, FilesLayout):
        raise UserError(
            f"{place}: rows lie in one record file here. Name them by --rows START:END or --shard."
        )
    path = None if place.path is None else _file_of_rows(layout, place.path)
    if place.elements is None and place.document is None:
        if path is None:
            raise UserError(f"{place}: --bytes are those of a file. Name the file, too.")
        return [_bytes_of_file(layout, path, place.span)]
    field = _field(layout, place, path)
    if place.elements is not None:
        found = bytes_of_elements(field, place.elements, path)
        if not found:
            raise UserError(f"{place}: there are {_counted_elements(field, path)} elements.")
        return found
    assert place.document is not None, "elements or a document are named"
    try:
        return bytes_of_document(field, place.document, path)
    except LookupError as error:
        raise UserError(
            f"{place}: there are {error.args[0]:,} documents, which are counted from 0. "
            "Documents are known where no window crosses their borders, but not with "
            "`rest: pad`; --elements and --bytes can always be used."
        ) from None


def rows_of_places(layout: RowLayout, places: Iterable[FileBytes]) -> list[Range]:
    """Return the rows that some bytes are part of, sorted."""
    if not isinstance(layout, FilesLayout):
        return []
    found = [rows_of_bytes(layout, one.path, Range(one.start, one.end)) for one in places]
    return merge_ranges(rows for ranges in found for rows in ranges)


def _bytes_of_file(layout: FilesLayout, path: str, span: Range | None) -> FileBytes:
    size = _size_of_file(layout, path)
    start, end = span or (0, size)
    if start >= size:
        raise UserError(f"{path}: it has {size:,} bytes, and none of {Range(start, end)}.")
    return FileBytes(path, start, min(end, size))


def _size_of_file(layout: FilesLayout, path: str) -> int:
    for field in layout.stored:
        if path in field.stream.paths:
            return int(field.stream.sizes[field.stream.paths.index(path)])
    return MOST_ROWS


def _file_of_rows(layout: FilesLayout, path: str) -> str:
    """Return the path by which a layout names a file.

    Raises:
        UserError: where no row lies in the file.
    """
    found = _named_file(layout, path)
    if found is None:
        paths = _paths(layout)
        raise UserError(
            f"{shown_path(path)}: no rows lie in this file.{did_you_mean(path, paths)} Rows lie in "
            f"{listed(paths, 3)}."
        )
    return found


def _named_file(layout: FilesLayout, path: str) -> str | None:
    paths = _paths(layout)
    if path.endswith(".idx") and _named_file(layout, values := megatron.values_of(path)):
        path = values  # Megatron's index and values are one dataset.
    if path in paths:
        return path
    whole = os.path.abspath(path)
    return next((one for one in paths if os.path.abspath(one) == whole), None)


def _paths(layout: FilesLayout) -> Sequence[str]:
    return list(dict.fromkeys(path for field in layout.stored for path in field.stream.paths))


def _field(layout: FilesLayout, place: NamedPlace, path: str | None) -> StoredField:
    """Return the field whose elements or documents are meant."""
    fields = [one for one in layout.stored if path is None or path in one.stream.paths]
    if place.field is not None:
        fields = [one for one in fields if one.name == place.field]
    if len(fields) == 1:
        return fields[0]
    names = listed([one.name for one in layout.stored])
    what = "no field is called so" if not fields else "several fields have elements there"
    raise UserError(f"{place}: {what}. Name one of them by --field: {names}.")


def _counted_elements(field: StoredField, path: str | None) -> str:
    stream = field.stream
    if path is None:
        return f"{stream.elements:,}"
    files = [number for number, name in enumerate(stream.paths) if name == path]
    return f"{sum(int(stream.file_firsts[one + 1] - stream.file_firsts[one]) for one in files):,}"
