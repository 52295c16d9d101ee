"""The index of all records: a SQLite file that is rebuilt from them, and never the only copy."""

import json
import os
import sqlite3
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.lineage.index.building import INDEX_FILE, open_index
from memtrain.lineage.index.current_files import settle_by_disk
from memtrain.lineage.index.downstream import DownstreamQueries
from memtrain.lineage.index.facts import CodeFacts, CurrentFile, RunFacts, Use, Version
from memtrain.lineage.index.schema import SHARED_FACTS
from memtrain.lineage.records.record_store import DamagedRecord, RecordStore
from memtrain.lineage.records.run_record import PieceUse, RunRecord
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests

#: Larger files, in all, are not read for their digests, unless these are known: it takes too long.
_MOST_BYTES_TO_DIGEST = 1 << 30

_VERSION = "SELECT id, path, role, digest, size, seen_ns AS modified_ns FROM version"

_USES = """
SELECT use.id AS use, use.role AS use_role, use.part, use.is_output, version.id, version.path,
    version.role, version.digest, version.size, version.seen_ns AS modified_ns
FROM use JOIN version ON version.id = use.version WHERE use.run = ? ORDER BY use.id
"""

_RUNS_THAT_WROTE = """
SELECT DISTINCT run.id, run.state FROM version
JOIN use ON use.version = version.id JOIN run ON run.id = use.run
WHERE use.is_output AND version.path = ?
"""


