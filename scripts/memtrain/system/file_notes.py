"""Notes on the content of files that hold as long as a file has not changed.

A note is kept with the size of its file, both of its times and its inode. While these are the same,
so is the content, and what was found in a file of any size costs one question to the file system.
Where one of them differs, the file has to be read again: copied, moved and touched files are read
once more. Git knows the files of its working tree in the same way (`Documentation/technical/
racy-git.txt` in its sources), and with the same care for files that were written in the moment in
which they were read.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.system import canonical_json
from memtrain.system.sole_writer import sole_writer

#: A file that changed less than this before it was read is not noted: a second change might leave
#: its times as they are, since file systems count time in steps.
_YOUNGEST_NS = 2_000_000_000


@dataclass(frozen=True)
class FileState:
    """What the file system says of a file; it changes with every change of the content."""

    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """Return the state of a file.

        Raises:
            OSError: if there is no such file.
        """
        found = os.stat(path)
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    @property
    def numbers(self) -> list[int]:
        """The state as JSON."""
        return [self.size_bytes, self.modified_ns, self.changed_ns, self.inode]


class FileNotes:
    """Notes on files, from this process and from earlier ones.

    Args:
        file: the file that keeps the notes, JSON; None for no file. A file that is missing or
            damaged holds no notes.
    """

    def __init__(self, file: Path | None = None):
        self._file = file
        self._notes = _read(file)
        self._new: dict[str, list[Any]] = {}

    def get(self, path: Path, state: FileState) -> Any:
        """Return the note on a file in a state; None where there is none."""
        note = self._notes.get(str(path))
        return note[-1] if note is not None and note[:-1] == state.numbers else None

    def put(self, path: Path, state: FileState, value: Any) -> None:
        """Note what was read from a file, unless it may have changed since.

        Args:
            path: the file.
            state: its state before it was read.
            value: what was found, as JSON.
        """
        is_old = time.time_ns() - max(state.modified_ns, state.changed_ns) > _YOUNGEST_NS
        if is_old and FileState.of(path) == state:
            self._notes[str(path)] = self._new[str(path)] = [*state.numbers, value]

    def save(self) -> None:
        """Write the notes, if there are new ones; without a word where that is not possible.

        The notes only save time: without them, files are read again.
        """
        if self._file is None or not self._new:
            return
        with suppress(OSError, UserError), sole_writer(self._file):
            # Read again: another process may have written notes since.
            notes = _read(self._file) | self._new
            canonical_json.write(self._file, {"files": notes})
            self._new = {}


def _read(file: Path | None) -> dict[str, list[Any]]:
    if file is None:
        return {}
    try:
        notes = canonical_json.read(file, made_by="snakemake")["files"]
    except (UserError, OSError, KeyError, TypeError):
        return {}
    if not isinstance(notes, dict):
        return {}
    return {path: note for path, note in notes.items() if _is_note(note)}


def _is_note(note: Any) -> bool:
    numbers = len(fields(FileState))
    return (
        isinstance(note, list)
        and len(note) == numbers + 1
        and all(isinstance(number, int) for number in note[:-1])
    )
