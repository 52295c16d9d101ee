"""Croissant 1.1 metadata of a dataset: its file, its fields, their types and shapes.

Croissant requires the sha256 of the whole file. It is taken from the records if the file has not
changed since it was recorded; otherwise the file is read once to compute it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.record_file import RecordLayout
from memtrain.data.source import Source
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
    """The file of rows, and what is known of it.

    Attributes:
        dataset: the name of the dataset.
        data: the file of rows.
        layout: the layout of the file.
        source: what the columns mean and where they came from.
        digest: "sha256:..." of the whole file; None if it has to be computed.
        manifest_digest: "sha256:..." of the manifest, which leads to the digests of all shards;
            None where there is no manifest.
    """

    dataset: str
    data: Path
    layout: RecordLayout
    source: Source
    digest: str | None = None
    manifest_digest: str | None = None


def write_croissant(file: DatasetFile, path: Path) -> None:
    """Write the metadata as JSON-LD, with the path of the file of rows relative to it."""
    url = Path(os.path.relpath(file.data.resolve(), path.resolve().parent)).as_posix()
    write_text(path, json.dumps(metadata(file, url), indent=1) + "\n")


def metadata(file: DatasetFile, url: str) -> dict[str, Any]:
    """Return the metadata.

    Args:
        file: the file of rows.
        url: the path of the file of rows, relative to the metadata.
    """
    sha256 = hexadecimal(file.digest or digest_of_file(file.data), "sha256")
    distribution = {
        "@type": "cr:FileObject",
        "@id": "rows",
        "name": file.data.name,
        "description": "One NumPy file of records, one record a row, to be memory-mapped.",
        "contentUrl": url,
        "contentSize": f"{file.layout.file_bytes} B",
        "encodingFormat": _NPY,
        "sha256": sha256,
    }
    if file.manifest_digest:
        distribution["memtrain:manifest"] = file.manifest_digest
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": file.dataset,
        "description": _description(file),
        "distribution": [distribution],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "row",
                "name": "row",
                "description": f"{file.layout.rows} rows, numbered from 0 in file order.",
                "field": [
                    _field(name, dtype, _columns(file.source, name))
                    for name, dtype in file.layout.fields.items()
                ],
            }
        ],
    }


def _description(file: DatasetFile) -> str:
    origin = file.source.origin.get("kind", "unknown")
    return f"{file.layout.rows} rows for {file.source.task}; their origin: {origin}."


def _columns(source: Source, field: str) -> list[str]:
    columns = [one for one in source.columns if one.field == field]
    if not columns:
        return {"features": source.features, "target": source.target}.get(field, [])
    return [name for one in columns for name in one.names]


def _field(name: str, dtype: np.dtype, columns: list[str]) -> dict[str, Any]:
    base, shape = dtype.subdtype or (dtype, ())
    field = {
        "@type": "cr:Field",
        "@id": f"row/{name}",
        "name": name,
        "description": ", ".join(columns) or "the values of a row",
        "dataType": _data_type(base),
        "source": {"fileObject": {"@id": "rows"}, "extract": {"column": name}},
    }
    array = {"isArray": True, "arrayShape": ",".join(map(str, shape))} if shape else {}
    return field | array


def _data_type(dtype: np.dtype) -> str:
    if dtype.kind == "b":
        return "sc:Boolean"
    names = {"f": "Float", "i": "Int", "u": "UInt"}
    if dtype.kind not in names:
        raise UserError(
            f"dtype {dtype}: Croissant has no type for it; it has booleans, integers and floats."
        )
    return f"cr:{names[dtype.kind]}{8 * dtype.itemsize}"