class LineageIndex:
    """An index that is up to date with the records.

    Its methods take and return runs and versions of files as their numbers in the index.

    Args:
        folder: the folder of the records.
        project: the folder that the paths of files are relative to. What lies there decides which
            versions are current; None to let the clocks of the records decide.

    Attributes:
        store: the records.
        damaged: the records that cannot be read.
    """

    def __init__(self, folder: str | os.PathLike, project: Path | None = None):
        self.store = RecordStore(folder)
        self._project = project
        self._connect()

    def _connect(self) -> None:
        self._connection = open_index(self.store)
        self._connection.row_factory = sqlite3.Row
        if self._project is not None:
            notes = FileNotes(ResultsLayout(self.store.folder.parent).known_digests)
            known = KnownDigests(notes, _MOST_BYTES_TO_DIGEST)
            settle_by_disk(self._connection, self._project, known)
            notes.save()
        query = "SELECT name, problem FROM record WHERE problem IS NOT NULL ORDER BY name"
        self.damaged = [
            DamagedRecord(self.store.folder / name, problem)
            for name, problem in self._connection.execute(query)
        ]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def renew_if_damaged(self) -> None:
        """Build the index again if a record was damaged since it was indexed.

        This reads every record. Other methods do not, since records never change.
        """
        names = self.record_names()
        if all(isinstance(self.store.read(name), RunRecord) for name in names):
            return
        self.close()
        with suppress(OSError):
            (self.store.folder / INDEX_FILE).unlink()
        # The cached queries hold the connection that was closed.
        self.__dict__.pop("downstream", None)
        self._connect()

    @cached_property
    def downstream(self) -> DownstreamQueries:
        """The queries that follow rows and files downstream."""
        return DownstreamQueries(self._connection)

    def record_names(self) -> list[str]:
        """Return the names of all records that can be read, as ``store.read`` takes them."""
        query = "SELECT name FROM record WHERE problem IS NULL ORDER BY name"
        return [name for (name,) in self._connection.execute(query)]

    def record(self, run: int) -> RunRecord:
        """Return the whole record of a run.

        Raises:
            UserError: where the record was damaged after it was indexed.
        """
        (name,) = self._connection.execute("SELECT record FROM run WHERE id = ?", (run,)).fetchone()
        found = self.store.read(name)
        if not isinstance(found, RunRecord):
            raise UserError(
                f"{self.store.folder / name}: this record was damaged after it was indexed, and "
                "cannot be read any more. `lineage.py verify` goes on without it."
            )
        return found

    def run(self, run: int) -> RunFacts:
        """Return everything that was recorded of a run, except its files."""
        (content,) = self._connection.execute(
            "SELECT facts FROM run WHERE id = ?", (run,)
        ).fetchone()
        facts = json.loads(content)
        query = "SELECT content FROM shared_fact WHERE digest = ?"
        for name in SHARED_FACTS:
            (content,) = self._connection.execute(query, (facts[name],)).fetchone()
            facts[name] = json.loads(content)
        facts["code"] = [CodeFacts(**root) for root in facts["code"]]
        return RunFacts(**facts)

    def run_named(self, run_id: str) -> int | None:
        """Return the run with this UUID; None where no record has it."""
        query = "SELECT id FROM run WHERE run_id = ?"
        return self._number(query, (run_id,))

    def runs(self) -> list[int]:
        """Return all runs, the oldest first."""
        return self._numbers("SELECT id FROM run ORDER BY started_at, id")

    def runs_that_wrote(self, path: str) -> list[int]:
        """Return the runs, in any state, that wrote some version of a file, the oldest first."""
        return self._numbers(f"{_RUNS_THAT_WROTE} ORDER BY run.started_at, run.id", (path,))

    def completed_runs_that_wrote(self, path: str) -> list[int]:
        """Return the completed runs that wrote some version of a file, the last one first."""
        query = (
            f"{_RUNS_THAT_WROTE} AND state = 'completed' ORDER BY run.ended_at DESC, run.id DESC"
        )
        return self._numbers(query, (path,))

    def runs_of(self, job: str) -> list[int]:
        """Return all runs of a job, in any state, the oldest first."""
        return self._numbers("SELECT id FROM run WHERE job = ? ORDER BY started_at, id", (job,))

    def last_run_of(self, job: str) -> int | None:
        """Return the completed run of a job that ended last; None where there is none."""
        query = (
            "SELECT id FROM run WHERE job = ? AND state = 'completed' "
            "ORDER BY ended_at DESC LIMIT 1"
        )
        return self._number(query, (job,))

    def writer_of(self, version: int, before: str | None = None) -> int | None:
        """Return the completed run that wrote a version; None where there is none.

        If several runs wrote it, the last one that started before a given time is returned, or the
        last of all if every one started later.

        Args:
            version: the number of the version.
            before: the time, ISO 8601; None for no limit.
        """
        query = (
            "SELECT use.run FROM use JOIN run ON run.id = use.run "
            "WHERE use.version = ? AND use.is_output AND run.state = 'completed' "
            "ORDER BY run.started_at <= coalesce(?, '9') DESC, run.started_at DESC LIMIT 1"
        )
        return self._number(query, (version, before))

    def current(self, path: str) -> CurrentFile | None:
        """Return the version that lies on the disk; None where no completed run wrote the file.

        Where no completed run wrote what lies there, it is the version that was written last.
        """
        query = "SELECT path, version, run FROM current WHERE path = ?"
        row = self._connection.execute(query, (path,)).fetchone()
        return CurrentFile(**row) if row else None

    def current_files(self) -> list[CurrentFile]:
        """Return ``current`` for every file that completed runs wrote, ordered by path."""
        query = "SELECT path, version, run FROM current ORDER BY path"
        return [CurrentFile(**row) for row in self._connection.execute(query)]

    def version(self, version: int) -> Version:
        """Return a version by its number."""
        return Version(
            **self._connection.execute(f"{_VERSION} WHERE id = ?", (version,)).fetchone()
        )

    def versions(self, path: str) -> list[Version]:
        """Return all versions of a file, in the order in which they were recorded."""
        rows = self._connection.execute(f"{_VERSION} WHERE path = ? ORDER BY id", (path,))
        return [Version(**row) for row in rows]

    def paths(self) -> list[str]:
        """Return the paths of all files that a record names."""
        query = "SELECT DISTINCT path FROM version ORDER BY path"
        return [path for (path,) in self._connection.execute(query)]

    def uses(self, run: int) -> list[Use]:
        """Return what a run read and wrote, in the order in which it named the files."""
        grouped: dict[tuple[int, str, bool], list[sqlite3.Row]] = {}
        for row in self._connection.execute(_USES, (run,)):
            key = row["id"], row["use_role"], bool(row["is_output"])
            grouped.setdefault(key, []).append(row)
        return [_use(rows) for rows in grouped.values()]

    def spans(self, use: Use) -> list[Range]:
        """Return the ranges of rows that were used; none where a file was used as a whole."""
        query = "SELECT start, end FROM span WHERE use = ?"
        found = {Range(*row) for id in use.ids for row in self._connection.execute(query, (id,))}
        return sorted(found)

    def pieces(self, use: Use) -> list[PieceUse]:
        """Return the rows that were used, cut at the borders of shards, with their digests."""
        query = "SELECT shard, start, end, digest, shard_digest FROM piece WHERE use = ?"
        found = {
            PieceUse(shard, Range(start, end), digest, shard_digest)
            for id in use.ids
            for shard, start, end, digest, shard_digest in self._connection.execute(query, (id,))
        }
        return sorted(found, key=lambda piece: piece.rows)

    def _number(self, query: str, values: tuple[object, ...]) -> int | None:
        row = self._connection.execute(query, values).fetchone()
        return row[0] if row else None

    def _numbers(self, query: str, values: tuple[object, ...] = ()) -> list[int]:
        return [row[0] for row in self._connection.execute(query, values)]


def _use(rows: list[sqlite3.Row]) -> Use:
    """Return the use of a version by all the parts of a run that used it."""
    first = rows[0]
    version = Version(
        id=first["id"],
        path=first["path"],
        role=first["role"],
        digest=first["digest"],
        size=first["size"],
        modified_ns=first["modified_ns"],
    )
    return Use(
        version=version,
        role=first["use_role"],
        is_output=bool(first["is_output"]),
        parts=tuple(row["part"] for row in rows),
        ids=tuple(row["use"] for row in rows),
    )
