"""The command ``impact``: everything downstream of rows, a shard, a digest or a file."""

from collections.abc import Iterable

from memtrain.core.wording import counted
from memtrain.lineage.commands.base import Commands, Query, add_row_arguments
from memtrain.lineage.queries.explain import short
from memtrain.lineage.queries.impact import Impact, Reached
from memtrain.lineage.queries.lookup import find_version


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "impact", run, "show everything that was made from some rows, a digest or a file"
    )
    source = add_row_arguments(parser)
    source.add_argument(
        "--digest",
        help="the digest of a shard, of the rows of a shard that a run read, or of a file",
    )
    source.add_argument("--file", metavar="PATH", help="a file that a run read or wrote")
    parser.add_argument(
        "--all", action="store_true", help="show results that were overwritten since, too"
    )
    parser.add_argument(
        "--targets",
        action="store_true",
        help="print the arguments with which snakemake makes all these results again",
    )


def run(query: Query) -> int:
    """Print what lies downstream."""
    reached = _reached(query)
    if not query.arguments.all:
        reached = [one for one in reached if one.is_current]
    if query.arguments.targets:
        files = one_file_of_each_job(reached)
        return query.answer(files, [" ".join(["--forcerun", *files])])
    return query.answer(reached, list(_lines(reached)))


def _reached(query: Query) -> list[Reached]:
    arguments = query.arguments
    if arguments.digest is not None:
        return Impact(query.index).of_digest(arguments.digest)
    if arguments.file is not None:
        path = find_version(query.index, query.project, arguments.file).version.path
        return Impact(query.index, follows_all=True).of_file(path)
    return Impact(query.index).of_rows(query.data, [query.rows()])


def one_file_of_each_job(reached: Iterable[Reached]) -> list[str]:
    """Return one file of every job that is reached, as snakemake's ``--forcerun`` wants them."""
    files: dict[str, str] = {}
    for one in reached:
        files.setdefault(one.job, one.path)
    return sorted(files.values())


def _lines(reached: list[Reached]) -> Iterable[str]:
    if not reached:
        yield "nothing: no recorded run has used it"
        return
    job = None
    for one in reached:
        if one.job != job:
            yield f"{one.depth}  {one.job}, through {one.through}"
            job = one.job
        age = "" if one.is_current else "  (overwritten since)"
        yield f"       {one.path}  {short(one.digest)}{age}"
    models = sum(one.role == "model" for one in reached)
    yield f"{counted(len(reached), 'file')}, {models} of them models"
