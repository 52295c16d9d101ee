"""What lies downstream of rows, of a shard, of a digest or of a file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memtrain.core.ranges import Range
from memtrain.lineage.index.facts import Output, Reader
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.records.run_record import ROLES_ABOUT_ROWS

#: Roles of files in the order in which files are listed: the ones that people look for come first.
_ROLES_BY_IMPORTANCE = ("rows", "model", "evaluation", "manifest", "recipe", "summary")


@dataclass(frozen=True)
class DownstreamFile:
    """A file that was made, directly or through other files, from the rows or file of a query.

    Attributes:
        path: the path of the file, relative to the project.
        digest: the digest of this version.
        role: what the file was to the run that wrote it.
        job: the name of that run: its job with its split.
        depth: the number of runs between the rows or file of the query and this file.
        through: the path of the input through which the run is downstream of the query.
        is_current: whether no later run has written the file.
    """

    path: str
    digest: str | None
    role: str
    job: str
    depth: int
    through: str
    is_current: bool


def downstream_of_rows(
    index: LineageIndex, path: str, ranges: Sequence[Range]
) -> list[DownstreamFile]:
    """Return what was made from rows of a file, in any version of it.

    If a run downstream writes rows itself, these rows are followed range by range: a run that reads
    them is downstream if its ranges overlap the written ones. Files that only describe rows, such
    as the manifest, are not followed, since runs that use them also record which rows they read.

    Args:
        index: the index of the records.
        path: the file of rows, relative to the project.
        ranges: the ranges of rows.
    """
    readers = [one for rows in ranges for one in index.downstream.readers_of_rows(path, rows)]
    return _follow(index, readers, roles_left_out=ROLES_ABOUT_ROWS)


def downstream_of_digest(index: LineageIndex, digest: str) -> list[DownstreamFile]:
    """Return what was made from a shard, a piece of a shard or a file with this digest."""
    return _follow(
        index, index.downstream.readers_of_digest(digest), roles_left_out=ROLES_ABOUT_ROWS
    )


def downstream_of_file(index: LineageIndex, path: str) -> list[DownstreamFile]:
    """Return what was made from the current version of a file.

    Files that describe rows, such as the manifest, are followed as well.
    """
    readers = index.downstream.readers_of_file(path)
    return _follow(index, readers)


def _follow(
    index: LineageIndex, readers: Iterable[Reader], roles_left_out: Sequence[str] = ()
) -> list[DownstreamFile]:
    """Return everything downstream of some readers, breadth first.

    Args:
        index: the index of the records.
        readers: the runs that read the rows or file of the query.
        roles_left_out: the roles of files that are not followed further.
    """
    found: list[DownstreamFile] = []
    seen_readers: set[tuple[int, str]] = set()
    seen_versions: set[int] = set()
    depth = 0
    while readers := [one for one in readers if (one.run, one.part) not in seen_readers]:
        depth += 1
        readers = sorted(readers, key=lambda one: (_importance(one.role), one.input_path))
        seen_readers.update((one.run, one.part) for one in readers)
        outputs, readers = index.downstream.step(readers)
        for output in outputs:
            if output.version.id not in seen_versions:
                seen_versions.add(output.version.id)
                found.append(_downstream_file(output, depth))
        readers = [one for one in readers if one.role not in roles_left_out]
    return sorted(found, key=lambda one: (one.depth, one.job, _importance(one.role), one.path))


def _importance(role: str) -> int:
    known = _ROLES_BY_IMPORTANCE
    return known.index(role) if role in known else len(known)


def _downstream_file(output: Output, depth: int) -> DownstreamFile:
    return DownstreamFile(
        path=output.version.path,
        digest=output.version.digest,
        role=output.role,
        job=output.job,
        depth=depth,
        through=output.input_path,
        is_current=output.is_current,
    )
