"""Digests of files that are read again only where a file may have changed.

A note says which digest a file had, together with its size, both of its times and its inode. While
these are the same, so is the digest, and a file of any size costs one question to the file system.
Where one of them differs, the file is read again: copied, moved and touched files are read once,
and keep their digest. Git knows the files of its working tree in the same way (`Documentation/
technical/racy-git.txt` in its sources), and with the same care for files that were written in the
same moment as they were read.
"""

import os
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.system import canonical_json
from memtrain.system.digests import digest_of_file

#: A file that changed less than this before it was read is not noted: a second change might leave
#: its times as they are, since file systems count time in steps.
_YOUNGEST_NS = 2_000_000_000


@dataclass(frozen=True)
class _FileState:
    """What the file system says of a file; it changes with every change of the content."""

    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "_FileState":
        found = os.stat(path)
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class KnownDigests:
    """The digests of files, from the notes of earlier calls where these still hold.

    Args:
        file: the file of the notes, JSON. A file that is missing or damaged holds no notes.
        most_bytes: most bytes that are read in all; None for no limit.
        on_read: called with the path and the size of a file before it is read.
    """

    def __init__(
        self,
        file: str | os.PathLike,
        most_bytes: int | None = None,
        on_read: Callable[[Path, int], None] = lambda path, size_bytes: None,
    ):
        self._file = Path(file)
        self._bytes_left = most_bytes
        self._on_read = on_read
        self._notes = _read_notes(self._file)
        self._is_changed = False
        self._unread: dict[Path, int] = {}

    @property
    def unread(self) -> dict[Path, int]:
        """The sizes of the files, in bytes, that were not read because of the limit."""
        return dict(self._unread)

    def digest(self, path: str | os.PathLike) -> str | None:
        """Return the digest of a file, "sha256:0123..."; None where the limit forbids to read it.

        Raises:
            UserError: where the file is missing or cannot be read.
        """
        path = Path(path)
        try:
            state = _FileState.of(path)
            known = self._notes.get(str(path))
            if known is not None and known[:-1] == list(astuple(state)):
                return known[-1]
            if not self._may_read(path, state.size_bytes):
                return None
            self._on_read(path, state.size_bytes)
            digest = digest_of_file(path)
            self._note(path, state, digest)
            return digest
        except OSError as error:
            raise UserError(f"{path}: the file cannot be read ({error.strerror}).") from None

    def save(self) -> None:
        """Write the notes, if there are new ones; without a word where that is not possible.

        The notes only save time: without them, files are read again.
        """
        if not self._is_changed:
            return
        try:
            canonical_json.write(self._file, {"files": self._notes})
        except (OSError, UserError):
            return
        self._is_changed = False

    def _may_read(self, path: Path, size_bytes: int) -> bool:
        if self._bytes_left is None:
            return True
        if size_bytes > self._bytes_left:
            self._unread[path] = size_bytes
            return False
        self._bytes_left -= size_bytes
        return True

    def _note(self, path: Path, state: _FileState, digest: str) -> None:
        is_old = time.time_ns() - max(state.modified_ns, state.changed_ns) > _YOUNGEST_NS
        if is_old and _FileState.of(path) == state:
            self._notes[str(path)] = [*astuple(state), digest]
            self._is_changed = True


def _read_notes(file: Path) -> dict[str, list[Any]]:
    try:
        notes = canonical_json.read(file, made_by="snakemake")["files"]
    except (UserError, OSError, KeyError, TypeError):
        return {}
    if not isinstance(notes, dict):
        return {}
    return {path: note for path, note in notes.items() if _is_note(note)}


def _is_note(note: Any) -> bool:
    fields = len(_FileState.__dataclass_fields__)
    return (
        isinstance(note, list)
        and len(note) == fields + 1
        and all(isinstance(number, int) for number in note[:-1])
        and isinstance(note[-1], str)
    )
