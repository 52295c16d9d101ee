"""The files that an import reads: found by a path, a folder or a pattern, and identified.

The rules of the workflow import this module in every job, so it must not import Arrow.
"""

import os
from collections.abc import Iterable
from glob import glob
from pathlib import Path

from memtrain.config.dataset import TwoPaths
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.wording import listed
from memtrain.system.digests import new_digest
from memtrain.system.file_notes import FileState
from memtrain.system.progress import Progress

#: Endings of the names of files that can be read, in lower case.
ENDINGS = (
    ".npy",
    ".npz",
    ".csv",
    ".csv.gz",
    ".tsv",
    ".tsv.gz",
    ".txt",
    ".txt.gz",
    ".zip",
    ".parquet",
    ".arrow",
    ".feather",
)

#: Endings that other files than tables have, too, so that a folder does not stand for them.
_ENDINGS_OF_NOTES = (".txt", ".txt.gz")

_HASHED_BYTES = 1 << 20


def source_files(path: str | TwoPaths) -> list[Path]:
    """Return the files that a path stands for, sorted by name; of two paths, one after the other.

    Args:
        path: a file; a folder, where files with unknown endings and .txt files are ignored; or a
            pattern, where ``**`` stands for any number of folders.

    Raises:
        UserError: where there is no such file, or where one is of an unknown kind.
    """
    if isinstance(path, TwoPaths):
        return list(dict.fromkeys([*source_files(path.features), *source_files(path.target)]))
    given = Path(path)
    if given.is_dir():
        visible = (file for file in given.iterdir() if not file.name.startswith("."))
        known = {"", *_ENDINGS_OF_NOTES}
        found = [file for file in visible if file.is_file() and ending_of(file) not in known]
    else:
        names = [path] if given.exists() else glob(path, recursive=True)
        found = [Path(name) for name in names if os.path.isfile(name)]
    if not found:
        state = "no file in this folder has a known ending" if given.is_dir() else "no such file"
        raise UserError(
            f"{path}: {state}. Give a file, a folder or a pattern like data/*.csv, relative to "
            f"{Path.cwd()}; known endings are {listed(ENDINGS)}."
        )
    raise_problems(
        f"{file}: files of this kind are not read; known endings are {listed(ENDINGS)}."
        for file in found
        if not ending_of(file)
    )
    return sorted(found, key=str)


def ending_of(file: Path) -> str:
    """Return the known ending of a file's name; an empty text where it has none."""
    name = file.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def file_states(files: Iterable[Path]) -> list[FileState | None]:
    """Return the state of every file; None for a file that is gone."""
    return [FileState.of(file) if file.exists() else None for file in files]


def describe_files(files: list[Path]) -> list[dict[str, str | int]]:
    """Read every file, and return its path, its size and its digest, as ``source.json`` has it."""
    described: list[dict[str, str | int]] = []
    with Progress("hashing", sum(file.stat().st_size for file in files), "bytes") as progress:
        for file in files:
            digest = new_digest("sha256")
            with file.open("rb") as stream:
                while chunk := stream.read(_HASHED_BYTES):
                    digest.update(chunk)
                    progress.advance(len(chunk))
            described.append(
                {
                    "path": file.as_posix(),
                    "bytes": file.stat().st_size,
                    "sha256": digest.hexdigest(),
                }
            )
    return described
