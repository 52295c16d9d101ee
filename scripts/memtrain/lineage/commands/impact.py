"""The command ``impact``: everything downstream of rows, a shard, a digest or a file."""

import logging
from collections.abc import Iterable, Iterator

from memtrain.core.errors import UserError
from memtrain.core.ranges import MOST_ROWS, Range
from memtrain.core.wording import counted
from memtrain.data.layouts import read_layout
from memtrain.lineage.commands.base import Commands, Query
from memtrain.lineage.commands.row_arguments import add_place_arguments, add_row_arguments
from memtrain.lineage.queries.explain import short
from memtrain.lineage.queries.impact import (
    DownstreamFile,
    downstream_of_digest,
    downstream_of_file,
    downstream_of_rows,
    with_models_on_disk,
    with_removed_models,
)
from memtrain.lineage.queries.lookup import find_digest, find_version
from memtrain.lineage.queries.models_on_disk import ModelOnDisk, ModelsOnDisk
from memtrain.lineage.queries.named_places import NamedPlace, is_file_of_rows

_log = logging.getLogger(__name__)


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "impact", run, "show everything that was made from some rows, a digest or a file"
    )
    source = add_row_arguments(parser, required=False)
    add_place_arguments(parser, source)
    source.add_argument(
        "--digest",
        help="the digest of a shard, of the rows of a shard that a run read, or of a file; its "
        "beginning is enough",
    )
    source.add_argument("--file", metavar="PATH", help="a file that a run read or wrote")
    parser.add_argument(
        "--all", action="store_true", help="also show results that were overwritten since"
    )
    parser.add_argument(
        "--targets",
        action="store_true",
        help="print arguments for snakemake that make all these results again",
    )


def run(query: Query) -> int:
    """Print what lies downstream."""
    files, reached, rows = _downstream(query)
    files = with_models_on_disk(
        query.index,
        files,
        models=query.models,
        project=query.project,
        data=query.data,
        reached=reached,
    )
    files = with_removed_models(files, query.removed_models, rows=rows, data=query.data)
    if not query.arguments.all:
        files = [one for one in files if one.is_current or one.removed_at]
    if query.arguments.targets:
        files = [one for one in files if one.is_current]
        targets = _one_path_of_each_job(files, query.models)
        return query.answer(targets, [" ".join(["--forcerun", *targets])])
    return query.answer(files, _lines(files))


def _downstream(
    query: Query,
) -> tuple[list[DownstreamFile], list[ModelOnDisk] | None, list[Range] | None]:
    """Return what lies downstream by the records, and which models on the disk are reached.

    The last part of the answer is the rows that were asked for; None where they are not known.
    """
    arguments = query.arguments
    if not query.place.is_empty and (arguments.digest or arguments.file):
        raise UserError(f"{query.place}: this does not go with --digest or --file.")
    if arguments.digest is not None:
        reached = query.models.trained_on_digest(arguments.digest)
        # A model on the disk may be all that is left of a digest.
        digest = arguments.digest if reached else find_digest(query.index, arguments.digest)
        reached = reached or query.models.trained_on_digest(digest)
        return downstream_of_digest(query.index, digest), reached or None, None
    if arguments.file is not None:
        return _downstream_of_file(query, arguments.file)
    is_path_alone = query.place == NamedPlace(arguments.place)
    if arguments.place and is_path_alone and not is_file_of_rows(query.layout, arguments.place):
        return _downstream_of_file(query, arguments.place)
    rows = query.named_rows()
    for part in rows:
        _check_has_been(query, part)
    files = downstream_of_rows(query.index, query.data, rows)
    return files, query.models.trained_on(rows), rows


def _downstream_of_file(
    query: Query, name: str
) -> tuple[list[DownstreamFile], list[ModelOnDisk] | None, list[Range] | None]:
    """Return what lies downstream of a file that a run read or wrote, as ``_downstream`` does."""
    path = find_version(query.index, query.project, name).version.path
    files = downstream_of_file(query.index, path)
    if path != query.data:
        return files, None, None
    return files, [one for one in query.models.models if one.rows], [Range(0, MOST_ROWS)]


def _check_has_been(query: Query, rows: Range) -> None:
    """Tell of rows that the data file does not have; refuse them if no run read any of them.

    Raises:
        UserError: if none of the rows is, or was, in the data file.
    """
    try:
        count = read_layout(query.results.data).rows
    except UserError:
        return
    if rows.end <= count:
        return
    told = f"rows {rows}: {query.data} has {count:,} rows"
    if rows.start >= count and not query.index.downstream.readers_of_rows(query.data, rows):
        raise UserError(f"{told}, and no recorded run has read any of these.")
    _log.warning("%s; the answer holds what earlier versions of it had.", told)


def _one_path_of_each_job(files: Iterable[DownstreamFile], models: ModelsOnDisk) -> list[str]:
    """Return a path for every job, as snakemake's ``--forcerun`` takes them.

    Snakemake does not know the files of splits that are no longer configured.
    """
    paths: dict[str, str] = {}
    for one in files:
        if models.abandoned_folder(one.path) is None:
            paths.setdefault(one.job, one.path)
    return sorted(paths.values())


def _lines(files: list[DownstreamFile]) -> Iterator[str]:
    if not files:
        yield "nothing: no recorded run has used it"
        return
    job = None
    for one in files:
        if one.job != job:
            yield f"{one.depth}  {one.job}, through {one.through}"
            job = one.job
        is_told = one.is_current or one.removed_at
        age = "" if is_told else "  (overwritten or deleted since)"
        note = f"  ({one.note})" if one.note else ""
        yield f"       {one.path}  {short(one.digest)}{age}{note}"
    models = sum(one.role == "model" for one in files)
    removed = sum(one.removed_at is not None for one in files)
    gone = f", {removed} of these removed by clean.py" if removed else ""
    yield f"{counted(len(files), 'file')}, {models} of them models{gone}"
