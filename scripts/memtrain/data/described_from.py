"""What the description of rows in files is made from: paths, sizes and headers of the files.

The values in the files are no part of it, unless the settings name an element at which documents
end. Headers are noted with the states of their files, so that a later call reads no file again that
has not changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from memtrain.config.files import FieldSettings, FilesSettings
from memtrain.config.ragged import LengthsOfRows, OffsetsOfRows
from memtrain.config.windows import BordersAtElement, BordersInFile
from memtrain.core.errors import UserError
from memtrain.data.file_headers import arrays_of, paths_of
from memtrain.data.formats import megatron
from memtrain.data.formats.found_array import FoundArray
from memtrain.system import canonical_json
from memtrain.system.file_notes import FileNotes, FileState

#: Returns the digest of the content of a file; None where it is not known now.
ContentDigest = Callable[[str], str | None]


def described_from(
    settings: FilesSettings, notes: FileNotes, content_digest: ContentDigest
) -> str | None:
    """Return the digest of what a description is made from, beside the settings and the code.

    Args:
        settings: the settings of the files.
        notes: digests of headers that were read before.
        content_digest: returns the digest of a file.

    Returns:
        The digest; None where the content of a file has to be known and is not.

    Raises:
        UserError: where a file is missing or cannot be read.
    """
    found: dict[str, list[tuple[str, str | None]]] = {}
    for name, field in fields_of(settings):
        headers = [(path, header_digest(path, field, notes)) for path in paths_of(field)]
        contents = [(path, content_digest(path)) for path in _paths_of_content(field)]
        found[name] = [*headers, *contents]
    is_known = all(digest is not None for part in found.values() for _, digest in part)
    return canonical_json.digest(found) if is_known else None


def fields_of(settings: FilesSettings) -> Iterator[tuple[str, FieldSettings | FilesSettings]]:
    """Yield the settings of every field by its name; "" for the rows of one path."""
    if settings.fields is None:
        yield "", settings
    else:
        yield from settings.fields.items()


def files_of_field(settings: FieldSettings) -> list[str]:
    """Return all files that the rows of a field are read from, those of their borders included.

    Raises:
        UserError: where there is no such file.
    """
    values = paths_of(settings)
    indices = [index for path in values if (index := megatron.index_beside(path))]
    return list(dict.fromkeys([*values, *map(str, indices), *_paths_of_content(settings)]))


def header_digest(path: str, settings: FieldSettings | FilesSettings, notes: FileNotes) -> str:
    """Return the digest of the size of a file and of what its header says.

    Raises:
        UserError: where the file is missing or cannot be read.
    """
    state = _state(path)
    # Notes hold for what the settings say of the file, and for an index beside it as it is now.
    stated = [settings.format, settings.dtype, settings.shape, settings.header_bytes]
    index = megatron.index_beside(path)
    read_as = canonical_json.digest([*stated, asdict(_state(index)) if index else None])
    known = notes.get(Path(path), state)
    if isinstance(known, list) and known[:1] == [read_as]:
        return str(known[-1])
    arrays = {name: _described(array) for name, array in arrays_of(path, settings).items()}
    digest = canonical_json.digest({"bytes": state.size_bytes, "arrays": arrays})
    notes.put(Path(path), state, [read_as, digest])
    return digest


def _paths_of_content(settings: FieldSettings | FilesSettings) -> list[str]:
    """Return the files whose content decides where rows lie."""
    cuts = settings.windows or settings.ragged
    match None if cuts is None else cuts.borders:
        case (
            BordersInFile(offsets=path) | OffsetsOfRows(offsets=path) | LengthsOfRows(lengths=path)
        ):
            return [path]
        case BordersAtElement():
            return paths_of(settings)
    return []


def _state(path: str) -> FileState:
    try:
        return FileState.of(Path(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: this file cannot be read ({reason}).") from None


def _described(array: FoundArray) -> list[object]:
    borders = None if array.borders is None else canonical_json.digest(array.borders.tolist())
    unit = [array.unit] if array.unit else []
    parts = [list(part) for part in array.parts]
    return [repr(array.dtype), list(array.shape), parts, borders, *unit]
