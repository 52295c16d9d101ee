"""The runs that made some results, and what these read and wrote: the content of every export."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from memtrain.core.ranges import Range
from memtrain.data.layouts import RowLayout
from memtrain.data.record_file import RecordLayout
from memtrain.lineage.export.described_files import DescribedFile
from memtrain.lineage.index.facts import RunFacts, Use, Version
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.records.run_record import PieceUse


@dataclass(frozen=True)
class UsedFile:
    """A file that a run read or wrote.

    Attributes:
        file: the version of the file.
        role: what the file was to the run.
        rows: the ranges of rows that the run used; empty where it used the file as a whole.
        pieces: the same rows, cut at the borders of shards, with their digests.
    """

    file: Version
    role: str
    rows: tuple[Range, ...]
    pieces: tuple[PieceUse, ...]


@dataclass(frozen=True)
class Run(RunFacts):
    """A run with its files.

    Attributes:
        reads: the files that it read, in the order in which it named them.
        writes: the files that it wrote, in the same order.
    """

    reads: tuple[UsedFile, ...] = ()
    writes: tuple[UsedFile, ...] = ()

    @property
    def script(self) -> str:
        """The path of its script, relative to the folder of memtrain."""
        return f"scripts/{self.job}.py"

    @property
    def script_digest(self) -> str | None:
        """The digest of its script; None where it was not recorded."""
        return next((root.files.get(self.script) for root in self.code), None)


@dataclass(frozen=True)
class Provenance:
    """How some results were made.

    Attributes:
        dataset: the name of the dataset.
        results: the results, by path.
        runs: the runs that made the results and everything upstream of them, the oldest first.
        workflow_runs: the runs of the workflow that these runs belonged to, the oldest first.
        data: the path of the file of rows, relative to the project.
        layout: the layout of the file of rows, which tells the bytes of each row; None where the
            file is gone.
        row_files: the files that the rows lie in where ``data`` describes them; else none.
    """

    dataset: str
    results: tuple[Version, ...]
    runs: tuple[Run, ...]
    workflow_runs: tuple[Run, ...]
    data: str
    layout: RowLayout | None = field(default=None, repr=False)
    row_files: Sequence[DescribedFile] = ()

    @cached_property
    def files(self) -> tuple[Version, ...]:
        """The files that the runs read or wrote, each version once."""
        uses = (use for run in self.runs for use in (*run.reads, *run.writes))
        return tuple({use.file.id: use.file for use in uses}.values())

    @cached_property
    def written(self) -> frozenset[int]:
        """The numbers of the versions that one of the runs wrote."""
        return frozenset(use.file.id for run in self.runs for use in run.writes)

    def pieces(self) -> Iterator[tuple[Version, PieceUse]]:
        """Yield the rows that runs read, cut at shard borders, each piece of each version once."""
        seen = set()
        for run in self.runs:
            for use in run.reads:
                for piece in use.pieces:
                    if (key := (use.file.id, piece.rows)) not in seen:
                        seen.add(key)
                        yield use.file, piece

    def bytes_of(self, file: Version, rows: Range) -> Range | None:
        """Return the bytes that rows take in a file of rows; None for any other file."""
        if not isinstance(self.layout, RecordLayout) or file.path != self.data:
            return None
        return Range(*self.layout.byte_range(*rows))


def provenance_of(
    index: LineageIndex,
    *,
    dataset: str,
    data: str,
    layout: RowLayout | None = None,
    row_files: Sequence[DescribedFile] = (),
    versions: Sequence[int] | None = None,
) -> Provenance:
    """Return how some results were made.

    Args:
        index: the index of the records.
        dataset: the name of the dataset.
        data: the path of the file of rows, relative to the project.
        layout: the layout of that file; None where it is gone.
        row_files: the files that the rows lie in where that file describes them.
        versions: the numbers of the versions that are the results; None for all current files.
    """
    if versions is None:
        versions = [file.version for file in index.current_files()]
    runs = _runs_upstream(index, versions)
    workflow_runs = _workflow_runs(index, {run.parent_id for run in runs if run.parent_id})
    results = sorted(map(index.version, versions), key=lambda one: one.path)
    return Provenance(
        dataset=dataset,
        results=tuple(results),
        runs=runs,
        workflow_runs=workflow_runs,
        data=data,
        layout=layout,
        row_files=row_files,
    )


def hexadecimal(digest: str | None, algorithm: str) -> str | None:
    """Return the digits of an "algorithm:digits" digest; None where the algorithm is another."""
    name, _, content = (digest or "").partition(":")
    return content if name == algorithm else None


def _runs_upstream(index: LineageIndex, versions: Iterable[int]) -> tuple[Run, ...]:
    """Return the runs that made some versions, and all runs upstream of these."""
    found: dict[int, Run] = {}
    left: list[tuple[int, str | None]] = [(version, None) for version in versions]
    while left:
        version, read_at = left.pop()
        run = index.writer_of(version, before=read_at)
        if run is None or run in found:
            continue
        found[run] = _run(index, run)
        left += [(use.file.id, found[run].started_at) for use in found[run].reads]
    return tuple(sorted(found.values(), key=lambda run: (run.started_at, run.run_id)))


def _workflow_runs(index: LineageIndex, run_ids: Iterable[str]) -> tuple[Run, ...]:
    """Return the runs with these UUIDs, without those that were not recorded."""
    runs = [index.run_named(run_id) for run_id in sorted(run_ids)]
    return tuple(_run(index, run) for run in runs if run is not None)


def _run(index: LineageIndex, run: int) -> Run:
    uses = [(use.is_output, _used_file(index, use)) for use in index.uses(run)]
    return Run(
        **vars(index.run(run)),
        reads=tuple(file for is_output, file in uses if not is_output),
        writes=tuple(file for is_output, file in uses if is_output),
    )


def _used_file(index: LineageIndex, use: Use) -> UsedFile:
    return UsedFile(use.version, use.role, tuple(index.spans(use)), tuple(index.pieces(use)))
