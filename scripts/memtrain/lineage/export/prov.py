"""W3C PROV: files and rows are entities, runs are activities, people and Snakemake are agents."""

from datetime import datetime
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.lineage.export.optional import require
from memtrain.lineage.export.provenance import Provenance, Run
from memtrain.lineage.index.facts import Version
from memtrain.lineage.records.run_record import PieceUse
from memtrain.system.atomic_files import write_text

#: Serializations by the suffix of the file. XML and RDF would need more packages.
FORMATS = {".json": "json", ".provn": "provn"}

_NAMESPACE = "urn:memtrain:"


def write_prov(provenance: Provenance, path: Path) -> None:
    """Write a PROV document in the format that the suffix of its path names.

    Args:
        provenance: the content of the document.
        path: the file to write, with the suffix .json or .provn.

    Raises:
        UserError: where the suffix is another, or a package is missing.
    """
    form = FORMATS.get(path.suffix)
    if form is None:
        raise UserError(f"{path}: the suffix names the format; use one of {listed(FORMATS)}.")
    options = {"indent": 1} if form == "json" else {}
    write_text(path, prov_document(provenance).serialize(format=form, **options) + "\n")


def prov_document(provenance: Provenance) -> Any:
    """Return a ``prov.model.ProvDocument``.

    The rows of a shard that a run read are an entity, a specialization of their file. A run used
    such rows; where it used a file as a whole, it used the file.
    """
    document = require("prov.model").ProvDocument()
    document.add_namespace("memtrain", _NAMESPACE)
    written = {use.file.id: run for run in provenance.runs for use in run.writes}
    for file in provenance.files:
        document.entity(_file(file), _attributes(_facts_of_file(file)))
    for file, piece in provenance.pieces():
        facts = {
            "shard": piece.shard,
            "firstRow": piece.rows.start,
            "endRow": piece.rows.end,
            "digest": piece.digest,
        }
        if place := provenance.bytes_of(file, piece.rows):
            facts |= {"firstByte": place.start, "endByte": place.end}
        document.entity(_piece(file, piece), _attributes(facts))
        document.specialization(_piece(file, piece), _file(file))
    for call in provenance.calls:
        user, engine = (call.details["workflow"][name] for name in ("user", "snakemake"))
        document.agent(f"memtrain:user/{user}", {"prov:type": "prov:Person"})
        document.agent(f"memtrain:snakemake/{engine}", {"prov:type": "prov:SoftwareAgent"})
        _activity(document, call)
        document.wasAssociatedWith(_run(call), f"memtrain:user/{user}")
        document.wasAssociatedWith(_run(call), f"memtrain:snakemake/{engine}")
    calls = {call.run_id for call in provenance.calls}
    for run in provenance.runs:
        _activity(document, run)
        if run.parent_id in calls:
            document.wasInformedBy(_run(run), f"memtrain:run/{run.parent_id}")
        for use in run.reads:
            role = {"prov:role": use.role}
            used = [_piece(use.file, piece) for piece in use.pieces] or [_file(use.file)]
            for entity in used:
                document.used(_run(run), entity, other_attributes=role)
        for use in run.writes:
            if written[use.file.id] is run:
                document.wasGeneratedBy(
                    _file(use.file), _run(run), other_attributes={"prov:role": use.role}
                )
    return document


def _activity(document: Any, run: Run) -> None:
    times = [datetime.fromisoformat(at) if at else None for at in (run.started_at, run.ended_at)]
    facts = {f"parameter/{name}": value for name, value in run.parameters.items()}
    facts |= {"job": run.name, "script": run.script_digest}
    commits = [root.commit for root in run.code if root.commit]
    facts["commit"] = commits[0] if commits else None
    document.activity(_run(run), *times, _attributes(facts))


def _facts_of_file(file: Version) -> dict[str, Any]:
    return {"path": file.path, "role": file.role, "size": file.size, "digest": file.digest}


def _attributes(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        f"memtrain:{name}": value if isinstance(value, str | int | float) else str(value)
        for name, value in facts.items()
        if value is not None
    }


def _file(file: Version) -> str:
    return f"memtrain:version/{file.id}"


def _piece(file: Version, piece: PieceUse) -> str:
    return f"{_file(file)}/rows/{piece.rows.start}-{piece.rows.end}"


def _run(run: Run) -> str:
    return f"memtrain:run/{run.run_id}"
