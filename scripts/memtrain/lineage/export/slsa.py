"""An in-toto Statement with SLSA provenance: which results, made from what, by which runs.

The subjects are the results with their sha256. The resolved dependencies are the files that no run
wrote, the rows that runs read (shard by shard), the recipes and the code. A blake3 digest is stored
under the key "blake3", which in-toto allows, and verifiers that do not know blake3 ignore it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.lineage.export.provenance import Provenance, Run, UsedFile
from memtrain.system.atomic_files import write_text

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

_BUILD_TYPE = "urn:memtrain:snakemake:v1"


def write_statement(provenance: Provenance, path: Path) -> None:
    """Write the statement on a provenance as JSON."""
    write_text(path, json.dumps(statement(provenance), indent=1, sort_keys=True) + "\n")


def statement(provenance: Provenance) -> dict[str, Any]:
    """Return the statement on a provenance.

    Raises:
        UserError: where a result has no digest.
    """
    last = provenance.runs[-1]
    return {
        "_type": STATEMENT_TYPE,
        "subject": _subjects(provenance),
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
                    "code": {run.name: list(map(vars, run.code)) for run in provenance.runs},
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


def _subjects(provenance: Provenance) -> list[dict[str, Any]]:
    subjects = []
    missing = []
    for file in provenance.results:
        if file.digest is None:
            missing.append(file.path)
        else:
            subjects.append({"name": file.path, "digest": _digest_set(file.digest)})
    if missing:
        raise UserError(
            f"{listed(missing)}: no record holds a digest of this file, which a statement needs. "
            "Name other results, or rerun the job that makes it."
        )
    return subjects


def _builder_versions(run: Run) -> dict[str, str]:
    packages = run.environment.get("packages", {})
    names = ("snakemake", "torch", "numpy")
    versions = {name: packages[name] for name in names if name in packages}
    return {"python": str(run.environment.get("python"))} | versions


def _dependencies(provenance: Provenance) -> Iterator[dict[str, Any]]:
    """Yield the rows, files and code that the runs read, each once."""
    found: dict[str, dict[str, Any]] = {}
    for run in provenance.runs:
        for use in run.reads:
            for one in _dependencies_of_file(use, use.file.id in provenance.written):
                found.setdefault(one["uri"], one)
        for one in _dependencies_of_code(run):
            found.setdefault(one["uri"], one)
    yield from found.values()


def _dependencies_of_file(use: UsedFile, was_written_by_run: bool) -> Iterator[dict[str, Any]]:
    uri = f"urn:memtrain:file:{quote(use.file.path)}"
    for piece in use.pieces:
        # The digest in the URI tells two contents of the same rows apart.
        algorithm, _, content = piece.digest.partition(":")
        yield {
            "uri": f"{uri}?{algorithm}={content}#row={piece.rows.start}-{piece.rows.end - 1}",
            "name": f"{use.file.path} rows {piece.rows}",
            "digest": _digest_set(piece.digest),
            "annotations": {"shard": piece.shard, "rows": list(piece.rows)},
        }
    if use.file.digest and not use.pieces and (not was_written_by_run or use.role == "recipe"):
        yield {
            "uri": f"{uri}?{use.file.digest.replace(':', '=')}",
            "name": use.file.path,
            "digest": _digest_set(use.file.digest),
            "annotations": {"role": use.role},
        }


def _dependencies_of_code(run: Run) -> Iterator[dict[str, Any]]:
    for root in run.code:
        for path, digest in root.files.items():
            yield {
                "uri": f"urn:memtrain:code:{root.root}:{quote(path)}?{digest.replace(':', '=')}",
                "name": path,
                "digest": _digest_set(digest),
                "annotations": {"commit": root.commit} if root.commit else {},
            }


def _digest_set(digest: str) -> dict[str, str]:
    """Return "sha256:..." as in-toto writes digests."""
    algorithm, _, content = digest.partition(":")
    return {algorithm: content}
