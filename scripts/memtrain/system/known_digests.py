"""Digests of files that are read again only where a file may have changed."""

import os
from collections.abc import Callable
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.system.digests import digest_of_file
from memtrain.system.file_notes import FileNotes, FileState


class KnownDigests:
    """The digests of files, from notes where these still hold.

    Args:
        notes: the digests that files had before.
        most_bytes: most bytes that are read in all; None for no limit.
        on_read: called with the path and the size of a file before it is read.
    """

    def __init__(
        self,
        notes: FileNotes,
        most_bytes: int | None = None,
        on_read: Callable[[Path, int], None] = lambda path, size_bytes: None,
    ):
        self._notes = notes
        self._bytes_left = most_bytes
        self._on_read = on_read
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
            state = FileState.of(path)
            known = self._notes.get(path, state)
            if isinstance(known, str):
                return known
            if not self._may_read(path, state.size_bytes):
                return None
            self._on_read(path, state.size_bytes)
            digest = digest_of_file(path)
            self._notes.put(path, state, digest)
        except OSError as error:
            raise UserError(f"{path}: the file cannot be read ({error.strerror}).") from None
        return digest

    def read_digest(self, path: str | os.PathLike) -> str:
        """Return the digest of a file, where there is no limit to what is read.

        Raises:
            UserError: where the file is missing or cannot be read.
        """
        digest = self.digest(path)
        assert digest is not None, "there is no limit to what is read"
        return digest

    def _may_read(self, path: Path, size_bytes: int) -> bool:
        if self._bytes_left is None:
            return True
        if size_bytes > self._bytes_left:
            self._unread[path] = size_bytes
            return False
        self._bytes_left -= size_bytes
        return True
