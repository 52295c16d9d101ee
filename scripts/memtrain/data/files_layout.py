"""``FilesLayout``: rows that lie in many files, in fields side by side, or in windows of a stream.

It stands where a ``RecordLayout`` stands, and its file ``rows.json`` where a record file does:
nothing is copied. The rows of all stored fields, one after the other, make up a virtual record,
which is what digests are taken of.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.field_view import FieldView
from memtrain.data.record_file import RecordLayout, dtype_from_json, dtype_to_json
from memtrain.data.streams.row_addresses import Consecutive, Ragged, RowAddresses, Windows
from memtrain.data.streams.row_offsets import OffsetsFile
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.data.window_borders import (
    BordersInFile,
    map_offsets,
    map_windows,
    places_of_borders,
    write_borders,
)
from memtrain.system import checked_json

_MADE_BY = "describe_files"

_BORDERS_OF_FILES = "files"


@dataclass(frozen=True, eq=False)
class FilesLayout:
    """How rows lie in files.

    Attributes:
        stored: the stored fields, which all have the same number of rows.
        views: the fields of a row, by name.
    """

    stored: tuple[StoredField, ...]
    views: Mapping[str, FieldView]

    def __post_init__(self) -> None:
        _check_ragged_views(self.ragged)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.stored[0].rows

    @cached_property
    def ragged(self) -> dict[str, FieldView]:
        """The fields whose rows vary in length, by name."""
        names = {one.name for one in self.stored if one.is_ragged}
        return {name: view for name, view in self.views.items() if view.stored in names}

    def statistics_shape(self, field: str) -> tuple[int, ...]:
        """Return the shape of the statistics of a field: that of a row, or of one element of it.

        The positions of a window hold elements of one kind, so that one statistic is of them all.
        Floating-point numbers have one for each position, since values may be missing there, and
        since some are filled or standardized by position.

        Args:
            field: name of the field.
        """
        dtype = self.fields[field]
        (addresses,) = (
            one.addresses for one in self.stored if one.name == self.views[field].stored
        )
        is_pooled = isinstance(addresses, Windows) and dtype.base.kind in "iub"
        return dtype.shape[1:] if is_pooled else dtype.shape

    def lengths(self, field: str, rows: np.ndarray) -> np.ndarray:
        """Return the number of elements of rows of a field that varies in length.

        Args:
            field: name of the field.
            rows: int64 (n,), numbers of rows.

        Returns:
            int64 (n,).
        """
        view = self.ragged[field]
        (addresses,) = (one.addresses for one in self.stored if one.name == view.stored)
        assert isinstance(addresses, Ragged)
        return view.trimmed(np.zeros(len(rows), np.int64), addresses.lengths(rows))[1]

    @cached_property
    def dtype(self) -> np.dtype:
        """The virtual record: all stored fields, one after the other.

        Raises:
            ValueError: where rows vary in length, so that there is no record for all of them.
        """
        return np.dtype([(one.name, one.stream.dtype, one.row_shape) for one in self.stored])

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row, which is a single record."""
        return ()

    @property
    def row_dtype(self) -> np.dtype:
        """One row as a dtype."""
        return self.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all rows."""
        return (self.rows,)

    @property
    def row_bytes(self) -> int:
        """The size of one virtual record, in bytes; the mean size where rows vary in length."""
        return sum(one.row_bytes for one in self.stored)

    def bytes_of(self, ranges: Iterable[Range]) -> int:
        """Return the size of some rows, in bytes."""
        return sum(one.bytes_of(rows) for rows in ranges for one in self.stored)

    @cached_property
    def fields(self) -> dict[str, np.dtype]:
        """The dtype of every field of a row, with its shape.

        A field whose rows vary in length has the shape of one element.
        """
        stored = {one.name: one for one in self.stored}
        return {
            name: self._field_dtype(name, view, stored[view.stored])
            for name, view in self.views.items()
        }

    def _field_dtype(self, name: str, view: FieldView, stored: StoredField) -> np.dtype:
        stream = stored.stream
        if name in self.ragged:
            one = view.of_elements(np.empty((1, *stream.shape), stream.dtype))
        else:
            one = view.of(np.empty((1, *stored.row_shape), stream.dtype))
        return np.dtype((one.dtype, one.shape[1:]))

    @cached_property
    def view_dtype(self) -> np.dtype:
        """The fields of a row as one record dtype."""
        return np.dtype([(name, dtype.base, dtype.shape) for name, dtype in self.fields.items()])

    def values(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the values of every field, without a copy.

        Args:
            rows: (n,), virtual records.
        """
        return {name: view.of(rows[view.stored]) for name, view in self.views.items()}

    def in_record_file(self, path: str | os.PathLike) -> tuple[RecordLayout, "FilesLayout"]:
        """Return how the same rows lie in a record file of their virtual records.

        Args:
            path: the record file.

        Returns:
            The layout of the file, and that of these rows in it.
        """
        file = RecordLayout(self.dtype, (), self.rows)
        whole = (os.fspath(path), file.file_bytes, [(file.offset, file.rows)])
        stream = Stream.of_parts([whole], file.dtype)
        record = StoredField("record", stream, Consecutive(file.rows))
        views = {name: view.in_record(record.name) for name, view in self.views.items()}
        return file, FilesLayout((record,), views)

    @property
    def documents(self) -> list[Windows | Ragged]:
        """How streams of documents are cut into rows, where no file of the user's says that.

        Streams that are cut at the borders of files alone are not among them.
        """
        return [one.addresses for one in self.stored if _has_documents(one)]  # type: ignore[misc]

    @property
    def offsets_files(self) -> list[OffsetsFile]:
        """The user's files that say where rows begin."""
        ragged = [one.addresses for one in self.stored if isinstance(one.addresses, Ragged)]
        return [one.source for one in ragged if isinstance(one.source, OffsetsFile)]

    def to_json(self) -> dict[str, Any]:
        """Return the description as ``from_json`` reads it, but for the borders of documents."""
        places = iter(places_of_borders(self.documents))
        return {
            "rows": self.rows,
            "stored": [_stored_to_json(one, places) for one in self.stored],
            "views": {name: _view_to_json(view) for name, view in self.views.items()},
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], folder: str | os.PathLike = ".") -> "FilesLayout":
        """Return the layout that ``to_json`` described.

        Args:
            content: the description.
            folder: the folder that the borders of documents lie in.
        """
        return cls(
            tuple(_stored_from_json(one, folder) for one in content["stored"]),
            {name: _view_from_json(view) for name, view in content["views"].items()},
        )

    def write(self, path: str | os.PathLike) -> None:
        """Write the description, ``rows.json``, and beside it the borders of documents, if any."""
        if self.documents:
            write_borders(Path(path).parent, self.documents)
        checked_json.write(path, self.to_json())

    @classmethod
    def read(cls, path: str | os.PathLike) -> "FilesLayout":
        """Read a description that ``write`` wrote.

        Raises:
            UserError: where the file is missing, was changed, or describes no rows.
        """
        content = checked_json.read(path, _MADE_BY)
        try:
            return cls.from_json(content, Path(path).parent)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: this does not describe rows in files ({error!r}). Remove it and run "
                f"{_MADE_BY} again."
            ) from None


