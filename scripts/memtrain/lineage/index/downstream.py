"""Queries that follow rows and files downstream, through the runs that read them.

A run may have parts, such as the splits in the one run of ``resolve_splits``. Inputs and outputs
name the part that they belong to; the part "" stands for the run as a whole.
"""

import sqlite3
from collections.abc import Iterable

from memtrain.core.ranges import Range
from memtrain.lineage.index.facts import Output, Reader, Version

_READERS_OF_ROWS = """
SELECT DISTINCT use.run, use.part, use.role, version.path AS input_path
FROM span_level
JOIN span ON span.level = span_level.level
    AND span.start > ?1 - (1 << span_level.level) AND span.start < ?2 AND span.end > ?1
JOIN use ON use.id = span.use AND NOT use.is_output
JOIN version ON version.id = use.version AND version.path = ?3
"""

_READERS_OF_DIGEST = """
SELECT DISTINCT use.run, use.part, use.role, version.path AS input_path
FROM piece JOIN use ON use.id = piece.use JOIN version ON version.id = use.version
WHERE (piece.digest = ?1 OR piece.shard_digest = ?1) AND NOT use.is_output
UNION
SELECT use.run, use.part, use.role, version.path
FROM version JOIN use ON use.version = version.id
WHERE version.digest = ?1 AND NOT use.is_output
"""

_READERS_OF_FILE = """
SELECT DISTINCT use.run, use.part, use.role, version.path AS input_path
FROM version JOIN use ON use.version = version.id
WHERE NOT use.is_output AND version.path = ?1
    AND version.id = coalesce((SELECT version FROM current WHERE path = ?1), version.id)
"""

#: If an output and an input of a run both name a part, the output was made from the input only if
#: it is the same part. Otherwise an output was made from everything that its run read.
_FILL_WRITTEN = """
INSERT INTO written
SELECT use.id, reached.input_path FROM reached
JOIN use ON use.run = reached.run AND use.is_output = 1 WHERE reached.part = ''
UNION ALL
SELECT use.id, reached.input_path FROM reached
JOIN use ON use.run = reached.run AND use.is_output = 1 AND use.part IN (reached.part, '')
WHERE reached.part != ''
"""

_OUTPUTS = """
SELECT version.id, version.path, version.role AS first_role, version.digest, version.size,
    use.role, run.job, run.split, written.input_path,
    current.version IS NOT NULL AND current.version = use.version AS is_current
FROM written
JOIN use ON use.id = written.use
JOIN version ON version.id = use.version
JOIN run ON run.id = use.run
LEFT JOIN current ON current.path = version.path
ORDER BY written.rowid, version.path
"""

#: The runs that read a written file. If both runs recorded rows of it, some rows must be the same.
_READERS_OF_WRITTEN = """
SELECT DISTINCT reading.run, reading.part, reading.role, version.path AS input_path
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


class DownstreamQueries:
    """Finds the runs that read rows or files, and the files that they wrote.

    Args:
        connection: the connection to the index, whose rows are ``sqlite3.Row``.
    """

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS reached (run, part, input_path)")
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS written (use, input_path)")

    def readers_of_rows(self, path: str, rows: Range) -> list[Reader]:
        """Return the runs that read some of these rows, in any version of the file."""
        return self._readers(_READERS_OF_ROWS, (rows.start, rows.end, path))

    def readers_of_digest(self, digest: str) -> list[Reader]:
        """Return the runs that read a shard, a piece of a shard or a file with this digest."""
        return self._readers(_READERS_OF_DIGEST, (digest,))

    def readers_of_file(self, path: str) -> list[Reader]:
        """Return the runs that read the current version of a file.

        If no run wrote the file, the readers of all of its versions are returned.
        """
        return self._readers(_READERS_OF_FILE, (path,))

    def step(self, readers: Iterable[Reader]) -> tuple[list[Output], list[Reader]]:
        """Return the files that readers wrote from their inputs, and the runs that read those."""
        self._connection.execute("DELETE FROM reached")
        self._connection.executemany(
            "INSERT INTO reached VALUES (?, ?, ?)",
            ((one.run, one.part, one.input_path) for one in readers),
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
        input_path=row["input_path"],
        is_current=bool(row["is_current"]),
    )
