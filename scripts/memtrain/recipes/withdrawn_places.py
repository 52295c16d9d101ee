"""Where withdrawn bytes of files lie in the files of today, and which rows they are part of.

Bytes are where they were as long as the file has them there. They are also in every other file
with the content that their file had, so that a file that was renamed or copied is found.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, merge_ranges
from memtrain.data.files_layout import FilesLayout, is_description
from memtrain.data.places_in_files import FileBytes, rows_of_bytes
from memtrain.recipes.withdrawals import WithdrawnBytes
from memtrain.system.digests import digest_algorithm, new_digest
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class FoundBytes:
    """Where some withdrawn bytes lie now.

    Attributes:
        ranges: the rows that they are part of, sorted.
        missing: the bytes that are not found.
    """

    ranges: list[Range]
    missing: list[WithdrawnBytes]


class FilesToday:
    """The files in which rows lie today.

    Args:
        data: the description of the rows.
        notes: the digests that whole files had before.
    """

    def __init__(self, data: str | os.PathLike, notes: FileNotes):
        self._data = data
        self._known = KnownDigests(notes, most_bytes=0)

    def find(self, places: Sequence[WithdrawnBytes]) -> FoundBytes:
        """Return where some bytes lie now.

        Raises:
            UserError: where the description of the rows cannot be read.
        """
        ranges: list[Range] = []
        missing = []
        for place in places:
            files = [path for path in self._candidates(place) if self._is_in(path, place)]
            for path in files:
                assert self._layout is not None, "there are files"
                ranges += rows_of_bytes(self._layout, path, Range(place.start, place.end))
            if not files:
                missing.append(place)
        return FoundBytes(merge_ranges(ranges), missing)

    def described(self, place: FileBytes) -> WithdrawnBytes:
        """Return what some bytes are found by later.

        Raises:
            UserError: where they cannot be read.
        """
        digest = digest_of_bytes(place)
        whole = self._known.digest(place.path)
        return WithdrawnBytes(
            path=place.path, start=place.start, end=place.end, digest=digest, file=whole
        )

    @cached_property
    def _layout(self) -> FilesLayout | None:
        return FilesLayout.read(self._data) if is_description(self._data) else None

    @cached_property
    def _paths(self) -> list[str]:
        layout = self._layout
        fields = layout.stored if layout is not None else ()
        return list(dict.fromkeys(path for field in fields for path in field.stream.paths))

    @cached_property
    def _paths_by_digest(self) -> dict[str, list[str]]:
        """The paths of the files whose digests are known, by these."""
        found: dict[str, list[str]] = {}
        for path in self._paths:
            digest = self._known.digest(path) if os.path.isfile(path) else None
            if digest is not None:
                found.setdefault(digest, []).append(path)
        return found

    def _candidates(self, place: WithdrawnBytes) -> list[str]:
        """Return the paths of the files in which the bytes may lie."""
        named = [place.path] if place.path in self._paths else []
        same = self._paths_by_digest.get(place.file, []) if place.file else []
        return list(dict.fromkeys([*named, *same]))

    def _is_in(self, path: str, place: WithdrawnBytes) -> bool:
        if place.file is not None and path in self._paths_by_digest.get(place.file, []):
            return True
        try:
            found = digest_of_bytes(FileBytes(path, place.start, place.end), place.digest)
        except UserError:
            return False
        return found == place.digest


def digest_of_bytes(place: FileBytes, like: str = "sha256:") -> str:
    """Return the digest of bytes of a file, read through one small buffer.

    Args:
        place: the bytes.
        like: a digest by the same algorithm.

    Raises:
        UserError: where the file is gone, cannot be read, or ends before the last byte.
    """
    algorithm = digest_algorithm(like)
    digest = new_digest(algorithm)
    left = place.end - place.start
    try:
        with Path(place.path).open("rb") as file:
            file.seek(place.start)
            while left and (content := file.read(min(left, _CHUNK_BYTES))):
                digest.update(content)
                left -= len(content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{place.path}: this file cannot be read ({reason}).") from None
    if left:
        raise UserError(f"{place.path}: it ends {left:,} bytes before byte {place.end:,}.")
    return f"{algorithm}:{digest.hexdigest()}"
