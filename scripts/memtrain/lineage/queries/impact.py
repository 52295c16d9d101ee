"""What lies downstream of rows, of a shard, of a digest or of a file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from memtrain.core.ranges import Range
from memtrain.lineage.queries.index import LineageIndex
from memtrain.lineage.records.run_record import ROLES_ABOUT_ROWS


@dataclass(frozen=True)
class Reached:
    """A result that something reaches.

    Attributes:
        path: of the file, as seen from the project.
        digest: of this version of it.
        role: what it is.
        job: that wrote it, with its split.
        depth: how many runs lie between.
        through: the file that the run read which reached it first.
        is_current: whether this version is the last one of its path.
    """

    path: str
    digest: str | None
    role: str
    job: str
    depth: int
    through: str
    is_current: bool


#: What a person looks for first.
_IMPORTANT = ("rows", "model", "evaluation", "manifest", "recipe", "summary")


class Impact:
    """Follows uses from run to run, breadth first.

    Rows are followed as rows: a run is reached where the ranges that it read overlap those that
    were written. Files that only speak about rows (recipes, the manifest) are not followed in a
    question about rows: who uses rows by them says itself which.

    Args:
        index: of the records.
        follows_all: also follows those files, for questions about them.
    """

    def __init__(self, index: LineageIndex, follows_all: bool = False):
        self._rows, self._follows_all = index.rows, follows_all
        self._rows.execute("CREATE TEMP TABLE IF NOT EXISTS reached (run, part, through)")
        self._rows.execute("CREATE TEMP TABLE IF NOT EXISTS written (use, through)")

    def of_rows(self, path: str, ranges: Sequence[Range]) -> list[Reached]:
        """Return what the runs made that read rows of a file, in any version of it."""
        uses = [
            use
            for rows in ranges
            for use in self._rows.execute(
                "SELECT DISTINCT use.run, use.part, version.path AS through, use.role "
                "FROM span_level JOIN span ON span.level = span_level.level "
                "AND span.start > ?1 - (1 << span_level.level) AND span.start < ?2 "
                "AND span.end > ?1 JOIN use ON use.id = span.use AND NOT use.is_output "
                "JOIN version ON version.id = use.version AND version.path = ?3",
                (rows.start, rows.end, path),
            )
        ]
        return self._follow(uses)

    def of_digest(self, digest: str) -> list[Reached]:
        """Return what was made from a shard, from exactly the rows of a piece, or from a file."""
        uses = self._rows.execute(
            "SELECT DISTINCT use.run, use.part, version.path AS through, use.role "
            "FROM piece "
            "JOIN use ON use.id = piece.use JOIN version ON version.id = use.version "
            "WHERE (piece.digest = ?1 OR piece.shard_digest = ?1) AND NOT use.is_output "
            "UNION SELECT use.run, use.part, version.path, use.role FROM version "
            "JOIN use ON use.version = version.id WHERE version.digest = ?1 AND NOT use.is_output",
            (digest,),
        ).fetchall()
        return self._follow(uses)

    def of_file(self, path: str) -> list[Reached]:
        """Return what was made from the last version of a file, as far as it is known."""
        uses = self._rows.execute(
            "SELECT DISTINCT use.run, use.part, version.path AS through, use.role "
            "FROM version "
            "JOIN use ON use.version = version.id WHERE NOT use.is_output AND version.path = ?1 "
            "AND version.id = coalesce((SELECT version FROM current WHERE path = ?1), version.id)",
            (path,),
        ).fetchall()
        return self._follow(uses)

    def _follow(self, uses: Iterable[Any]) -> list[Reached]:
        found: list[Reached] = []
        seen_runs: set[tuple[int, str]] = set()
        seen_versions: set[int] = set()
        depth = 0
        while uses := [use for use in uses if (use["run"], use["part"]) not in seen_runs]:
            depth += 1
            uses = sorted(uses, key=lambda use: (_importance(use["role"]), use["through"]))
            seen_runs.update((use["run"], use["part"]) for use in uses)
            self._rows.execute("DELETE FROM reached")
            self._rows.executemany(
                "INSERT INTO reached VALUES (?, ?, ?)",
                ((use["run"], use["part"], use["through"]) for use in uses),
            )
            self._rows.execute("DELETE FROM written")
            self._rows.execute(_WRITTEN)
            for row in self._rows.execute(_OUTPUTS):
                if row["version"] not in seen_versions:
                    seen_versions.add(row["version"])
                    found.append(_reached(row, depth))
            uses = self._rows.execute(_READERS).fetchall()
            if not self._follows_all:
                uses = [use for use in uses if use["role"] not in ROLES_ABOUT_ROWS]
        return sorted(found, key=lambda one: (one.depth, one.job, _importance(one.role), one.path))


#: An output of a run comes from a part of it where both name one, else from all that was read.
_WRITTEN = """
INSERT INTO written
SELECT use.id, reached.through FROM reached
JOIN use ON use.run = reached.run AND use.is_output = 1 WHERE reached.part = ''
UNION ALL
SELECT use.id, reached.through FROM reached
JOIN use ON use.run = reached.run AND use.is_output = 1 AND use.part IN (reached.part, '')
WHERE reached.part != ''
"""

_OUTPUTS = """
SELECT use.version, version.path, version.digest, use.role, run.job, run.split, written.through,
    current.version IS NOT NULL AND current.version = use.version AS is_current
FROM written
JOIN use ON use.id = written.use
JOIN version ON version.id = use.version
JOIN run ON run.id = use.run
LEFT JOIN current ON current.path = version.path
ORDER BY written.rowid, version.path
"""

#: Who read what the runs wrote; of rows, some of the same ones.
_READERS = """
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


def _importance(role: str) -> int:
    return _IMPORTANT.index(role) if role in _IMPORTANT else len(_IMPORTANT)


def _reached(row: Any, depth: int) -> Reached:
    return Reached(
        path=row["path"],
        digest=row["digest"],
        role=row["role"],
        job=row["job"] if row["split"] is None else f"{row['job']}/{row['split']}",
        depth=depth,
        through=row["through"],
        is_current=bool(row["is_current"]),
    )
