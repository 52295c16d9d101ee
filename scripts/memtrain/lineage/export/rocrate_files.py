"""The entities of a crate for files, and for rows of files that runs read."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from memtrain.core.ranges import Range
from memtrain.lineage.export.described_files import DescribedFile
from memtrain.lineage.export.provenance import Provenance, hexadecimal
from memtrain.lineage.index.facts import Version
from memtrain.lineage.records.privacy import OUTSIDE_PROJECT
from memtrain.lineage.records.run_record import PieceUse

_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
    ".yaml": "application/yaml",
}


class Places:
    """Finds out where the files of a provenance are, relative to a crate.

    Args:
        provenance: the runs whose files the crate describes.
        project: the folder of the project.
        folder: the folder of the crate, which is the project or a folder above it.
    """

    def __init__(self, provenance: Provenance, project: Path, folder: Path):
        self._project = project
        self._prefix = project.relative_to(folder)
        # If a file was overwritten, only its last version can be on the disk.
        last = {file.path: file for file in sorted(provenance.files, key=lambda one: one.id)}
        last |= {use.file.path: use.file for run in provenance.runs for use in run.writes}
        self._in_place = {file.id for path, file in last.items() if _is_there(project / path, file)}

    def is_in_place(self, file: Version) -> bool:
        """Return whether this version of a file is on the disk, judged by its path and size."""
        return file.id in self._in_place

    def id_of(self, file: Version) -> str:
        """Return the id of a file: its path in the crate, or an id of its own if it is gone."""
        path = quote((self._prefix / file.path).as_posix())
        return path if self.is_in_place(file) else f"#version/{file.id}/{quote(file.path)}"

    def id_of_row_file(self, file: DescribedFile) -> str:
        """Return the id of a file that rows lie in: its path in the crate, or an id of its own."""
        path = os.path.normpath(self._prefix / file.path)
        is_inside = not os.path.isabs(path) and not path.startswith("..")
        try:
            is_there = (self._project / file.path).stat().st_size == file.size_bytes
        except OSError:
            is_there = False
        if is_inside and is_there:
            return quote(Path(path).as_posix())
        return f"#file/{quote(file.path)}"

    def row_file_entity(self, file: DescribedFile) -> dict[str, Any]:
        """Return the entity of a file that rows lie in."""
        known = {"sha256": hexadecimal(file.digest, "sha256")} if file.digest else {}
        name = self.id_of_row_file(file)
        kind = "CreativeWork" if name.startswith("#") else "File"
        return {
            "@id": name,
            "@type": kind,
            "name": file.path,
            "description": "a file in which rows of the dataset lie",
            "contentSize": str(file.size_bytes),
        } | known

    def entity(self, file: Version) -> dict[str, Any]:
        """Return the entity of a file."""
        properties = {"name": file.path, "description": f"{file.role} of the dataset"}
        if sha256 := hexadecimal(file.digest, "sha256"):
            properties["sha256"] = sha256
        elif file.digest:
            properties["identifier"] = file.digest
        if not self.is_in_place(file):
            return {"@id": self.id_of(file), "@type": "CreativeWork"} | properties
        properties["contentSize"] = str(file.size)
        media_type = _MEDIA_TYPES.get(Path(file.path).suffix, "application/octet-stream")
        return {"@id": self.id_of(file), "@type": "File", "encodingFormat": media_type} | properties


def row_id(source: str, rows: Range) -> str:
    """Return the id of rows of a file: a fragment as RFC 7111 defines it, with the last row."""
    return f"{source}#row={rows.start}-{rows.end - 1}"


def piece_entities(source: str, piece: PieceUse, place: Range | None) -> Iterator[dict[str, Any]]:
    """Yield the entities of rows of one shard, with their selectors.

    One selector names the row numbers, from 0 and including the last one, as RFC 7111 does. The
    other names the bytes, excluding the end, as the Web Annotation model does.

    Args:
        source: the id of the file.
        piece: the rows with their digest.
        place: the bytes that the rows take in the file; None where they are not known.
    """
    one = row_id(source, piece.rows)
    selectors = [f"{one}&by=row", *([f"{one}&by=byte"] if place else [])]
    sha256 = hexadecimal(piece.digest, "sha256")
    # RO-Crate has no term for other digests, but as identifiers they still identify the bytes.
    digest = {"sha256": sha256} if sha256 else {"identifier": piece.digest}
    yield {
        "@id": one,
        "@type": ["CreativeWork", "oa:SpecificResource"],
        "name": f"rows {piece.rows} of shard {piece.shard}",
        "isPartOf": {"@id": source},
        "oa:hasSource": {"@id": source},
        "oa:hasSelector": [{"@id": selector} for selector in selectors],
    } | digest
    yield {
        "@id": selectors[0],
        "@type": "oa:FragmentSelector",
        "conformsTo": {"@id": "https://www.rfc-editor.org/rfc/rfc7111"},
        "name": "rows, counted from 0, the last one included",
        "value": f"row={piece.rows.start}-{piece.rows.end - 1}",
    }
    if place:
        yield {
            "@id": selectors[1],
            "@type": "oa:DataPositionSelector",
            "name": "bytes, counted from 0, the end not included",
            "oa:start": place.start,
            "oa:end": place.end,
        }


def _is_there(path: Path, file: Version) -> bool:
    if file.path.startswith(OUTSIDE_PROJECT):
        return False
    return path.is_file() and path.stat().st_size == file.size
