"""The files of a field and what their headers say: which arrays lie in them, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memtrain.config.files import FieldSettings, FilesSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import counted, did_you_mean, listed
from memtrain.data.file_order import find_files
from memtrain.data.formats import megatron
from memtrain.data.formats.dtypes import dtype_text, parse_dtype
from memtrain.data.formats.file_formats import ONLY_ARRAY, read_arrays, why_not_read
from memtrain.data.formats.found_array import FoundArray
from memtrain.data.formats.raw import RawFormat
from memtrain.data.streams.stream import Stream


@dataclass(frozen=True)
class ChosenArray:
    """An array of files, or a field of its records.

    Attributes:
        array: name of the array; empty for the only one of a file.
        record_fields: name of a field of its records; none for all of its values.
    """

    array: str = ONLY_ARRAY
    record_fields: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FileHeaders:
    """Files that lie end to end.

    Attributes:
        where: key of the settings that name them, for messages.
        paths: their paths, in order.
        sizes: their sizes in bytes.
        arrays: the arrays of each file, by name.
    """

    where: str
    paths: Sequence[str]
    sizes: Sequence[int]
    arrays: Sequence[Mapping[str, FoundArray]]

    @classmethod
    def read(cls, where: str, settings: FieldSettings | FilesSettings) -> "FileHeaders":
        """Find files, and read their headers.

        Raises:
            UserError: where there is no such file, or a file cannot be read.
        """
        paths = paths_of(settings)
        arrays = [arrays_of(path, settings) for path in paths]
        return cls(where, paths, [Path(path).stat().st_size for path in paths], arrays)

    def choose(self, name: str | None) -> ChosenArray:
        """Return the array that a name stands for.

        Args:
            name: name of an array, or of a field of the records of the only array; None for the
                only array.

        Raises:
            UserError: where there is none, or where there are several and none is named.
        """
        arrays, first = self.arrays[0], self.paths[0]
        if name is None and len(arrays) == 1:
            return ChosenArray(next(iter(arrays)))
        if name is None:
            raise UserError(
                f"{self.where}: {first} holds {counted(len(arrays), 'array')}: {listed(arrays)}. "
                "Name one of them: `array: ...`."
            )
        if name in arrays:
            return ChosenArray(name)
        known = list(arrays)
        if len(arrays) == 1:
            only = next(iter(arrays))
            known = list(arrays[only].dtype.names or known)
            if name in (arrays[only].dtype.names or ()):
                return ChosenArray(only, (name,))
        refused = {} if ONLY_ARRAY in arrays else why_not_read(first)
        if name in refused:
            raise UserError(f"{self.where}: {refused[name]}")
        known = [one for one in known if one]
        has = f"It has {listed(known)}." if known else "It holds one array without a name."
        raise UserError(
            f"{self.where}: {first} has no array or field {name!r}. {has}"
            f"{did_you_mean(name, known)}"
        )

    def names(self) -> list[str]:
        """Return the names of the arrays of a file, or of the fields of its only array."""
        arrays = self.arrays[0]
        if len(arrays) > 1:
            return list(arrays)
        return list(next(iter(arrays.values())).dtype.names or ())

    def stream(self, array: str) -> Stream:
        """Return an array of all files, laid end to end.

        Raises:
            UserError: where a file lacks it, or has it in another type or shape than the first.
        """
        found = self._of_all(array)
        first = found[0]
        for path, one in zip(self.paths, found, strict=True):
            if (one.dtype, one.shape, one.unit) != (first.dtype, first.shape, first.unit):
                raise UserError(
                    f"{self.where}: {path} has {_described(one)}, but {self.paths[0]} has "
                    f"{_described(first)}. Files that lie end to end have elements of one type and "
                    "shape. Name only those that belong together."
                )
        return Stream.of_parts(
            zip(self.paths, self.sizes, (one.parts for one in found), strict=True),
            first.dtype,
            first.shape,
        )

    def unit(self, chosen: ChosenArray) -> str | None:
        """Return what the integers of an array count; None where the files do not say it."""
        return self.arrays[0][chosen.array].unit

    def documents(self, where: str, array: str, stream: Stream) -> np.ndarray:
        """Return the borders of documents that the files know: int64 (documents + 1,), elements.

        Args:
            where: key of the setting, for messages.
            array: name of the array.
            stream: its elements.

        Raises:
            UserError: where a file knows of none.
        """
        borders = [np.zeros(1, np.int64)]
        for path, first, one in zip(
            self.paths, stream.file_firsts.tolist(), self._of_all(array), strict=False
        ):
            if one.borders is None:
                raise UserError(
                    f"{where}: {path} does not say where documents begin. Use file, {{offsets: "
                    "FILE} or {delimiter: N}."
                )
            borders.append(first + one.borders[1:])
        return np.concatenate(borders)

    def _of_all(self, array: str) -> list[FoundArray]:
        lacking = [
            path for path, one in zip(self.paths, self.arrays, strict=True) if array not in one
        ]
        if lacking:
            raise UserError(
                f"{self.where}: {lacking[0]} has no array {array!r}, which {self.paths[0]} has; "
                f"{counted(len(lacking), 'file')} of {len(self.paths)} lack it. Name only files "
                "that have it."
            )
        return [one[array] for one in self.arrays]


def paths_of(settings: FieldSettings | FilesSettings) -> list[str]:
    """Return the files that the path of settings stands for, in their order.

    An index of Megatron's stands for the file of its values.

    Raises:
        UserError: where there is no such file, or where a file and its index are both named.
    """
    named: dict[str, str] = {}
    for path in find_files(settings.path or []):
        is_index = settings.format != "raw" and megatron.is_index(path)
        values = megatron.values_of(path) if is_index else path
        if values in named:
            raise UserError(
                f"{path}: this and {named[values]} are one dataset of Megatron's, whose elements "
                "would count twice. Name one of the two, such as *.bin."
            )
        named[values] = path
    return list(named)


def arrays_of(path: str, settings: FieldSettings | FilesSettings) -> dict[str, FoundArray]:
    """Return the arrays of a file by their names.

    Raises:
        UserError: where the file is missing, damaged, or not as the settings say.
    """
    raw = None
    if settings.dtype is not None:
        dtype = parse_dtype(settings.dtype)
        raw = RawFormat(dtype, tuple(settings.shape), settings.header_bytes)
    return read_arrays(path, raw=raw, format=settings.format)


def _described(array: FoundArray) -> str:
    shape = f" of shape {array.shape}" if array.shape else ""
    unit = f" in {array.unit}" if array.unit else ""
    return f"elements of {dtype_text(array.dtype)}{shape}{unit}"
