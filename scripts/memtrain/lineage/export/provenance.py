"""The runs that made some results, and what they read and wrote: what every export writes down."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from memtrain.core.ranges import Range
from memtrain.data.record_file import RecordLayout
from memtrain.lineage.queries.explain import writer_of
from memtrain.lineage.queries.index import LineageIndex
from memtrain.lineage.records.run_record import PieceUse


@dataclass(frozen=True)
class File:
    """What a file held at one time.

    Attributes:
        number: of this version, in the index.
        path: as seen from the project.
        role: what it was to the run that named it first.
        digest: "sha256:..."; None where nobody has taken it.
        size: bytes.
    """

    number: int
    path: str
    role: str
    digest: str | None
    size: int

    @property
    def sha256(self) -> str | None:
        """Hexadecimal."""
        return hexadecimal(self.digest, "sha256")


@dataclass(frozen=True)
class Use:
    """A file that a run read or wrote.

    Attributes:
        file: this version of it.
        role: what it was to the run.
        rows: of it that the run used; empty where it is used as a whole.
        pieces: the same rows, cut at the borders of shards, with their digests.
    """

    file: File
    role: str
    rows: tuple[Range, ...]
    pieces: tuple[PieceUse, ...]


@dataclass(frozen=True)
class Run:
    """A run that ended well.

    Attributes:
        facts: everything but its files; see ``RunRecord.facts``.
        reads, writes: its files, in the order in which it named them.
    """

    facts: dict[str, Any]
    reads: tuple[Use, ...]
    writes: tuple[Use, ...]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.facts[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def script(self) -> str:
        """The path of its script, seen from the folder of memtrain."""
        return f"scripts/{self.job}.py"

    @property
    def script_digest(self) -> str | None:
        """Of the script itself, as it was."""
        return next((root["files"].get(self.script) for root in self.code), None)


@dataclass(frozen=True)
class Provenance:
    """How some results came about.

    Attributes:
        dataset: its name.
        results: the files that are asked about.
        runs: that made them and what they were made from, the oldest first.
        calls: the runs of the workflow that these were part of, the oldest first.
        layout: of the file of rows, for the bytes of its rows; None where it is gone.
        data: the path of the file of rows.
    """

    dataset: str
    results: tuple[File, ...]
    runs: tuple[Run, ...]
    calls: tuple[Run, ...]
    data: str
    layout: RecordLayout | None = field(default=None, repr=False)

    @cached_property
    def files(self) -> tuple[File, ...]:
        """All files that the runs read or wrote, each version once."""
        uses = (use for run in self.runs for use in (*run.reads, *run.writes))
        return tuple({use.file.number: use.file for use in uses}.values())

    @cached_property
    def written(self) -> frozenset[int]:
        """The numbers of the files that one of the runs wrote."""
        return frozenset(use.file.number for run in self.runs for use in run.writes)

    def pieces(self) -> Iterator[tuple[File, PieceUse]]:
        """Yield the rows that runs read, by shards: each piece of each version once."""
        seen = set()
        for run in self.runs:
            for use in run.reads:
                for piece in use.pieces:
                    if (key := (use.file.number, piece.rows)) not in seen:
                        seen.add(key)
                        yield use.file, piece

    def bytes_of(self, file: File, rows: Range) -> Range | None:
        """Return where rows lie in their file; None where its layout is not known."""
        if self.layout is None or file.path != self.data:
            return None
        row_bytes, offset = self.layout.row_bytes, self.layout.offset
        return Range(offset + rows.start * row_bytes, offset + rows.end * row_bytes)


def provenance_of(
    index: LineageIndex,
    dataset: str,
    data: str,
    layout: RecordLayout | None = None,
    versions: Sequence[int] | None = None,
) -> Provenance:
    """Return how results came about.

    Args:
        index: of the records.
        dataset: its name.
        data: the path of its file of rows, as seen from the project.
        layout: of that file.
        versions: the results, by their numbers in the index; None for everything that is current.
    """
    if versions is None:
        versions = [row["version"] for row in index.rows.execute("SELECT version FROM current")]
    reader = _Reader(index)
    runs = reader.upstream(versions)
    results = tuple(reader.file(version) for version in versions)
    calls = reader.calls({run.parent_id for run in runs if run.parent_id})
    return Provenance(
        dataset, tuple(sorted(results, key=lambda one: one.path)), runs, calls, data, layout
    )


def hexadecimal(digest: str | None, algorithm: str) -> str | None:
    """Return a digest without the name of its algorithm; None where that is another one."""
    name, _, content = (digest or "").partition(":")
    return content if name == algorithm else None


class _Reader:
    def __init__(self, index: LineageIndex):
        self._index, self._files = index, {}

    def upstream(self, versions: Iterable[int]) -> tuple[Run, ...]:
        """Return the runs that made versions, what they read, and so on, the oldest first."""
        found: dict[int, Run] = {}
        left = [(version, None) for version in versions]
        while left:
            run = writer_of(self._index, *left.pop())
            if run is None or run in found:
                continue
            found[run] = self._run(run)
            left += [(use.file.number, found[run].started_at) for use in found[run].reads]
        return tuple(sorted(found.values(), key=lambda run: (run.started_at, run.run_id)))

    def calls(self, run_ids: Iterable[str]) -> tuple[Run, ...]:
        """Return the runs of the workflow that have been recorded of these."""
        query = "SELECT id FROM run WHERE run_id = ?"
        rows = (self._index.rows.execute(query, (one,)).fetchone() for one in sorted(run_ids))
        return tuple(self._run(row["id"]) for row in rows if row)

    def file(self, number: int) -> File:
        if number not in self._files:
            row = self._index.rows.execute(
                "SELECT * FROM version WHERE id = ?", (number,)
            ).fetchone()
            self._files[number] = File(number, row["path"], row["role"], row["digest"], row["size"])
        return self._files[number]

    def _run(self, run: int) -> Run:
        return Run(self._index.facts_of(run), self._uses(run, 0), self._uses(run, 1))

    def _uses(self, run: int, is_output: int) -> tuple[Use, ...]:
        # A file that several parts of a run use has a row for each of them.
        rows = self._index.rows.execute(
            "SELECT version, role, group_concat(id) AS uses FROM use "
            "WHERE run = ? AND is_output = ? GROUP BY version, role ORDER BY min(id)",
            (run, is_output),
        ).fetchall()
        return tuple(
            Use(self.file(row["version"]), row["role"], *self._rows_of(row["uses"].split(",")))
            for row in rows
        )

    def _rows_of(self, uses: list[str]) -> tuple[tuple[Range, ...], tuple[PieceUse, ...]]:
        spans, pieces = set(), set()
        for use in uses:
            query = "SELECT start, end FROM span WHERE use = ?"
            spans.update(Range(*row) for row in self._index.rows.execute(query, (use,)))
            query = "SELECT shard, start, end, digest, shard_digest FROM piece WHERE use = ?"
            pieces.update(
                PieceUse(shard, Range(start, end), *digests)
                for shard, start, end, *digests in self._index.rows.execute(query, (use,))
            )
        return tuple(sorted(spans)), tuple(sorted(pieces, key=lambda piece: piece.rows))
