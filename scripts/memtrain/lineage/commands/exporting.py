"""export and replay: lineage in the formats of others, and to the servers of others."""

from contextlib import suppress
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.data.record_file import RecordLayout, read_layout
from memtrain.data.source import Source
from memtrain.lineage.commands.base import REPOSITORY, Commands, Question
from memtrain.lineage.export.croissant import DatasetFile, write_croissant
from memtrain.lineage.export.openlineage import all_events, events_of, write_events
from memtrain.lineage.export.prov import write_prov
from memtrain.lineage.export.provenance import Provenance, provenance_of
from memtrain.lineage.export.replay import replay
from memtrain.lineage.export.rocrate import write_crate
from memtrain.lineage.export.slsa import write_statement
from memtrain.lineage.queries.lookup import find_version
from memtrain.system.digests import digest_of_file

_FORMATS = """\
formats:
  rocrate DIR       a Provenance Run Crate 0.5 (RO-Crate 1.1) of all that lies below DIR, the folder
                    of the project: ro-crate-metadata.json, and no copy of any data
  prov FILE         W3C PROV, as PROV-JSON (FILE.json) or PROV-N (FILE.provn)
  openlineage FILE  the recorded events, a line each, the oldest first
  slsa FILE         an in-toto statement with SLSA provenance; `lineage.py sign` signs it
  croissant FILE    Croissant metadata of the dataset, with the sha256 of its whole file

prov needs `pip install -r envs/requirements-lineage.txt`, and so do sign and verify-signature.
Shards that are digested by blake3 keep these digests: in a crate as identifiers, since it has a
term for sha256 alone; in a statement under the name blake3, which verifiers of sha256 pass over.
Index with `shards: {digest: sha256}` for those."""


def add_commands(commands: Commands) -> None:
    """Add export and replay."""
    one = commands.question(
        "export", export, "write what made the results, in a format of others", _FORMATS
    )
    one.add_argument("format", choices=[*_BY_PROVENANCE, "croissant"], help="see below")
    one.add_argument("target", type=Path, help="the file to write, or the folder of the crate")
    one.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="results: these and what is upstream of them; unless given, all that is current",
    )
    one = commands.question(
        "replay",
        send_again,
        "send stored events to an OpenLineage server",
        "An API key is taken from OPENLINEAGE_API_KEY in the environment. What a server does not "
        "take is\nnamed, and the rest is sent.",
    )
    one.add_argument(
        "--to",
        required=True,
        metavar="URL",
        help="of a server that takes POST /api/v1/lineage (http://localhost:5000), or of its "
        "endpoint where that is another",
    )
    one.add_argument(
        "--since", default="", metavar="TIME", help="only events from then on (2026-01-31T12:00)"
    )


def export(question: Question) -> int:
    """Write an export, and say what stands in it."""
    arguments = question.arguments
    if arguments.format == "croissant":
        return _croissant(question)
    provenance, notes = _provenance(question)
    _BY_PROVENANCE[arguments.format](question, provenance)
    rows = counted(sum(1 for _ in provenance.pieces()), "range")
    runs, files = counted(len(provenance.runs), "run"), counted(len(provenance.files), "file")
    content = {"target": str(arguments.target), "notes": notes, "runs": len(provenance.runs)}
    return question.answer(
        content, [*notes, f"{arguments.target}: {runs}, {files}, {rows} of rows by shards"]
    )


def _provenance(question: Question) -> tuple[Provenance, list[str]]:
    data, found = question.project / question.data, []
    for path in question.arguments.paths:
        found.append(find_version(question.index, question.project, path))
    provenance = provenance_of(
        question.index,
        question.dataset,
        question.data,
        _layout_of(data),
        [one.version for one in found] if found else None,
    )
    if not provenance.runs:
        raise UserError(
            "no recorded run that ended well made any of it, so there is nothing to write."
        )
    return provenance, [f"note: {one.path}: {one.note}" for one in found if one.note]


def _layout_of(data: Path) -> RecordLayout | None:
    """Return the layout of the file of rows; None where it is gone, or is no such file any more."""
    with suppress(UserError):
        return read_layout(data)
    return None


def _rocrate(question: Question, provenance: Provenance) -> None:
    folder = question.arguments.target
    write_crate(provenance, question.project, folder, REPOSITORY / "Snakefile")


def _prov(question: Question, provenance: Provenance) -> None:
    write_prov(provenance, question.arguments.target)


def _openlineage(question: Question, provenance: Provenance) -> None:
    # Of everything: also runs that failed, and what they made that has been overwritten since.
    is_part = question.arguments.paths
    events = events_of(question.index, provenance) if is_part else all_events(question.index)
    write_events(events, question.arguments.target)


def _slsa(question: Question, provenance: Provenance) -> None:
    write_statement(provenance, question.arguments.target)


_BY_PROVENANCE = {
    "rocrate": _rocrate,
    "prov": _prov,
    "openlineage": _openlineage,
    "slsa": _slsa,
}


def _croissant(question: Question) -> int:
    if question.arguments.paths:
        raise UserError("export croissant describes the dataset, not its results: name no PATH.")
    data, manifest = question.project / question.data, question.results.manifest
    found = find_version(question.index, question.project, question.data)
    row = question.index.rows.execute(
        "SELECT digest FROM version WHERE id = ?", (found.version,)
    ).fetchone()
    file = DatasetFile(
        question.dataset,
        data,
        read_layout(data),
        Source.read(question.results.source),
        # Of a file that has changed since, the recorded digest is that of another.
        digest=None if found.note else row["digest"],
        manifest_digest=digest_of_file(manifest) if manifest.exists() else None,
    )
    write_croissant(file, question.arguments.target)
    line = f"{question.arguments.target}: {file.layout.rows} rows, {len(file.layout.fields)} fields"
    return question.answer({"target": str(question.arguments.target)}, [line])


def send_again(question: Question) -> int:
    """Send the stored events, and name those that were not taken."""
    since = question.arguments.since
    events = [one for one in all_events(question.index) if one["eventTime"] >= since]
    result = replay(events, question.arguments.to)
    lines = [f"not taken: {problem}" for problem in result.failed]
    if result.problem:
        lines.append(f"stopped: {result.problem}; go on by --since {result.stopped_at}")
    lines.append(f"{result.sent} of {len(events)} events sent")
    return question.answer(result, lines, is_fine=not (result.failed or result.problem))
