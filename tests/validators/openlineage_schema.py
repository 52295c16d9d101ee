"""Validates events by the schemas of OpenLineage and of memtrain; each facet names its schema.

The schemas in ``openlineage/`` are unchanged copies from the specification, in the versions that
events name (Apache-2.0, The OpenLineage Authors, https://github.com/OpenLineage/OpenLineage).
"""

import json
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

_HERE = Path(__file__).parent
_OWN = _HERE.parents[1] / "schemas/lineage.schema.json"
_SCHEMAS = [json.loads(path.read_text()) for path in (_OWN, *_HERE.glob("openlineage/*.json"))]
_REGISTRY = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in _SCHEMAS
)


def problems(event):
    """Return the errors of an event by its own schema and by those of its facets."""
    found = _problems(event, event["schemaURL"])
    for facet in _facets(event):
        found += _problems(facet, facet["_schemaURL"])
    return found


def _facets(event):
    owners = [event["run"], event["job"], *event.get("inputs", []), *event.get("outputs", [])]
    for owner in owners:
        for kind in ("facets", "inputFacets", "outputFacets"):
            yield from owner.get(kind, {}).values()


def _problems(content, url):
    validator = Draft202012Validator(
        {"$ref": url},
        registry=_REGISTRY,
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    return [
        f"{url.rpartition('/')[2]} {error.json_path}: {error.message}"
        for error in validator.iter_errors(content)
    ]
