"""The command ``explain``: everything upstream of a result."""

from collections.abc import Iterable

from memtrain.core.ranges import overlaps
from memtrain.lineage.commands.base import Commands, Query
from memtrain.lineage.queries.explain import Origin, explain
from memtrain.lineage.queries.lookup import find_version
from memtrain.recipes.withdrawals import Withdrawal


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "explain", run, "show what a result was made from, back to the source of its rows"
    )
    parser.add_argument("path", metavar="PATH", help="the result to explain")


def run(query: Query) -> int:
    """Print the tree upstream of a result."""
    found = find_version(query.index, query.project, query.arguments.path)
    tree = explain(query.index, found.version.id)
    withdrawn = withdrawals_used(tree, query.withdrawals)
    notes = [f"note: {found.note}"] if found.note else []
    notes += [f"WITHDRAWN: made from rows {one.range} ({one.reason})" for one in withdrawn]
    content = {
        "tree": tree,
        "note": found.note,
        "withdrawn": [one.model_dump() for one in withdrawn],
    }
    return query.answer(content, [*notes, *tree.lines()], is_fine=not notes)


def withdrawals_used(tree: Origin, withdrawals: Iterable[Withdrawal]) -> list[Withdrawal]:
    """Return the withdrawals of rows that a result was made from."""
    used = []
    left = [tree]
    while left:
        origin = left.pop()
        used += origin.rows
        left += origin.inputs
    return [one for one in withdrawals if list(overlaps(used, [one.range]))]
