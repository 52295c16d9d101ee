"""Groups of files that are indexed together: by one job, into parts of the manifest of their own.

A group ends before a file whose name says so, with a chance that grows with the size of the file.
So the groups stay what they are where files are added, removed or changed elsewhere, and few small
files make one group.

Where all files together grow beyond 512 GiB, and beyond each doubling of it, groups become twice as
large, so that there are never more than about a thousand jobs. Groups then join, and four fifths of
the rows are indexed anew (measured with files of 256 MiB). Over the whole growth of a dataset that
is less than one more reading of all of it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from memtrain.core.ranges import Range
from memtrain.data.files_layout import FilesLayout
from memtrain.data.places_in_files import file_borders, segment_runs
from memtrain.data.record_file import dtype_to_json
from memtrain.data.streams.row_addresses import Ragged, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import ByteRuns
from memtrain.system import canonical_json

#: Bytes that a group has on average, if there are not so many files that it must have more.
_GROUP_BYTES = 1 << 30

#: Most groups that there are on average: files of more than 512 GiB make larger groups.
_MOST_GROUPS = 512

#: A group ends in any case where it has so many times the bytes of an average one.
_LARGEST_GROUP = 4

#: What opening a file costs, as bytes that could be read meanwhile.
_BYTES_PER_FILE = 1 << 18

_ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class FileGroup:
    """Files that are indexed together.

    Attributes:
        name: name of the group, which no other group has: that of its first file, as hexadecimal
            digits of a digest.
        rows: the rows that begin in the files.
    """

    name: str
    rows: Range


@dataclass(frozen=True)
class _Section:
    """Rows between two borders of files.

    Attributes:
        rows: the rows.
        digest: digest of the paths in which the first row begins.
        weight: its bytes, and what opening files costs.
    """

    rows: Range
    digest: bytes
    weight: int


def file_groups(layout: FilesLayout) -> list[FileGroup]:
    """Return the groups of the files of some rows, in the order of the rows."""
    sections = _sections(layout)
    total = sum(section.weight for section in sections)
    target = _GROUP_BYTES
    while target * _MOST_GROUPS < total:
        target *= 2
    groups: list[list[_Section]] = []
    weight = 0
    for section in sections:
        is_full = weight + section.weight > _LARGEST_GROUP * target
        if not groups or is_full or (total > target and _ends_before(section, target)):
            groups.append([])
            weight = 0
        groups[-1].append(section)
        weight += section.weight
    return [
        FileGroup(group[0].digest.hex()[:20], Range(group[0].rows.start, group[-1].rows.end))
        for group in groups
    ]


def rows_digest(layout: FilesLayout, rows: Range, digest_of: Callable[[str], str]) -> str:
    """Return one digest of everything that some rows are read from, without reading the rows.

    It is the same where the files have the same content, and the rows lie in them alike, wherever
    the files lie, and whatever numbers the rows have.

    Args:
        layout: how the rows lie.
        rows: the rows.
        digest_of: the function that returns the digest of a whole file.
    """
    fields = [_described(field, rows, digest_of) for field in layout.stored]
    views = {name: asdict(view) for name, view in layout.views.items()}
    return canonical_json.digest({"fields": fields, "views": views})


def files_of_rows(layout: FilesLayout, rows: Range) -> list[str]:
    """Return the paths of the files that some rows lie in, each once, in order."""
    paths = [
        field.stream.paths[file]
        for field in layout.stored
        for file in _files_in_order(_runs(field, rows))
    ]
    return list(dict.fromkeys(paths))


def _sections(layout: FilesLayout) -> list[_Section]:
    borders = [0, *file_borders(layout), layout.rows]
    first_rows = np.array(borders[:-1], np.int64)
    files = [
        np.searchsorted(field.stream.file_firsts, field.addresses.starts(first_rows), "right") - 1
        for field in layout.stored
    ]
    sections: list[_Section] = []
    seen: dict[bytes, int] = {}
    for number, (start, end) in enumerate(pairwise(borders)):
        paths = [
            field.stream.paths[file[number]]
            for field, file in zip(layout.stored, files, strict=True)
        ]
        digest = hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).digest()
        if again := seen.get(digest, 0):  # The same files are listed twice.
            digest = hashlib.sha256(digest + again.to_bytes(8)).digest()
        seen[digest] = again + 1
        weight = layout.bytes_of([Range(start, end)]) + _BYTES_PER_FILE
        sections.append(_Section(Range(start, end), digest, weight))
    return sections


def _ends_before(section: _Section, target: int) -> bool:
    """Return whether a group ends before a section: with the chance of its share of a group."""
    return int.from_bytes(section.digest[:8]) * target < section.weight << 64


def _runs(field: StoredField, rows: Range) -> ByteRuns:
    return field.stream.byte_runs(*segment_runs(field.addresses, rows))


def _files_in_order(runs: ByteRuns) -> list[int]:
    return list(dict.fromkeys(runs.file.tolist()))


def _described(field: StoredField, rows: Range, digest_of: Callable[[str], str]) -> dict:
    """Return what a field of some rows is read from, as JSON."""
    runs = _runs(field, rows)
    files = _files_in_order(runs)
    numbers = np.zeros(max(files, default=0) + 1, np.int64)
    numbers[files] = np.arange(len(files))
    places = hashlib.sha256()
    for column in (runs.run, numbers[runs.file], runs.place, runs.size):
        places.update(np.ascontiguousarray(column, "<i8").data)
    at = field.addresses
    return {
        "name": field.name,
        "dtype": dtype_to_json(field.stream.dtype),
        "shape": list(field.stream.shape),
        "rows": rows.rows,
        "windows": [at.length, at.stride, at.rest] if isinstance(at, Windows) else None,
        "files": [digest_of(field.stream.paths[file]) for file in files],
        "places": places.hexdigest(),
        "lengths": _digest_of_lengths(at, rows) if isinstance(at, Ragged) else None,
    }


def _digest_of_lengths(addresses: Ragged, rows: Range) -> str:
    """Return the digest of how many elements each of some rows has."""
    lengths = hashlib.sha256()
    for start in range(rows.start, rows.end, _ROWS_AT_ONCE):
        some = np.arange(start, min(start + _ROWS_AT_ONCE, rows.end))
        lengths.update(np.ascontiguousarray(addresses.lengths(some), "<i8").data)
    return lengths.hexdigest()
