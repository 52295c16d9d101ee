"""Finds the version of a file that a person names, and the records behind it."""

import os
from dataclasses import dataclass
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean
from memtrain.lineage.queries.index import LineageIndex
from memtrain.lineage.records.privacy import Privacy
from memtrain.system.digests import digest_of_file

_HASHED_AT_MOST = 1 << 30


@dataclass(frozen=True)
class Found:
    """A version of a file.

    Attributes:
        version: its number in the index.
        path: as seen from the project.
        note: where the file on the disk is another than the last one recorded.
    """

    version: int
    path: str
    note: str | None = None


def find_version(index: LineageIndex, project: Path, path: str) -> Found:
    """Return the version that lies on the disk; the last recorded one where that is unknown.

    Raises:
        UserError: where no record names the file.
    """
    name = Privacy(project).path(path)
    current = index.rows.execute("SELECT version FROM current WHERE path = ?", (name,)).fetchone()
    on_disk = _version_on_disk(index, project, name)
    if on_disk is not None:
        return Found(on_disk, name)
    last = (
        current
        or index.rows.execute(
            "SELECT max(id) AS version FROM version WHERE path = ?", (name,)
        ).fetchone()
    )
    if last["version"] is None:
        known = [row["path"] for row in index.rows.execute("SELECT DISTINCT path FROM version")]
        raise UserError(
            f"{path}: no record names this file.{did_you_mean(name, known)} Paths are seen from "
            f"the folder of the project ({project})."
        )
    is_there = (project / name).exists()
    what = "has changed since; shown is what was recorded last" if is_there else "is gone"
    return Found(last["version"], name, f"the file on the disk {what}")


def _version_on_disk(index: LineageIndex, project: Path, name: str) -> int | None:
    """Return the version that a file's bytes are; None where no record has these."""
    path = project / name
    if not path.is_file():
        return None
    role = index.rows.execute("SELECT role FROM version WHERE path = ?", (name,)).fetchone()
    if role is None:
        return None
    row = index.rows.execute(
        "SELECT id FROM version WHERE path = ? AND size = ? AND seen_ns = ?",
        (name, (found := os.stat(path)).st_size, found.st_mtime_ns),
    ).fetchone()
    # Rows may be larger than anybody wants to wait for; their time says which version they are.
    if row is None and (role["role"] != "rows" or found.st_size <= _HASHED_AT_MOST):
        row = index.rows.execute(
            "SELECT id FROM version WHERE path = ? AND digest = ?", (name, digest_of_file(path))
        ).fetchone()
    return row["id"] if row else None


def find_run(index: LineageIndex, project: Path, name: str) -> int:
    """Return the number of the run that a person names: a run id, or a file that it wrote.

    ``PATH~1`` is the run before the last one that wrote a file, ``PATH~2`` the one before that.

    Raises:
        UserError: where there is no such run.
    """
    row = index.rows.execute("SELECT id FROM run WHERE run_id = ?", (name,)).fetchone()
    if row is not None:
        return row["id"]
    path, sign, back = name.rpartition("~")
    if not (sign and back.isdecimal()):
        path, back = name, "0"
    runs = runs_that_wrote(index, Privacy(project).path(path))
    if not runs:
        raise UserError(
            f"{name}: this is neither the id of a recorded run nor a file that one wrote. Paths "
            f"are seen from the folder of the project ({project})."
        )
    if int(back) >= len(runs):
        raise UserError(f"{name}: only {len(runs)} recorded runs wrote {path}.")
    return runs[int(back)]


def runs_that_wrote(index: LineageIndex, path: str) -> list[int]:
    """Return the runs that wrote any version of a file, the last one first."""
    return [
        row["run"]
        for row in index.rows.execute(
            "SELECT DISTINCT use.run, run.ended_at FROM version "
            "JOIN use ON use.version = version.id JOIN run ON run.id = use.run "
            "WHERE use.is_output AND version.path = ? "
            "AND run.state = 'completed' ORDER BY run.ended_at DESC, run.id DESC",
            (path,),
        )
    ]
