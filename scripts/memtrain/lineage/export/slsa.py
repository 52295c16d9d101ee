"""An in-toto Statement with the SLSA provenance of results: what they are, out of what, by whom.

A subject is a result with its sha256. Resolved dependencies are what the runs read and none of them
wrote, the rows by their shards, the recipes, and the code. Digests by blake3 stand under that name:
in-toto allows it, but a verifier that knows sha256 alone takes no notice of them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.lineage.export.provenance import Provenance, Run, Use
from memtrain.system.atomic_files import write_text

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

_BUILD_TYPE = "urn:memtrain:snakemake:v1"


def write_statement(provenance: Provenance, path: Path) -> None:
    """Write the statement as JSON."""
    write_text(path, json.dumps(statement(provenance), indent=1, sort_keys=True) + "\n")


def statement(provenance: Provenance) -> dict[str, Any]:
    """Return the statement.

    Raises:
        UserError: where a result has no digest.
    """
    if missing := [file.path for file in provenance.results if file.digest is None]:
        raise UserError(
            f"{listed(missing)}: no record has a digest of it, and a statement is about digests. "
            "Name other results, or run what makes it again."
        )
    last = provenance.runs[-1]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": file.path, "digest": _digest(file.digest)} for file in provenance.results
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {
                    "dataset": provenance.dataset,
                    "runs": {run.name: run.parameters for run in provenance.runs},
                },
                "internalParameters": {
                    "environment": last.environment,
                    "code": {run.name: run.code for run in provenance.runs},
                },
                "resolvedDependencies": list(_dependencies(provenance)),
            },
            "runDetails": {
                "builder": {"id": "urn:memtrain", "version": _builder_versions(last)},
                "metadata": {
                    "invocationId": f"urn:uuid:{last.parent_id or last.run_id}",
                    "startedOn": provenance.runs[0].started_at,
                    "finishedOn": last.ended_at,
                },
                "byproducts": [
                    {"name": run.name, "uri": f"urn:uuid:{run.run_id}"} for run in provenance.runs
                ],
            },
        },
    }


def _builder_versions(run: Run) -> dict[str, str]:
    packages = run.environment.get("packages", {})
    names = ("snakemake", "torch", "numpy")
    versions = {name: packages[name] for name in names if name in packages}
    return {"python": str(run.environment.get("python"))} | versions


def _dependencies(provenance: Provenance) -> Iterator[dict[str, Any]]:
    """Yield what went in, each once: rows, files, code."""
    found: dict[str, dict[str, Any]] = {}
    for run in provenance.runs:
        for use in run.reads:
            for one in _of_use(use, use.file.number in provenance.written):
                found.setdefault(one["uri"], one)
        for one in _of_code(run):
            found.setdefault(one["uri"], one)
    yield from found.values()


def _of_use(use: Use, was_made_here: bool) -> Iterator[dict[str, Any]]:
    uri = f"urn:memtrain:file:{quote(use.file.path)}"
    for piece in use.pieces:
        # The digest tells two contents of the same rows apart.
        algorithm, _, content = piece.digest.partition(":")
        yield {
            "uri": f"{uri}?{algorithm}={content}#row={piece.rows.start}-{piece.rows.end - 1}",
            "name": f"{use.file.path} rows {piece.rows}",
            "digest": _digest(piece.digest),
            "annotations": {"shard": piece.shard, "rows": list(piece.rows)},
        }
    if use.file.digest and not use.pieces and (not was_made_here or use.role == "recipe"):
        yield {
            "uri": f"{uri}?{use.file.digest.replace(':', '=')}",
            "name": use.file.path,
            "digest": _digest(use.file.digest),
            "annotations": {"role": use.role},
        }


def _of_code(run: Run) -> Iterator[dict[str, Any]]:
    for root in run.code:
        for path, digest in root["files"].items():
            yield {
                "uri": f"urn:memtrain:code:{root['root']}:{quote(path)}?{digest.replace(':', '=')}",
                "name": path,
                "digest": _digest(digest),
                "annotations": {"commit": root["commit"]} if root["commit"] else {},
            }


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, content = digest.partition(":")
    return {algorithm: content}
