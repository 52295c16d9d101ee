"""Steps downstream: who read some rows or files, what they wrote, and who read that."""

import sqlite3
from collections.abc import Iterable

from memtrain.core.ranges import Range
from memtrain.lineage.index.facts import Output, Reader, Version

_READERS_OF_ROWS = """
SELECT DISTINCT use.run, use.part, use.role, version.path AS through
FROM span_level
JOIN span ON span.level = span_level.level
    AND span.start > ?1 - (1 << span_level.level) AND span.start < ?2 AND span.end > ?1
JOIN use ON use.id = span.use AND NOT use.is_output
JOIN version ON version.id = use.version AND version.path = ?3
"""

_READERS_OF_DIGEST = """
SELECT DISTINCT use.run, use.part, use.role, version.path AS through
FROM piece JOIN use ON use.id = piece.use JOIN version ON version.id = use.version
WHERE (piece.digest = ?1 OR piece.shard_digest = ?1) AND NOT use.is_output
UNION
SELECT use.run, use.part, use.role, version.path
FROM version JOIN use ON use.version = version.id
WHERE version.digest = ?1 AND NOT use.is_output
"""

_READERS_OF_FILE = """
SELECT DISTINCT use.run, use.part, use.role, version.path AS through
FROM version JOIN use ON use.version = version.id
WHERE NOT use.is_output AND version.path = ?1
    AND version.id = coalesce((SELECT version FROM current WHERE path = ?1), version.id)
"""

#: An output comes from a part of its run where the output and the input both name a part; else it
#: comes from everything that the run read.
_FILL_WRITTEN = """
INSERT INTO written
SELECT use.id, reached.through FROM reached
JOIN use ON use.run = reached.run AND use.is_output = 1 WHERE reached.part = ''
UNION ALL
SELECT use.id, reached.through FROM reached
JOIN use ON use.run = reached.run AND use.is_output = 1 AND use.part IN (reached.part, '')
WHERE reached.part != ''
"""

_OUTPUTS = """
SELECT version.id, version.path, version.role AS first_role, version.digest, version.size,
    use.role, run.job, run.split, written.through,
    current.version IS NOT NULL AND current.version = use.version AS is_current
FROM written
JOIN use ON use.id = written.use
JOIN version ON version.id = use.version
JOIN run ON run.id = use.run
LEFT JOIN current ON current.path = version.path
ORDER BY written.rowid, version.path
"""

#: Who read what was written: where both name rows, they have to share some.
_READERS_OF_WRITTEN = """
SELECT DISTINCT reading.run, reading.part, reading.role, version.path AS through
FROM written
JOIN use ON use.id = written.use
JOIN use AS reading ON reading.version = use.version AND reading.is_output = 0
JOIN version ON version.id = use.version
WHERE NOT EXISTS (SELECT 1 FROM span WHERE span.use = use.id)
    OR NOT EXISTS (SELECT 1 FROM span WHERE span.use = reading.id)
    OR EXISTS (
        SELECT 1 FROM span AS one JOIN span AS other ON one.use = use.id AND other.use = reading.id
        AND other.start < one.end AND other.end > one.start
    )
"""


class Downstream:
    """Questions about what was read, and what was made from it.

    Args:
        connection: the connection to the index, whose rows are ``sqlite3.Row``.
    """

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS reached (run, part, through)")
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS written (use, through)")

    def readers_of_rows(self, path: str, rows: Range) -> list[Reader]:
        """Return who read some of the rows of a file, in any version of it."""
        return self._readers(_READERS_OF_ROWS, (rows.start, rows.end, path))

    def readers_of_digest(self, digest: str) -> list[Reader]:
        """Return who read a shard, exactly the rows of a piece, or a file with this digest."""
        return self._readers(_READERS_OF_DIGEST, (digest,))

    def readers_of_file(self, path: str) -> list[Reader]:
        """Return who read the current version of a file; any version where none is known."""
        return self._readers(_READERS_OF_FILE, (path,))

    def step(self, readers: Iterable[Reader]) -> tuple[list[Output], list[Reader]]:
        """Return what some runs wrote from what they read, and who read that in turn."""
        self._connection.execute("DELETE FROM reached")
        self._connection.executemany(
            "INSERT INTO reached VALUES (?, ?, ?)",
            ((one.run, one.part, one.through) for one in readers),
        )
        self._connection.execute("DELETE FROM written")
        self._connection.execute(_FILL_WRITTEN)
        outputs = [_output(row) for row in self._connection.execute(_OUTPUTS)]
        return outputs, self._readers(_READERS_OF_WRITTEN)

    def _readers(self, query: str, values: tuple[int | str, ...] = ()) -> list[Reader]:
        return [Reader(**row) for row in self._connection.execute(query, values)]


def _output(row: sqlite3.Row) -> Output:
    version = Version(
        id=row["id"],
        path=row["path"],
        role=row["first_role"],
        digest=row["digest"],
        size=row["size"],
    )
    return Output(
        version=version,
        role=row["role"],
        job=row["job"] if row["split"] is None else f"{row['job']}/{row['split']}",
        through=row["through"],
        is_current=bool(row["is_current"]),
    )
