"""Croissant 1.1 metadata of a dataset: its file or files, its fields, their types and shapes.

Croissant requires the sha256 of every whole file. It is taken from the records, or from the notes
of the workflow, if the file has not changed since; otherwise the file is read once to compute it.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout
from memtrain.data.number_types import BFLOAT16
from memtrain.data.record_file import RecordLayout
from memtrain.data.source import Source
from memtrain.lineage.export.described_files import DescribedFile, description_of
from memtrain.lineage.export.provenance import hexadecimal
from memtrain.system.atomic_files import write_text
from memtrain.system.digests import digest_of_file

_NPY = "https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"

#: The terms that the Croissant specification lists, and one of memtrain's own.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "memtrain": "urn:memtrain:",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
} | {
    term: f"cr:{term}"
    for term in (
        *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract"),
        *("field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray"),
        *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
        *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source"),
        *("subField", "transform"),
    )
}


@dataclass(frozen=True)
class DatasetFile:
    """The file of rows, or the description of rows in files, and what is known of it.

    Attributes:
        dataset: the name of the dataset.
        data: the file of rows, or the description of rows in files.
        layout: the layout of the rows.
        source: what the columns mean and where they came from.
        digest: "sha256:..." of the whole file; None if it has to be computed.
        manifest_digest: "sha256:..." of the manifest, which leads to the digests of all shards;
            None where there is no manifest.
        project: the folder that the paths of ``files`` count from.
        files: the files that the rows lie in, with their digests; none for a file of rows.
    """

    dataset: str
    data: Path
    layout: RowLayout
    source: Source
    digest: str | None = None
    manifest_digest: str | None = None
    project: Path = Path()
    files: Sequence[DescribedFile] = ()


def write_croissant(file: DatasetFile, path: Path) -> None:
    """Write the metadata as JSON-LD, with the paths of files relative to it.

    Files whose absolute path the configuration gives keep it.
    """
    folder = path.resolve().parent

    def url_of(data: Path) -> str:
        return Path(os.path.relpath(data.resolve(), folder)).as_posix()

    write_text(path, json.dumps(metadata(file, url_of), indent=1) + "\n")


def metadata(file: DatasetFile, url_of: Callable[[Path], str]) -> dict[str, Any]:
    """Return the metadata.

    Args:
        file: the file of rows, or the description of rows in files.
        url_of: returns the path of a file, relative to the metadata.
    """
    distribution, sources = (
        _in_files(file, file.layout, url_of)
        if isinstance(file.layout, FilesLayout)
        else _in_one_file(file, file.layout, url_of)
    )
    if file.manifest_digest:
        distribution[-1]["memtrain:manifest"] = file.manifest_digest
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": file.dataset,
        "description": _description(file),
        "distribution": distribution,
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "row",
                "name": "row",
                "description": f"{file.layout.rows} rows, numbered from 0 in file order.",
                "field": [
                    _field(name, dtype, _columns(file.source, name), sources[name])
                    for name, dtype in file.layout.fields.items()
                ],
            }
        ],
    }


def _in_one_file(
    file: DatasetFile, layout: RecordLayout, url_of: Callable[[Path], str]
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the file of rows, and where each field lies in it."""
    rows = {
        "@type": "cr:FileObject",
        "@id": "rows",
        "name": file.data.name,
        "description": "One NumPy file of records, one record a row, to be memory-mapped.",
        "contentUrl": url_of(file.data),
        "contentSize": f"{layout.file_bytes} B",
        "encodingFormat": _NPY,
        "sha256": hexadecimal(file.digest or digest_of_file(file.data), "sha256"),
    }
    return [rows], {name: {"fileObject": {"@id": "rows"}} for name in layout.fields}


def _in_files(
    file: DatasetFile, layout: FilesLayout, url_of: Callable[[Path], str]
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the files, the sets of them that hold a field, and the set of each field."""
    objects = [
        {
            "@type": "cr:FileObject",
            # Croissant's own package takes no ids with spaces, which paths may have.
            "@id": f"file/{number}",
            "name": one.path,
            "contentUrl": one.path
            if Path(one.path).is_absolute()
            else url_of(file.project / one.path),
            "contentSize": f"{one.size_bytes} B",
            "encodingFormat": "application/octet-stream",
            "sha256": hexadecimal(one.digest, "sha256"),
        }
        for number, one in enumerate(file.files)
    ]
    sets = [
        {
            "@type": "cr:FileSet",
            "@id": f"files/{number}",
            "name": one.name,
            "description": description_of(one),
            "encodingFormat": "application/octet-stream",
            "includes": list(dict.fromkeys(one.stream.paths)),
        }
        for number, one in enumerate(layout.stored)
    ]
    ids = {one.name: f"files/{number}" for number, one in enumerate(layout.stored)}
    sources = {name: {"fileSet": {"@id": ids[view.stored]}} for name, view in layout.views.items()}
    return [*objects, *sets], sources


def _description(file: DatasetFile) -> str:
    origin = file.source.origin.get("kind", "unknown")
    return f"{file.layout.rows} rows for {file.source.task}; their origin: {origin}."


def _columns(source: Source, field: str) -> list[str]:
    columns = [one for one in source.columns if one.field == field]
    if not columns:
        return {"features": source.features, "target": source.target}.get(field, [])
    return [name for one in columns for name in one.names]


def _field(
    name: str, dtype: np.dtype, columns: list[str], source: dict[str, Any]
) -> dict[str, Any]:
    base, shape = dtype.subdtype or (dtype, ())
    field = {
        "@type": "cr:Field",
        "@id": f"row/{name}",
        "name": name,
        "description": ", ".join(columns) or "the values of a row",
        "dataType": _data_type(base),
        "source": {**source, "extract": {"column": name}},
    }
    array = {"isArray": True, "arrayShape": ",".join(map(str, shape))} if shape else {}
    return field | array


def _data_type(dtype: np.dtype) -> str:
    if dtype.kind == "b":
        return "sc:Boolean"
    if dtype == BFLOAT16:  # Croissant has no name for it.
        return "sc:Float"
    names = {"f": "Float", "i": "Int", "u": "UInt"}
    if dtype.kind not in names:
        raise UserError(
            f"dtype {dtype}: Croissant has no type for it; it has booleans, integers and floats."
        )
    return f"cr:{names[dtype.kind]}{8 * dtype.itemsize}"
