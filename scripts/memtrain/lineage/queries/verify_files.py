"""Compares the files that rows lie in with their description, and tells where rows lie."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from memtrain.core.ranges import Range
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout
from memtrain.data.places_in_files import span_of_rows


@dataclass(frozen=True)
class FileProblem:
    """A file that is not as it was described.

    Attributes:
        kind: "missing" where the file is gone or cannot be looked at, "changed" where it has
            another size.
        path: the path, as the configuration gave it.
        message: what is wrong, and what to do.
    """

    kind: Literal["missing", "changed"]
    path: str
    message: str


def file_problems(layout: FilesLayout, project: Path) -> Iterator[FileProblem]:
    """Yield what is wrong with the files of some rows, each file once.

    Args:
        layout: how the rows lie.
        project: the folder that paths are relative to.
    """
    sizes = {
        path: size
        for field in layout.stored
        for path, size in zip(field.stream.paths, field.stream.sizes.tolist(), strict=True)
    }
    for path, size in sizes.items():
        try:
            found = os.stat(project / path).st_size
        except OSError as error:
            reason = error.strerror or str(error)
            yield FileProblem(
                "missing",
                path,
                f"{path}: rows lie in this file, but it cannot be found ({reason}). Bring it back; "
                "or, if it was meant to go, take it out of the configuration and run snakemake.",
            )
            continue
        if found != size:
            yield FileProblem(
                "changed",
                path,
                f"{path}: {found:,} bytes where {size:,} were described; "
                f"{_from_where(found, size)}. Bring it back as it was; or, if the change was "
                "meant, run snakemake, which describes the rows anew.",
            )


def place_facts(layout: RowLayout, rows: Range) -> dict[str, Any]:
    """Return where rows lie, for programs: "bytes" of a record file, or "files" with bytes."""
    if isinstance(layout, FilesLayout):
        return {"files": [list(place) for place in span_of_rows(layout, rows)]}
    return {"bytes": list(layout.byte_range(*rows))}


def _from_where(found: int, described: int) -> str:
    if found < described:
        return f"it is cut at byte {found:,}"
    return f"it goes on after byte {described:,}"
