"""The files that rows lie in: their sizes, and one digest of all that they hold."""

import os
from collections.abc import Callable
from pathlib import Path

from memtrain.config.results import BORDERS_FILE
from memtrain.core.errors import UserError
from memtrain.data.files_layout import FilesLayout, is_description
from memtrain.data.made_from import files_digest


def files_of_layout(layout: FilesLayout) -> dict[str, int]:
    """Return the files that rows lie in, with the sizes in bytes that they had."""
    return {
        path: size
        for one in layout.stored
        for path, size in zip(one.stream.paths, one.stream.sizes.tolist(), strict=True)
    }


def size_of_rows(data: str | os.PathLike) -> int:
    """Return the bytes of the file of rows, or of the files that are described; 0 where unknown."""
    if not is_description(data):
        return os.path.getsize(data)
    try:
        return sum(files_of_layout(FilesLayout.read(data)).values())
    except UserError:
        return 0


def digest_of_rows(
    data: str | os.PathLike, digest_of: Callable[[str | os.PathLike], str | None]
) -> str | None:
    """Return one digest of everything that rows are read from; None where a part is not known.

    Args:
        data: the file of rows, whose own digest it is; or the description of rows in files.
        digest_of: returns the digest of a file; None for one that is not known.

    Raises:
        UserError: where the description is damaged.
    """
    if not is_description(data):
        return digest_of(data)
    layout = FilesLayout.read(data)
    # Where the results lie makes no difference, so their files have no paths here.
    found = {"description": digest_of(data)}
    if layout.documents:
        found["borders"] = digest_of(Path(data).with_name(BORDERS_FILE))
    found |= {f"file {path}": digest_of(path) for path in files_of_layout(layout)}
    known = {name: digest for name, digest in found.items() if digest is not None}
    return files_digest(known) if len(known) == len(found) else None
