"""The groups of files that the description of the rows of today makes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.data.file_groups import FileGroup, file_groups, files_of_rows, rows_digest
from memtrain.data.files_layout import FilesLayout
from memtrain.system.file_notes import FileState


@dataclass(frozen=True)
class DescribedGroups:
    """The groups of files in which rows lie.

    Attributes:
        layout: how the rows lie.
        groups: the groups by their names, in the order of the rows.
    """

    layout: FilesLayout
    groups: dict[str, FileGroup]

    def bytes_of(self, name: str) -> int:
        """Return how many bytes of rows a group has; 0 where there is no such group."""
        group = self.groups.get(name)
        return self.layout.bytes_of([group.rows]) if group else 0

    def digest_of(
        self, name: str, digest_of_file: Callable[[str | os.PathLike], str | None]
    ) -> str | None:
        """Return the digest of all that a group is read from; None where a part is not known.

        Args:
            name: the name of the group.
            digest_of_file: returns the digest of a file; None for one that is not known.
        """
        rows = self.groups[name].rows
        found = {path: digest_of_file(path) for path in files_of_rows(self.layout, rows)}
        known = {path: digest for path, digest in found.items() if digest is not None}
        if len(known) < len(found):
            return None
        return rows_digest(self.layout, rows, known.__getitem__)


def described_groups(data: Path) -> DescribedGroups:
    """Return the groups of files of a description, ``rows.json``, as it is now.

    Raises:
        UserError: where it is missing or damaged.
    """
    try:
        return _described_in(data, FileState.of(data))
    except FileNotFoundError:
        raise UserError(f"{data}: there is no such file. Run describe_files.") from None


@lru_cache(maxsize=1)
def _described_in(data: Path, _state: FileState) -> DescribedGroups:
    layout = FilesLayout.read(data)
    return DescribedGroups(layout, {group.name: group for group in file_groups(layout)})