def _check_ragged_views(views: Mapping[str, FieldView]) -> None:
    """Raise a ``ValueError`` where the places of a field that varies in length are no trim."""
    for name, view in views.items():
        if (view.start or 0) < 0 or (view.end or 0) > 0:
            raise ValueError(
                f"{name}: the rows vary in length, so that places [{view.start}, {view.end}) of "
                "each of them are not there; a start of 0 or more and an end of 0 or less trim them"
            )


def is_description(path: str | os.PathLike) -> bool:
    """Return whether a path is that of a description of rows in files, by its name."""
    return os.fspath(path).endswith(".json")


def _has_documents(field: StoredField) -> bool:
    """Return whether the borders of the rows of a field are in ``borders.npy``."""
    addresses, firsts = field.addresses, field.stream.file_firsts
    if isinstance(addresses, Windows):
        return not np.array_equal(addresses.borders, firsts)
    if isinstance(addresses, Consecutive) or isinstance(addresses.source, OffsetsFile):
        return False
    return not np.array_equal(addresses.offsets, firsts)


def _stored_to_json(field: StoredField, places: Iterator[BordersInFile]) -> dict[str, Any]:
    stream = field.stream
    return {
        "name": field.name,
        "dtype": dtype_to_json(stream.dtype),
        "shape": list(stream.shape),
        "paths": list(stream.paths),
        "sizes": stream.sizes.tolist(),
        "part_files": stream.part_files.tolist(),
        "part_offsets": stream.part_offsets.tolist(),
        "firsts": stream.firsts.tolist(),
        "addresses": _addresses_to_json(field, places),
    }


def _stored_from_json(content: dict[str, Any], folder: str | os.PathLike) -> StoredField:
    integers = {
        key: np.array(content[key], np.int64)
        for key in ("sizes", "part_files", "part_offsets", "firsts")
    }
    stream = Stream(
        paths=tuple(content["paths"]),
        dtype=dtype_from_json(content["dtype"]),
        shape=tuple(content["shape"]),
        **integers,
    )
    addresses = _addresses_from_json(content["addresses"], stream, folder)
    return StoredField(content["name"], stream, addresses)


def _view_to_json(view: FieldView) -> dict[str, Any]:
    return {**asdict(view), "record_fields": list(view.record_fields)}


def _view_from_json(content: dict[str, Any]) -> FieldView:
    return FieldView(**{**content, "record_fields": tuple(content["record_fields"])})


def _addresses_to_json(field: StoredField, places: Iterator[BordersInFile]) -> dict[str, Any]:
    addresses = field.addresses
    if isinstance(addresses, Consecutive):
        return {"kind": "consecutive", "rows": addresses.rows}
    borders = asdict(next(places)) if _has_documents(field) else _BORDERS_OF_FILES
    if isinstance(addresses, Windows):
        return {
            "kind": "windows",
            "length": addresses.length,
            "stride": addresses.stride,
            "rest": addresses.rest,
            "borders": borders,
        }
    source = addresses.source
    return {
        "kind": "ragged",
        "rows": addresses.rows,
        "longest": addresses.longest,
        "elements": addresses.elements,
        "borders": asdict(source) if isinstance(source, OffsetsFile) else borders,
        **({} if addresses.are_documents else {"are_documents": False}),
    }


def _addresses_from_json(
    content: dict[str, Any], stream: Stream, folder: str | os.PathLike
) -> RowAddresses:
    if content["kind"] == "consecutive":
        return Consecutive(content["rows"])
    borders = content["borders"]
    if content["kind"] == "ragged":
        source: OffsetsFile | np.ndarray
        if borders == _BORDERS_OF_FILES:
            source = stream.file_firsts
        elif "path" in borders:
            source = OffsetsFile(**borders)
        else:
            source = map_offsets(folder, BordersInFile(**borders))
        are_documents = content.get("are_documents", True)
        return Ragged(
            source, content["rows"], content["longest"], content["elements"], are_documents
        )
    edges, first_rows = stream.file_firsts, None
    if borders != _BORDERS_OF_FILES:
        edges, first_rows = map_windows(folder, BordersInFile(**borders))
    return Windows(content["length"], content["stride"], edges, content["rest"], first_rows)
