"""The files that rows lie in, as exports tell of them."""

from dataclasses import dataclass
from pathlib import Path

from memtrain.data.files_layout import FilesLayout
from memtrain.data.streams.row_addresses import Ragged
from memtrain.data.streams.stored_field import StoredField
from memtrain.system.digests import digest_of_file
from memtrain.system.file_notes import FileNotes, FileState


@dataclass(frozen=True)
class DescribedFile:
    """A file that rows lie in.

    Attributes:
        path: its path, as the configuration gives it.
        size_bytes: its size when its rows were described.
        digest: "sha256:..." of its content; None where it is not known.
    """

    path: str
    size_bytes: int
    digest: str | None


def described_files(
    layout: FilesLayout, project: Path, notes: FileNotes, *, read: bool = False
) -> list[DescribedFile]:
    """Return the files of all fields, each once, in order.

    Args:
        layout: how the rows lie.
        project: the folder of the project.
        notes: digests of files that were read before.
        read: whether files are read whose digests are not known.

    Raises:
        OSError: where a file has to be read and cannot be.
    """
    sizes = {
        path: size
        for field in layout.stored
        for path, size in zip(field.stream.paths, field.stream.sizes.tolist(), strict=True)
    }
    return [
        DescribedFile(path, size, _digest(project, path, notes, read=read))
        for path, size in sizes.items()
    ]


def description_of(field: StoredField) -> str:
    """Return what lies in the files of a field: "elements of uint16, ..."."""
    stream = field.stream
    element = f"{stream.dtype} of shape {stream.shape}" if stream.shape else str(stream.dtype)
    addresses = field.addresses
    length = "any number" if isinstance(addresses, Ragged) else f"{addresses.length:,}"
    return f"elements of {element}, laid end to end; a row is {length} of them"


def _digest(project: Path, path: str, notes: FileNotes, *, read: bool) -> str | None:
    known = None
    try:
        # Notes are under the paths of the configuration, which count from the project.
        known = notes.get(Path(path), FileState.of(project / path))
    except OSError:
        if read:
            raise
    if isinstance(known, str):
        return known
    return digest_of_file(project / path) if read else None
