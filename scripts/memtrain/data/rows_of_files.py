"""The files that rows lie in: their sizes, and one digest of all that they hold."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from memtrain.config.results import BORDERS_FILE
from memtrain.core.errors import UserError
from memtrain.data.files_layout import FilesLayout, is_description
from memtrain.data.made_from import files_digest

#: Names of what rows are read from: the file of rows or the description, the borders of documents,
#: and, before its path, each of the user's files.
ROWS, BORDERS, FILE = "rows", "borders", "file "


def files_of_layout(layout: FilesLayout) -> dict[str, int]:
    """Return the files that rows lie in, with the sizes in bytes that they had.

    Files that say where rows begin are among them.
    """
    found = {
        path: size
        for one in layout.stored
        for path, size in zip(one.stream.paths, one.stream.sizes.tolist(), strict=True)
    }
    return found | {one.path: one.file_bytes for one in layout.offsets_files}


def size_of_rows(data: str | os.PathLike) -> int:
    """Return the bytes of the file of rows, or of the files that are described; 0 where unknown."""
    if not is_description(data):
        return os.path.getsize(data)
    try:
        return sum(files_of_layout(FilesLayout.read(data)).values())
    except UserError:
        return 0


def contents_of_rows(
    data: str | os.PathLike, digest_of: Callable[[str | os.PathLike], str | None]
) -> dict[str, str | None]:
    """Return the digests of everything that rows are read from; None for one that is not known.

    Where the results lie makes no difference, so their own files have names and no paths.

    Args:
        data: the file of rows, or the description of rows in files.
        digest_of: returns the digest of a file; None for one that is not known.

    Raises:
        UserError: where the description is damaged.
    """
    found = {ROWS: digest_of(data)}
    if is_description(data):
        layout = FilesLayout.read(data)
        if layout.documents:
            found[BORDERS] = digest_of(Path(data).with_name(BORDERS_FILE))
        found |= {f"{FILE}{path}": digest_of(path) for path in files_of_layout(layout)}
    return found


def digest_of_contents(contents: Mapping[str, str | None]) -> str | None:
    """Return one digest of what ``contents_of_rows`` found; None where a part is not known.

    Of a file of rows, it is the digest of the file.
    """
    known = {name: digest for name, digest in contents.items() if digest is not None}
    if len(known) < len(contents):
        return None
    return known[ROWS] if len(known) == 1 else files_digest(known)
