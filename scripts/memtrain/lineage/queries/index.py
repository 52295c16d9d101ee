"""The index of all records: SQLite, made from them whenever they are newer, never the truth itself.

A *version* of a file is what it held at one time, told by its digest. Runs that read rows take no
digest of the whole file: theirs is the version that was written last, until its time of
modification shows that it is another. A *use* is a run
that read or wrote a version, or a part of such a run; its *spans* are the rows that it used.

Spans lie in levels by their length: those of level n are shorter than 2^n rows, so that the ones
that overlap given rows begin less than that before them, and an ordinary index finds them.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.lineage.records.record_store import DamagedRecord, RecordStore
from memtrain.lineage.records.run_record import FileUse, RunRecord

INDEX_FILE = "index.sqlite"

_SCHEMA_VERSION = 1

_SHARED_FACTS = ("code", "environment", "machine")

_SCHEMA = """
CREATE TABLE record (name TEXT PRIMARY KEY, problem TEXT) WITHOUT ROWID;
CREATE TABLE run (
    id INTEGER PRIMARY KEY, run_id TEXT UNIQUE, job TEXT, split TEXT, parent_id TEXT,
    started_at TEXT, ended_at TEXT, state TEXT, message TEXT, record TEXT, facts TEXT
);
CREATE TABLE shared_fact (digest TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID;
CREATE TABLE version (
    id INTEGER PRIMARY KEY, path TEXT, digest TEXT, size INTEGER, seen_ns INTEGER, role TEXT,
    UNIQUE (path, digest)
);
CREATE TABLE use (
    id INTEGER PRIMARY KEY, run INTEGER, version INTEGER, is_output INTEGER, role TEXT, part TEXT
);
CREATE TABLE span (use INTEGER, start INTEGER, end INTEGER, level INTEGER);
CREATE TABLE span_level (level INTEGER PRIMARY KEY);
CREATE TABLE piece (
    use INTEGER, shard INTEGER, start INTEGER, end INTEGER, digest TEXT, shard_digest TEXT
);
CREATE TABLE current (path TEXT PRIMARY KEY, version INTEGER, run INTEGER) WITHOUT ROWID;
CREATE INDEX run_by_record ON run (record);
CREATE INDEX version_by_digest ON version (digest);
CREATE INDEX use_by_version ON use (version, is_output);
CREATE INDEX use_by_run ON use (run, is_output, part);
CREATE INDEX span_by_use ON span (use);
CREATE INDEX span_by_rows ON span (level, start, end, use);
CREATE INDEX piece_by_use ON piece (use);
CREATE INDEX piece_by_digest ON piece (digest);
CREATE INDEX piece_by_shard_digest ON piece (shard_digest);
"""

_CURRENT = """
INSERT INTO current
SELECT path, version, run FROM (
    SELECT version.path AS path, use.version AS version, use.run AS run,
        ROW_NUMBER() OVER (PARTITION BY version.path ORDER BY run.ended_at DESC, run.id DESC) AS age
    FROM use JOIN version ON version.id = use.version JOIN run ON run.id = use.run
    WHERE use.is_output AND run.state = 'completed'
) WHERE age = 1
"""


class LineageIndex:
    """An index that is as new as the records.

    Attributes:
        store: the records.
        rows: the connection; rows are ``sqlite3.Row``.
        damaged: the records that could not be read.
    """

    def __init__(self, folder: str | os.PathLike):
        self.store = RecordStore(folder)
        self._open()

    def _open(self) -> None:
        self.rows = _refreshed(self.store)
        self.rows.row_factory = sqlite3.Row
        self.damaged = [
            DamagedRecord(self.store.folder / name, problem)
            for name, problem in self.rows.execute(
                "SELECT name, problem FROM record WHERE problem IS NOT NULL ORDER BY name"
            )
        ]

    def close(self) -> None:
        """Let go of the file."""
        self.rows.close()

    def facts_of(self, run: int) -> dict[str, Any]:
        """Return everything that is known of a run but its files; see ``RunRecord.facts``."""
        (content,) = self.rows.execute("SELECT facts FROM run WHERE id = ?", (run,)).fetchone()
        facts = json.loads(content)
        query = "SELECT content FROM shared_fact WHERE digest = ?"
        shared = {
            name: json.loads(self.rows.execute(query, (facts[name],)).fetchone()[0])
            for name in _SHARED_FACTS
        }
        return facts | shared

    def record_of(self, run: int) -> RunRecord:
        """Return the whole record of a run, by its number in the index.

        Raises:
            UserError: where it was damaged since it was indexed.
        """
        (name,) = self.rows.execute("SELECT record FROM run WHERE id = ?", (run,)).fetchone()
        found = self.store.read(name)
        if not isinstance(found, RunRecord):
            raise UserError(
                f"{self.store.folder / name}: this record could be read when it was indexed, and "
                "cannot any more. `lineage.py verify` goes on without it."
            )
        return found

    def renew_if_damaged(self) -> None:
        """Build the index again if a record was damaged since it was indexed.

        This reads every record. Other questions do not, since records never change.
        """
        query = "SELECT name FROM record WHERE problem IS NULL"
        names = [name for (name,) in self.rows.execute(query)]
        if all(isinstance(self.store.read(name), RunRecord) for name in names):
            return
        self.close()
        with suppress(OSError):
            (self.store.folder / INDEX_FILE).unlink()
        self._open()


def _refreshed(store: RecordStore) -> sqlite3.Connection:
    """Return a connection to an index that holds exactly the records that there are."""
    path, names = store.folder / INDEX_FILE, store.names()
    connection = _open(path)
    if connection is not None:
        if _is_fresh(connection, names):
            return connection
        connection.close()
    try:
        return _renewed_aside(store, path, names)
    except OSError:
        # The folder can be read and not written to: the index lives as long as the question.
        memory = sqlite3.connect(":memory:")
        _renew(memory, store, names)
        return memory


def _open(path: Path) -> sqlite3.Connection | None:
    """Return a connection to an index of this version; None where there is none."""
    if not path.exists():
        return None
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("SELECT count(*) FROM current").fetchone()
    except sqlite3.DatabaseError:
        version = None
    if version == _SCHEMA_VERSION:
        return connection
    connection.close()
    return None


def _is_fresh(connection: sqlite3.Connection, names: set[str]) -> bool:
    # Records of runs that have not ended are replaced when they do; those that ended stay.
    return {name for (name,) in connection.execute("SELECT name FROM record")} == names


def _renewed_aside(store: RecordStore, path: Path, names: set[str]) -> sqlite3.Connection:
    """Bring a copy of the index up to date and put it in place, whole."""
    descriptor, aside = tempfile.mkstemp(prefix=f".{INDEX_FILE}.", suffix=".part", dir=path.parent)
    os.close(descriptor)
    try:
        if (before := _open(path)) is not None:
            before.close()
            shutil.copyfile(path, aside)
        with closing(sqlite3.connect(aside)) as connection:
            # Written aside and renamed, or made anew: it needs no journal.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            _renew(connection, store, names)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _renew(connection: sqlite3.Connection, store: RecordStore, names: set[str]) -> None:
    """Add the records that are new; begin anew where some are gone that had ended."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    known: set[str] = set()
    if tables:
        known = {name for (name,) in connection.execute("SELECT name FROM record")}
        if any(name.startswith("events/") for name in known - names):
            for (table,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall():
                connection.execute(f"DROP TABLE {table}")
            tables, known = 0, set()
    if not tables:
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    for name in known - names:
        _remove(connection, name)
    for name in sorted(names - known, key=os.path.basename):
        _add(connection, name, store.read(name))
    connection.execute("DELETE FROM current")
    connection.execute(_CURRENT)
    connection.commit()


def _add(
    connection: sqlite3.Connection, name: str, record: RunRecord | DamagedRecord | None
) -> None:
    if record is None:
        return
    if isinstance(record, DamagedRecord):
        connection.execute("INSERT INTO record VALUES (?, ?)", (name, record.problem))
        return
    connection.execute("INSERT INTO record VALUES (?, NULL)", (name,))
    run = connection.execute(
        "INSERT OR REPLACE INTO run (run_id, job, split, parent_id, started_at, ended_at, state, "
        "message, record, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.run_id,
            record.job,
            record.split,
            record.parent_id,
            record.started_at,
            record.ended_at,
            record.state,
            record.message,
            name,
            _facts(connection, record),
        ),
    ).lastrowid
    for is_output, files in ((0, record.inputs), (1, record.outputs)):
        for file in files:
            _add_use(connection, run, is_output, file)


def _facts(connection: sqlite3.Connection, record: RunRecord) -> str:
    """Return the facts of a run as JSON; those that many runs share stand once, by their digest."""
    facts = record.facts()
    for name in _SHARED_FACTS:
        content = json.dumps(facts[name], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()
        connection.execute("INSERT OR IGNORE INTO shared_fact VALUES (?, ?)", (digest, content))
        facts[name] = digest
    return json.dumps(facts)


def _add_use(connection: sqlite3.Connection, run: int, is_output: int, file: FileUse) -> None:
    version = _version_of(connection, is_output, file)
    for number, (part, ranges) in enumerate((file.rows or {"": []}).items()):
        use = connection.execute(
            "INSERT INTO use (run, version, is_output, role, part) VALUES (?, ?, ?, ?, ?)",
            (run, version, is_output, file.role, part),
        ).lastrowid
        connection.executemany(
            "INSERT INTO span VALUES (?, ?, ?, ?)",
            ((use, *rows, rows.rows.bit_length()) for rows in ranges),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO span_level VALUES (?)",
            {(rows.rows.bit_length(),) for rows in ranges},
        )
        if number == 0:
            connection.executemany(
                "INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?)", _pieces(use, file)
            )


def _pieces(use: int, file: FileUse) -> Iterator[tuple]:
    for piece in file.pieces:
        yield use, piece.shard, *piece.rows, piece.digest, piece.shard_digest


def _version_of(connection: sqlite3.Connection, is_output: int, file: FileUse) -> int:
    if file.digest is None:
        return _version_of_rows(connection, file)
    connection.execute(
        "INSERT OR IGNORE INTO version (path, digest, size, role) VALUES (?, ?, ?, ?)",
        (file.path, file.digest, file.size, file.role),
    )
    query = "SELECT id FROM version WHERE path = ? AND digest = ?"
    (version,) = connection.execute(query, (file.path, file.digest)).fetchone()
    if is_output:
        # Snakemake touches what a job wrote: whoever reads it first says its time.
        connection.execute("UPDATE version SET seen_ns = NULL WHERE id = ?", (version,))
    return version


def _version_of_rows(connection: sqlite3.Connection, file: FileUse) -> int:
    """Return the version that a run read whose rows it knew by their shards."""
    seen = connection.execute(
        "SELECT id FROM version WHERE path = ? AND size = ? AND seen_ns = ? "
        "ORDER BY id DESC LIMIT 1",
        (file.path, file.size, file.modified_ns),
    ).fetchone()
    written = (
        seen
        or connection.execute(
            "SELECT version.id FROM version JOIN use ON use.version = version.id "
            "WHERE path = ? AND size = ? AND seen_ns IS NULL AND use.is_output "
            "ORDER BY use.id DESC LIMIT 1",
            (file.path, file.size),
        ).fetchone()
    )
    if written is None:
        insert = "INSERT INTO version (path, size, seen_ns, role) VALUES (?, ?, ?, ?)"
        values = (file.path, file.size, file.modified_ns, file.role)
        return connection.execute(insert, values).lastrowid
    update = "UPDATE version SET seen_ns = ? WHERE id = ?"
    connection.execute(update, (file.modified_ns, written[0]))
    return written[0]


def _remove(connection: sqlite3.Connection, name: str) -> None:
    """Take out the record of a run that had not ended."""
    runs = [run for (run,) in connection.execute("SELECT id FROM run WHERE record = ?", (name,))]
    for run in runs:
        uses = [use for (use,) in connection.execute("SELECT id FROM use WHERE run = ?", (run,))]
        for table in ("span", "piece"):
            connection.executemany(f"DELETE FROM {table} WHERE use = ?", _singles(uses))
        connection.execute("DELETE FROM use WHERE run = ?", (run,))
        connection.execute("DELETE FROM run WHERE id = ?", (run,))
    connection.execute("DELETE FROM record WHERE name = ?", (name,))


def _singles(values: Iterable[int]) -> Iterator[tuple[int]]:
    return ((value,) for value in values)
