"""The files of a crate, and rows of them as selections of their files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from memtrain.core.ranges import Range
from memtrain.lineage.export.provenance import File, Provenance, hexadecimal
from memtrain.lineage.records.privacy import OUTSIDE
from memtrain.lineage.records.run_record import PieceUse

_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
    ".yaml": "application/yaml",
}


class Places:
    """Where the files of a provenance are in a crate.

    Args:
        provenance: that names the files.
        project: the folder that their paths are seen from.
        folder: of the crate, the project or above it.
    """

    def __init__(self, provenance: Provenance, project: Path, folder: Path):
        self._prefix = project.relative_to(folder)
        # Of a path that was overwritten, only the last version can be the one that is there.
        last = {file.path: file for file in sorted(provenance.files, key=lambda one: one.number)}
        last |= {use.file.path: use.file for run in provenance.runs for use in run.writes}
        self._in_place = {
            file.number for path, file in last.items() if _is_there(project / path, file)
        }

    def is_in_place(self, file: File) -> bool:
        """Return whether this version of a file lies below the crate, by its path and size."""
        return file.number in self._in_place

    def id_of(self, file: File) -> str:
        """Return the path of a file, seen from the crate; a name for what is not there."""
        path = quote((self._prefix / file.path).as_posix())
        return path if self.is_in_place(file) else f"#version/{file.number}/{quote(file.path)}"

    def entity(self, file: File) -> dict[str, Any]:
        """Return the entity of a file."""
        properties = {"name": file.path, "description": f"{file.role} of the dataset"}
        if file.sha256:
            properties["sha256"] = file.sha256
        elif file.digest:
            properties["identifier"] = file.digest
        if not self.is_in_place(file):
            return {"@id": self.id_of(file), "@type": "CreativeWork"} | properties
        properties["contentSize"] = str(file.size)
        media_type = _MEDIA_TYPES.get(Path(file.path).suffix, "application/octet-stream")
        return {"@id": self.id_of(file), "@type": "File", "encodingFormat": media_type} | properties


def row_id(source: str, rows: Range) -> str:
    """Return the id of rows of a file: a fragment in the manner of RFC 7111, the last row in it."""
    return f"{source}#row={rows.start}-{rows.end - 1}"


def piece_entities(source: str, piece: PieceUse, place: Range | None) -> Iterator[dict[str, Any]]:
    """Yield rows of one shard, and how to select them from their file.

    The rows are selected by their numbers, from 0 and with the last one among them as RFC 7111 has
    it, and by their bytes, the last one not among them as the Web Annotation model has it.

    Args:
        source: the id of the file.
        piece: the rows, and the digest of exactly these.
        place: their bytes, where they are known.
    """
    one = row_id(source, piece.rows)
    selectors = [f"{one}&by=row", *([f"{one}&by=byte"] if place else [])]
    sha256 = hexadecimal(piece.digest, "sha256")
    # RO-Crate has no term for other digests; with its algorithm it still names the bytes.
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


def _is_there(path: Path, file: File) -> bool:
    if file.path.startswith(OUTSIDE):
        return False
    return path.is_file() and path.stat().st_size == file.size
