"""The command ``explain``: everything upstream of a result."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.ranges import overlaps
from memtrain.data.files_layout import FilesLayout, is_description
from memtrain.data.places_in_files import span_of_rows
from memtrain.lineage.commands.base import Commands, Query
from memtrain.lineage.queries.explain import Origin, explain
from memtrain.lineage.queries.lookup import find_version
from memtrain.lineage.queries.named_places import is_file_of_rows
from memtrain.recipes.withdrawals import Withdrawal
from memtrain.system.digests import digest_of_file


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "explain", run, "show what a result was made from, back to the source of its rows"
    )
    parser.add_argument("path", metavar="PATH", help="the result to explain")


def run(query: Query) -> int:
    """Print the tree upstream of a result."""
    path = query.arguments.path
    if _is_a_users_file(query, path):
        raise UserError(
            f"{path}: the configuration names this file, and no run made it. Rows of {query.data} "
            f"lie in it: `lineage.py impact {path}` lists what was made from them."
        )
    found = find_version(query.index, query.project, path)
    tree = explain(query.index, found.version.id)
    add_files(tree, query)
    withdrawn = withdrawals_used(tree, query.withdrawals)
    notes = [f"note: {found.note}"] if found.note else []
    notes += [f"WITHDRAWN: made from rows {one.range} ({one.reason})" for one in withdrawn]
    content = {
        "tree": tree,
        "note": found.note,
        "withdrawn": [one.model_dump() for one in withdrawn],
    }
    return query.answer(content, [*notes, *tree.lines()], is_fine=not notes)


def _is_a_users_file(query: Query, path: str) -> bool:
    """Return whether rows lie in a file that no run made; False where the rows are not known."""
    if query.index.versions(path):
        return False
    with suppress(UserError):
        return is_file_of_rows(query.layout, path)
    return False


def add_files(tree: Origin, query: Query) -> None:
    """Say in which files the rows lie that a result was made from, where that is known."""
    for origin in origins(tree):
        if origin.path != query.data or not origin.rows or not is_description(origin.path):
            continue
        path = query.project / origin.path
        if origin.digest is None or not has_digest(path, origin.digest):
            origin.note = origin.note or "the rows were described anew since"
            continue
        layout = FilesLayout.read(path)
        origin.files = [str(place) for rows in origin.rows for place in span_of_rows(layout, rows)]


def has_digest(path: Path, digest: str) -> bool:
    """Return whether a file is there and has a digest."""
    return path.is_file() and digest_of_file(path) == digest


def origins(tree: Origin) -> Iterator[Origin]:
    """Yield all files of a tree."""
    left = [tree]
    while left:
        origin = left.pop()
        yield origin
        left += origin.inputs


def withdrawals_used(tree: Origin, withdrawals: Iterable[Withdrawal]) -> list[Withdrawal]:
    """Return the withdrawals of rows that a result was made from."""
    used = [rows for origin in origins(tree) for rows in origin.rows]
    return [one for one in withdrawals if list(overlaps(used, [one.range]))]
