"""Builds the index from the records, and adds new records to it."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from memtrain.lineage.index.schema import FILL_CURRENT, FILL_RIVAL, SHARED_FACTS, TABLES, VERSION
from memtrain.lineage.index.seal import is_sealed, seal
from memtrain.lineage.records.record_store import DamagedRecord, RecordStore
from memtrain.lineage.records.run_record import FileUse, RunRecord
from memtrain.system.atomic_files import temporary_file

INDEX_FILE = "index.sqlite"


def open_index(store: RecordStore) -> sqlite3.Connection:
    """Return a connection to an index that holds exactly the records of a store."""
    path = store.folder / INDEX_FILE
    names = store.names()
    connection = _open(path)
    if connection is not None:
        if _is_up_to_date(connection, store, names):
            return connection
        connection.close()
    try:
        return _renew_aside(store, path, names)
    except (OSError, sqlite3.DatabaseError):
        # The disk is full, broken, or not to be written to: this process has an index in memory.
        memory = sqlite3.connect(":memory:")
        _renew(memory, store, names)
        return memory


def _open(path: Path) -> sqlite3.Connection | None:
    """Return a connection to the index in a file; None where there is none of this version."""
    if not is_sealed(path):
        return None
    connection = _connect_for_reading(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError:
        version = None
    if version == VERSION:
        return connection
    connection.close()
    return None


def _connect_for_reading(path: Path) -> sqlite3.Connection:
    # The file is replaced and never changed, so that nobody has to lock it.
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True)
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _is_up_to_date(connection: sqlite3.Connection, store: RecordStore, names: set[str]) -> bool:
    # The record of a run gets another name when the run ends, and does not change after that. A
    # damaged one may have been brought back.
    if not _is_of_place(connection, store):
        return False
    sound, damaged = _record_names(connection)
    return sound | damaged == names and all(
        isinstance(store.read(name), DamagedRecord) for name in damaged
    )


def _is_of_place(connection: sqlite3.Connection, store: RecordStore) -> bool:
    """Return whether the folder of the results had today's name when the index was made."""
    return connection.execute("SELECT results FROM place").fetchone() == (store.results,)


def _record_names(connection: sqlite3.Connection) -> tuple[set[str], set[str]]:
    """Return the names of the sound records and those of the damaged ones."""
    rows = connection.execute("SELECT name, problem IS NULL FROM record").fetchall()
    sound = {name for name, is_sound in rows if is_sound}
    return sound, {name for name, _ in rows} - sound


def _renew_aside(store: RecordStore, path: Path, names: set[str]) -> sqlite3.Connection:
    """Bring a copy of the index up to date, and rename it so that it replaces the index."""
    with temporary_file(path) as (file, aside):
        if (before := _open(path)) is not None:
            before.close()
            shutil.copyfile(path, aside)
        # The file is locked already, and over NFS SQLite would wait for that lock.
        address = f"{Path(aside).absolute().as_uri()}?nolock=1"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            # A torn copy never replaces the index, so SQLite need not keep a journal.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            _renew(connection, store, names)
        seal(file)
        connection = _connect_for_reading(Path(aside))
        os.replace(aside, path)
    return connection


