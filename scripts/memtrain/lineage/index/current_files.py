"""Settles by what lies on the disk which version of a file is the current one.

The index takes for current what was written last, by the clocks of the machines that wrote it. The
clocks of two machines may differ by hours, and a file may be brought back from a copy. So where
runs wrote several versions of a file, the digest of the file decides.
"""

import os
import sqlite3
from itertools import groupby
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.system.known_digests import KnownDigests

_RIVALS = """
SELECT rival.path, rival.version, rival.run, version.digest, version.size, version.seen_ns
FROM rival JOIN version ON version.id = rival.version ORDER BY rival.path, rival.version
"""


def settle_by_disk(connection: sqlite3.Connection, project: Path, known: KnownDigests) -> None:
    """Make the version that lies on the disk the current one, for this connection.

    Files that are gone, and files that hold something that no run wrote, stay as they are.

    Args:
        connection: the connection to the index, whose rows are ``sqlite3.Row``.
        project: the folder that the paths of files are relative to.
        known: the digests of files. Files that it may not read stay as they are.
    """
    found = []
    rivals = connection.execute(_RIVALS).fetchall()
    for path, versions in groupby(rivals, key=lambda row: row["path"]):
        if one := _on_disk(Path(os.path.relpath(project / path)), list(versions), known):
            found.append((one["version"], one["run"], path))
    if found:
        # A temporary table of the same name takes precedence, and the index may be read-only.
        connection.execute("CREATE TEMP TABLE current AS SELECT * FROM main.current")
        connection.execute("CREATE UNIQUE INDEX temp.current_by_path ON current (path)")
        update = "UPDATE temp.current SET version = ?, run = ? WHERE path = ?"
        connection.executemany(update, found)
        connection.commit()


def _on_disk(path: Path, versions: list[sqlite3.Row], known: KnownDigests) -> sqlite3.Row | None:
    """Return the version that a file holds; None where it holds none of them, or is not read."""
    try:
        found = os.stat(path)
        same = [one for one in versions if one["size"] == found.st_size]
        seen = [one for one in same if one["seen_ns"] == found.st_mtime_ns]
        if len(seen) == 1:
            return seen[0]
        digest = known.digest(path) if same else None
    except (OSError, ValueError, UserError):
        return None
    return next((one for one in same if digest and one["digest"] == digest), None)
