"""The command ``export``: lineage in standard formats."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout, read_layout
from memtrain.data.source import Source
from memtrain.lineage.commands.base import WORKFLOW, Commands, Query
from memtrain.lineage.export.croissant import DatasetFile, write_croissant
from memtrain.lineage.export.described_files import DescribedFile, described_files
from memtrain.lineage.export.openlineage import all_events, events_of_provenance, write_events
from memtrain.lineage.export.prov import write_prov
from memtrain.lineage.export.provenance import Provenance, provenance_of
from memtrain.lineage.export.rocrate import write_crate
from memtrain.lineage.export.slsa import write_statement
from memtrain.lineage.queries.lookup import find_version
from memtrain.system.digests import digest_of_file
from memtrain.system.file_notes import FileNotes

_DETAILS = """\
formats:
  rocrate FOLDER    a Provenance Run Crate 0.5 (RO-Crate 1.1) of all files below FOLDER, the project
                    or a folder above it; writes ro-crate-metadata.json and copies no data
  prov FILE         W3C PROV, as PROV-JSON (FILE.json) or PROV-N (FILE.provn)
  openlineage FILE  the recorded events, one a line, the oldest first
  slsa FILE         an in-toto statement with SLSA provenance, which `lineage.py sign` signs
  croissant FILE    Croissant metadata of the dataset, with the sha256 of the whole file of rows, or
                    of every file that rows lie in

prov needs more packages (pip install -r envs/requirements-lineage.txt), and so do the commands sign
and verify-signature.

If shards have blake3 digests, exports hold these. A crate holds them as identifiers, since RO-Crate
has a term for sha256 only. A statement holds them under the name blake3, and verifiers that do not
know blake3 ignore them. Configure `shards: {digest: sha256}` to have sha256 digests of shards."""


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "export", run, "export the lineage of results in a standard format", _DETAILS
    )
    parser.add_argument(
        "format", choices=[*_WRITERS, "croissant"], help="the format to write, see below"
    )
    parser.add_argument(
        "target", type=Path, metavar="TARGET", help="the file to write, or the folder of the crate"
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="the results to export, with everything upstream of them (default: all "
        "current results)",
    )


def run(query: Query) -> int:
    """Write an export, and print what it holds."""
    arguments = query.arguments
    if arguments.format == "croissant":
        return _write_croissant(query)
    provenance, notes = _provenance(query)
    _WRITERS[arguments.format](query, provenance)
    ranges = counted(sum(1 for _ in provenance.pieces()), "range")
    runs = counted(len(provenance.runs), "run")
    files = counted(len(provenance.files), "file")
    content = {"target": str(arguments.target), "notes": notes, "runs": len(provenance.runs)}
    summary = f"{arguments.target}: {runs}, {files}, {ranges} of rows, cut at shard borders"
    return query.answer(content, [*notes, summary])


def _provenance(query: Query) -> tuple[Provenance, list[str]]:
    """Return what to export, and notes on results that have changed since they were recorded."""
    found = [find_version(query.index, query.project, path) for path in query.arguments.paths]
    layout = _layout_of(query.project / query.data)
    provenance = provenance_of(
        query.index,
        dataset=query.dataset,
        data=query.data,
        layout=layout,
        row_files=_files_of_rows(query, layout, read=False),
        versions=[one.version.id for one in found] if found else None,
    )
    if not provenance.runs:
        raise UserError(
            "no recorded run that completed made any of these results, so there is nothing to "
            "export."
        )
    return provenance, [f"note: {one.version.path}: {one.note}" for one in found if one.note]


def _layout_of(data: Path) -> RowLayout | None:
    """Return the layout of the rows; None where their file is gone or holds no rows."""
    with suppress(UserError):
        return read_layout(data)
    return None


def _files_of_rows(query: Query, layout: RowLayout | None, *, read: bool) -> list[DescribedFile]:
    """Return the files that rows lie in; none where they lie in one file of rows.

    Args:
        query: the question.
        layout: the layout of the rows; None where it is not known.
        read: whether files are read whose digests are not known.

    Raises:
        UserError: where a file has to be read and cannot be.
    """
    if not isinstance(layout, FilesLayout):
        return []
    notes = FileNotes(query.results.known_digests)
    try:
        return described_files(layout, query.project, notes, read=read)
    except OSError as error:
        raise UserError(
            f"{error.filename}: this file of the dataset cannot be read ({error.strerror}), and "
            "Croissant needs the digest of every file. Bring it back, or make it readable."
        ) from None


def _write_crate(query: Query, provenance: Provenance) -> None:
    write_crate(
        provenance,
        project=query.project,
        folder=query.arguments.target,
        snakefile=WORKFLOW / "Snakefile",
    )


def _write_prov(query: Query, provenance: Provenance) -> None:
    write_prov(provenance, query.arguments.target)


def _write_events(query: Query, provenance: Provenance) -> None:
    # Without paths: all events, those of failed runs and of overwritten results included.
    chosen = query.arguments.paths
    events = events_of_provenance(query.index, provenance) if chosen else all_events(query.index)
    write_events(events, query.arguments.target)


def _write_statement(query: Query, provenance: Provenance) -> None:
    write_statement(provenance, query.arguments.target)


#: The formats that describe runs. Croissant describes the dataset alone, and needs no runs.
_WRITERS: dict[str, Callable[[Query, Provenance], None]] = {
    "rocrate": _write_crate,
    "prov": _write_prov,
    "openlineage": _write_events,
    "slsa": _write_statement,
}


def _write_croissant(query: Query) -> int:
    if query.arguments.paths:
        raise UserError("export croissant describes the dataset, not its results: name no PATH.")
    data = query.project / query.data
    manifest = query.results.manifest
    layout = read_layout(data)
    found = find_version(query.index, query.project, query.data)
    file = DatasetFile(
        dataset=query.dataset,
        data=data,
        layout=layout,
        source=Source.read(query.results.source),
        # There is a note if the file has changed, and the recorded digest is then not its own.
        digest=None if found.note else found.version.digest,
        manifest_digest=digest_of_file(manifest) if manifest.exists() else None,
        project=query.project,
        files=_files_of_rows(query, layout, read=True),
    )
    write_croissant(file, query.arguments.target)
    rows = counted(file.layout.rows, "row")
    fields = counted(len(file.layout.fields), "field")
    line = f"{query.arguments.target}: {rows}, {fields}"
    return query.answer({"target": str(query.arguments.target)}, [line])
