"""Which arrays lie in files that a user names, and which of the files belong together."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np

from memtrain.config.files import FieldSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.file_headers import FileHeaders
from memtrain.data.file_order import find_files, natural_key
from memtrain.data.number_types import BFLOAT16

#: Endings of files that are read where they lie; what a file begins with decides then.
ENDINGS = (".npy", ".safetensors", ".arrow", ".feather", ".bin", ".idx")

#: Endings that an import does not read.
_NEVER_IMPORTED = (".safetensors", ".bin", ".idx")

#: Bytes of all files from which on they are left where they lie, unless the user wants a copy.
_MOST_COPIED = 1 << 30

_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True, eq=False)
class ArrayGroup:
    """Files whose elements lie end to end.

    Attributes:
        name: a name for a field that lies in them.
        path: what the configuration calls them: a file, a pattern or a list.
        headers: their arrays.
    """

    name: str
    path: str | list[str]
    headers: FileHeaders

    @property
    def array(self) -> str:
        """The name of the first array; empty for the only one of a file."""
        return next(iter(self.headers.arrays[0]))

    @property
    def dtype(self) -> np.dtype:
        """The type of the first array."""
        return self.headers.arrays[0][self.array].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an element of the first array."""
        return self.headers.arrays[0][self.array].shape

    @property
    def rows(self) -> int:
        """The number of elements of the first array, in all files."""
        return sum(arrays[self.array].elements for arrays in self.headers.arrays)

    def described(self, name: str = "") -> str:
        """Return type and shape of an element, or of a named array or field of records, in words.

        Args:
            name: the name of an array or of a field of records; empty for the only array.
        """
        arrays = self.headers.arrays[0]
        if name in arrays:
            dtype, shape = arrays[name].dtype, arrays[name].shape
        else:
            dtype = self.dtype[name]
            dtype, shape = dtype.base, dtype.shape
        return f"{dtype}, {' x '.join(map(str, shape))} a row" if shape else str(dtype)


def stay_where_they_lie(paths: Sequence[str]) -> bool:
    """Return whether files are better left where they lie: what no import takes, and large ones."""
    try:
        files = list(files_of(paths))
    except UserError:
        return False
    if not files or not all(_ending(file) in ENDINGS for file in files):
        return False
    if len(paths) > 2 or any(_ending(file) in _NEVER_IMPORTED for file in files):
        return True
    return sum(map(os.path.getsize, files)) > _MOST_COPIED or any(map(_has_blocks, files))


def _has_blocks(file: str) -> bool:
    """Return whether the rows of a file have more than one axis, as images have."""
    if _ending(file) != ".npy":
        return False
    with open(file, "rb") as stream:
        try:
            np.lib.format.read_magic(stream)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        except ValueError:
            return False
    return len(shape) > 2 and dtype.names is None


def array_groups(paths: Sequence[str]) -> list[ArrayGroup]:
    """Return the files of some paths, those together whose names differ by a number alone.

    Args:
        paths: files, folders, patterns.

    Raises:
        UserError: where files cannot be read.
    """
    together: dict[str, list[str]] = {}
    for file in files_of(paths):
        if _ending(file) not in ENDINGS:
            raise UserError(
                f"{file}: --in-place is for arrays, whose endings are {listed(ENDINGS)}. Leave it "
                "out, and the file is imported."
            )
        together.setdefault(_NUMBERS.sub("0", file), []).append(file)
    groups: list[ArrayGroup] = []
    for files in together.values():
        for part in _alike(files):
            name = _free_name(part, [group.name for group in groups])
            path = _pattern_of(part)
            groups.append(ArrayGroup(name, path, _headers(path)))
    return groups


def files_of(paths: Sequence[str]) -> Iterator[str]:
    """Yield the files of some paths: of a folder, those whose endings are those of arrays.

    Raises:
        UserError: where there is no such file, or none in a folder.
    """
    for path in paths:
        if os.path.isdir(path):
            found = [os.path.join(path, name) for name in os.listdir(path) if name[0] != "."]
            found = [file for file in found if _ending(file) in ENDINGS]
            if not found:
                raise UserError(
                    f"{path}: no file in this folder has one of the endings {listed(ENDINGS)}. "
                    "Name the files, or a pattern in quotes."
                )
            yield from sorted(found, key=natural_key)
        else:
            yield from find_files(path)


def _alike(files: list[str]) -> list[list[str]]:
    """Return files apart whose elements are of different types or shapes."""
    kinds: dict[str, list[str]] = {}
    for file in files:
        arrays = _headers(file).arrays[0]
        kind = repr([(name, one.dtype, one.shape) for name, one in arrays.items()])
        kinds.setdefault(kind, []).append(file)
    return list(kinds.values())


def _headers(path: str | list[str]) -> FileHeaders:
    try:
        return FileHeaders.read("init", FieldSettings.model_validate({"path": path}))
    except UserError as error:
        hint = (
            "Where it is a stream of tokens, say their type: --dtype uint16. For other raw files, "
            "write `dataset: files:` by hand: docs/guides/files.md."
        )
        raise UserError(
            *(f"{one} {hint}" if "dtype" in one else one for one in error.problems)
        ) from None


def _pattern_of(files: list[str]) -> str | list[str]:
    """Return a pattern that stands for files and no others; the files where there is none."""
    if len(files) == 1:
        return files[0]
    pieces = [
        here[0] if len(set(here)) == 1 else "*"
        for here in zip(*(_NUMBERS.split(file) for file in files), strict=True)
    ]
    pattern = "".join(pieces)
    return pattern if sorted(glob(pattern)) == sorted(files) else files


def named_path(paths: Sequence[str], files: list[str]) -> str | list[str]:
    """Return what a configuration calls the files of some paths, in their order.

    Args:
        paths: files, folders, patterns.
        files: the files that they stand for.
    """
    if len(paths) == 1 and not os.path.isdir(paths[0]):
        return paths[0]
    return _pattern_of(files)


def _free_name(files: list[str], taken: list[str]) -> str:
    """Return a name for a field, made of the part of the names that the files share."""
    stem = Path(files[0]).name.split(".")[0]
    if len(files) > 1:
        stem = _NUMBERS.sub("_", stem)
    name = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_") or "rows"
    name = name if name[0].isalpha() else f"field_{name}"
    names = [name, *(f"{name}_{number}" for number in range(2, len(taken) + 3))]
    return next(one for one in names if one not in taken)


def _ending(file: str) -> str:
    return Path(file).suffix.lower()


def is_number_type(dtype: np.dtype) -> bool:
    """Return whether models can be given values of a type."""
    return dtype.kind in "fiub" or dtype == BFLOAT16
