"""What lies downstream of rows, of a shard, of a digest or of a file."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memtrain.core.ranges import Range
from memtrain.lineage.index.facts import Output, Reader
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.models_on_disk import ModelOnDisk, ModelsOnDisk
from memtrain.lineage.queries.removed_models import RemovedModel
from memtrain.lineage.records.run_record import ROLES_ABOUT_ROWS
from memtrain.system.digests import digest_of_file

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
        is_current: whether the file still lies there, and no later run has written it.
        note: what is unusual about the file, and what to do.
        removed_at: the time at which clean.py removed the file, ISO 8601; None where it did not.
    """

    path: str
    digest: str | None
    role: str
    job: str
    depth: int
    through: str
    is_current: bool
    note: str | None = None
    removed_at: str | None = None


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


def with_models_on_disk(
    index: LineageIndex,
    files: Iterable[DownstreamFile],
    *,
    models: ModelsOnDisk,
    project: Path,
    data: str,
    reached: Sequence[ModelOnDisk] | None,
) -> list[DownstreamFile]:
    """Return what lies downstream, where models on the disk count whatever became of records.

    Args:
        index: the index of the records.
        files: what lies downstream by the records.
        models: the models that lie on the disk.
        project: the folder of the project.
        data: the path of the file of rows, relative to the project.
        reached: the models on the disk that were trained on the rows of the query; None where only
            the records tell.
    """
    added = [*(reached or ()), *models.unknown]
    by_path = {model.path: model for model in models.models}
    left_out = set() if reached is None else {*by_path} - {model.path for model in added}
    found = [
        replace(
            one,
            is_current=one.is_current and (project / one.path).exists(),
            note=by_path[one.path].note if one.path in by_path else None,
        )
        for one in files
        if not (one.is_current and one.path in left_out)
    ]
    for model in added:
        if not any(one.is_current and one.path == model.path for one in found):
            found += _unrecorded(index, model, project=project, data=data)
    unique = {(one.path, one.digest): one for one in reversed(found)}
    return sorted(unique.values(), key=_order)


def with_removed_models(
    files: Iterable[DownstreamFile],
    removed: Iterable[RemovedModel],
    *,
    rows: Sequence[Range] | None,
    data: str,
) -> list[DownstreamFile]:
    """Return what lies downstream, with the models that clean.py has removed.

    Args:
        files: what lies downstream of the query.
        removed: the models that were removed.
        rows: the rows of the query; None where only the records tell.
        data: the path of the file of rows, relative to the project.
    """
    found = {(one.path, one.digest): one for one in files}
    for model in removed:
        known = found.get((model.path, model.digest))
        if known is None and (model.ranges is None or (rows and model.may_hold(rows))):
            job = f"train/{model.split}"
            known = DownstreamFile(model.path, model.digest, "model", job, 1, data, False)
        if known is not None and not known.is_current:
            gone = replace(known, note=model.note, removed_at=model.at)
            found[model.path, model.digest] = gone
    return sorted(found.values(), key=_order)


def _unrecorded(
    index: LineageIndex, model: ModelOnDisk, *, project: Path, data: str
) -> Iterator[DownstreamFile]:
    """Yield a model that no record names, and what was made from it."""
    digest = digest_of_file(project / model.path)
    job = f"train/{model.split}"
    yield DownstreamFile(model.path, digest, "model", job, 1, data, True, model.note)
    for one in downstream_of_digest(index, digest):
        yield replace(
            one,
            depth=one.depth + 1,
            is_current=one.is_current and (project / one.path).exists(),
        )


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
    return sorted(found, key=_order)


def _order(file: DownstreamFile) -> tuple[int, str, int, str]:
    return file.depth, file.job, _importance(file.role), file.path


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