def _renew(connection: sqlite3.Connection, store: RecordStore, names: set[str]) -> None:
    """Add new records; build the index again where a record is gone or the folder was renamed."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    tables = [table for (table,) in connection.execute(query)]
    sound, damaged = _record_names(connection) if tables else (set(), set())
    is_moved = bool(tables) and not _is_of_place(connection, store)
    if is_moved or any(name.startswith("events/") for name in sound - names):
        for table in tables:
            connection.execute(f"DROP TABLE {table}")
        tables = []
        sound = damaged = set()
    if not tables:
        connection.executescript(TABLES)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("INSERT INTO place VALUES (?)", (store.results,))
    for name in damaged | (sound - names):
        _remove(connection, name)
    for name in sorted(names - sound, key=os.path.basename):
        _add(connection, name, store.read(name))
    for table, fill in (("current", FILL_CURRENT), ("rival", FILL_RIVAL)):
        connection.execute(f"DELETE FROM {table}")
        connection.execute(fill)
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
    run = _insert(
        connection,
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
    )
    for file in record.inputs:
        _add_uses(connection, run, file, is_output=False)
    for file in record.outputs:
        _add_uses(connection, run, file, is_output=True)


def _facts(connection: sqlite3.Connection, record: RunRecord) -> str:
    """Return the facts of a run as JSON, with the digests of those that many runs share."""
    facts = record.facts()
    for name in SHARED_FACTS:
        content = json.dumps(facts[name], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()
        connection.execute("INSERT OR IGNORE INTO shared_fact VALUES (?, ?)", (digest, content))
        facts[name] = digest
    return json.dumps(facts)


def _add_uses(connection: sqlite3.Connection, run: int, file: FileUse, is_output: bool) -> None:
    """Add the uses of a file by a run, one for each part of the run that used it."""
    version = _version_of(connection, file, is_output)
    for number, (part, ranges) in enumerate((file.rows or {"": []}).items()):
        use = _insert(
            connection,
            "INSERT INTO use (run, version, is_output, role, part) VALUES (?, ?, ?, ?, ?)",
            (run, version, is_output, file.role, part),
        )
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
                "INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (use, piece.shard, *piece.rows, piece.digest, piece.shard_digest)
                    for piece in file.pieces
                ),
            )


def _version_of(connection: sqlite3.Connection, file: FileUse, is_output: bool) -> int:
    """Return the number of the version that a run read or wrote; add the version if it is new."""
    if file.digest is None:
        return _version_of_rows(connection, file)
    connection.execute(
        "INSERT OR IGNORE INTO version (path, digest, size, role) VALUES (?, ?, ?, ?)",
        (file.path, file.digest, file.size, file.role),
    )
    query = "SELECT id FROM version WHERE path = ? AND digest = ?"
    (version,) = connection.execute(query, (file.path, file.digest)).fetchone()
    if is_output:
        # Snakemake touches the outputs of a job when it ends, so the time of modification is known
        # only when another run has read the file.
        connection.execute("UPDATE version SET seen_ns = NULL WHERE id = ?", (version,))
    return version


def _version_of_rows(connection: sqlite3.Connection, file: FileUse) -> int:
    """Return the version of a file of rows that a run read without computing its digest.

    This is the version that an earlier run read with the same size and time of modification. If
    there is none, it is the version that was written last, if its size is the same and no run has
    read it since. Otherwise the run read a new version.
    """
    found = connection.execute(
        "SELECT id FROM version WHERE path = ? AND size = ? AND seen_ns = ? "
        "ORDER BY id DESC LIMIT 1",
        (file.path, file.size, file.modified_ns),
    ).fetchone()
    if found is None:
        found = connection.execute(
            "SELECT version.id FROM version JOIN use ON use.version = version.id "
            "WHERE path = ? AND size = ? AND seen_ns IS NULL AND use.is_output "
            "ORDER BY use.id DESC LIMIT 1",
            (file.path, file.size),
        ).fetchone()
    if found is None:
        return _insert(
            connection,
            "INSERT INTO version (path, size, seen_ns, role) VALUES (?, ?, ?, ?)",
            (file.path, file.size, file.modified_ns, file.role),
        )
    (version,) = found
    update = "UPDATE version SET seen_ns = ? WHERE id = ?"
    connection.execute(update, (file.modified_ns, version))
    return version


def _remove(connection: sqlite3.Connection, name: str) -> None:
    """Remove the record of a run that had not ended, and what the index holds of this run."""
    runs = [run for (run,) in connection.execute("SELECT id FROM run WHERE record = ?", (name,))]
    for run in runs:
        uses = [use for (use,) in connection.execute("SELECT id FROM use WHERE run = ?", (run,))]
        for table in ("span", "piece"):
            connection.executemany(f"DELETE FROM {table} WHERE use = ?", _one_column(uses))
        connection.execute("DELETE FROM use WHERE run = ?", (run,))
        connection.execute("DELETE FROM run WHERE id = ?", (run,))
    connection.execute("DELETE FROM record WHERE name = ?", (name,))


def _insert(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> int:
    """Insert a row, and return its number."""
    number = connection.execute(statement, values).lastrowid
    assert number is not None, statement
    return number


def _one_column(values: Iterable[int]) -> Iterator[tuple[int]]:
    """Yield each value as a row of one column."""
    return ((value,) for value in values)
