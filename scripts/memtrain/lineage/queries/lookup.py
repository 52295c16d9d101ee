"""Finds the version of a file, the run or the rows that a user names."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.wording import did_you_mean, listed, shown_path
from memtrain.data.manifest import Manifest
from memtrain.lineage.index.facts import Version
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.records.privacy import Privacy
from memtrain.system.digests import digest_of_file

#: Larger files of rows are identified by size and time only: computing a digest takes too long.
_MAX_BYTES_TO_DIGEST = 1 << 30


@dataclass(frozen=True)
class FoundVersion:
    """The version of a file that a user named.

    Attributes:
        version: the version.
        note: how the file on the disk differs from this version; None where it does not.
    """

    version: Version
    note: str | None = None


def find_version(index: LineageIndex, project: Path, path: str) -> FoundVersion:
    """Return the version of a file that is on the disk, or else the version recorded last.

    Args:
        index: the index of the records.
        project: the folder of the project.
        path: the file, as the user named it.

    Raises:
        UserError: where no record names the file.
    """
    name = Privacy(project).path(path)
    versions = index.versions(name)
    if not versions:
        raise UserError(
            f"{shown_path(path)}: no record names this file.{did_you_mean(name, index.paths())} "
            f"Paths are relative to the folder of the project ({project})."
        )
    on_disk = _version_on_disk(versions, project / name)
    if on_disk is not None:
        return FoundVersion(on_disk)
    current = index.current(name)
    last = versions[-1] if current is None else index.version(current.version)
    if (project / name).exists():
        return FoundVersion(
            last, "the file on the disk has changed since; this is what was recorded last"
        )
    return FoundVersion(last, "the file is gone; this is what was recorded last")


def _version_on_disk(versions: list[Version], path: Path) -> Version | None:
    """Return the recorded version that the file on the disk holds; None if none matches."""
    if not path.is_file():
        return None
    found = os.stat(path)
    for version in versions:
        if (version.size, version.modified_ns) == (found.st_size, found.st_mtime_ns):
            return version
    if versions[0].role == "rows" and found.st_size > _MAX_BYTES_TO_DIGEST:
        return None
    digest = digest_of_file(path)
    return next((version for version in versions if version.digest == digest), None)


def find_run(index: LineageIndex, project: Path, name: str) -> int:
    """Return the number of the run that a user names by its id or by a file that it wrote.

    ``PATH`` names the last run that wrote a file, ``PATH~1`` the second-to-last, and so on.

    Raises:
        UserError: where there is no such run.
    """
    run = index.run_named(name)
    if run is not None:
        return run
    path, sign, back = name.rpartition("~")
    if not (sign and re.fullmatch(r"[0-9]{1,9}", back)):
        path, back = name, "0"
    runs = index.completed_runs_that_wrote(Privacy(project).path(path))
    if not runs:
        raise UserError(
            f"{shown_path(name)}: this is neither the id of a recorded run nor a file that one "
            f"wrote. Paths are relative to the folder of the project ({project})."
        )
    if int(back) >= len(runs):
        raise UserError(f"{name}: only {len(runs)} recorded runs wrote {path}.")
    return runs[int(back)]


def find_digest(index: LineageIndex, digest: str) -> str:
    """Return the digest of a shard, of rows or of a file that a user names, as records have it.

    Its beginning is enough, with or without the algorithm, as answers show it.

    Raises:
        UserError: where no record has such a digest, or several begin so.
    """
    is_one = re.fullmatch(r"([a-z0-9]{1,20}:)?[0-9a-f]{6,128}", digest)
    found = index.digests_that_begin(digest) if is_one else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"--digest {shown_path(digest)}: no record has this digest. Name the digest of a "
            "shard, of rows that a run read, or of a file; 6 of its first digits are enough."
        )
    raise UserError(
        f"--digest {digest}: {len(found)} digests begin so: {listed(found, 5)}. Name more digits."
    )


def rows_of_shard(manifest: Path, shard: int) -> Range:
    """Return the rows of a shard.

    Args:
        manifest: the manifest of the dataset.
        shard: the number of the shard.

    Raises:
        UserError: where there is no such shard.
    """
    shards = Manifest.read(manifest).shards
    if not 0 <= shard < len(shards):
        raise UserError(f"--shard {shard}: {manifest} has the shards 0 to {len(shards) - 1}.")
    return shards[shard].rows
