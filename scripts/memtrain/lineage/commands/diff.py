"""The command ``diff``: what differs between two results, or two runs."""

from memtrain.core.errors import UserError
from memtrain.lineage.commands.base import WORKFLOW, Commands, Query
from memtrain.lineage.queries.diff import difference
from memtrain.lineage.queries.history import Reasons
from memtrain.lineage.queries.lookup import find_run
from memtrain.lineage.records.privacy import Privacy


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "diff", run, "show what differs between two results or two runs, and why a job ran again"
    )
    parser.add_argument(
        "a",
        metavar="A",
        help="a result, the id of a run, or PATH~1 for the second-to-last run that wrote PATH",
    )
    parser.add_argument(
        "b",
        metavar="B",
        nargs="?",
        help="the result or run to compare with A; without it, the last two runs that wrote A are "
        "compared",
    )


def run(query: Query) -> int:
    """Print what differs between two runs."""
    index = query.index
    before, after = (
        index.record(find_run(index, query.project, name)) for name in _two_names(query)
    )
    changes = difference(before, after, WORKFLOW)
    reason = Reasons(index).reason(after)
    lines = [f"{before.name} {before.started_at} -> {after.name} {after.started_at}"]
    if reason:
        lines.append(f"why the later one ran: {reason}")
    for group, changed in changes.groups.items():
        lines.append(f"{group}:")
        for change in changed:
            lines += [f"  {change}", *(f"      {line}" for line in change.lines)]
    if not changes.groups:
        lines.append("nothing differs")
    content = {
        "before": before.run_id,
        "after": after.run_id,
        "reason": reason,
        **vars(changes),
    }
    return query.answer(content, lines, is_fine=not changes.groups)


def _two_names(query: Query) -> tuple[str, str]:
    """Return the names of the earlier and of the later run."""
    first, second = query.arguments.a, query.arguments.b
    if second is not None:
        return first, second
    path = Privacy(query.project).path(first)
    runs = query.index.completed_runs_that_wrote(path)
    if not runs:
        find_run(query.index, query.project, first)
        raise UserError(f"{first}: this names one run. Name a second one to compare it with.")
    if len(runs) < 2:
        raise UserError(
            f"{first}: only one recorded run wrote it, so there is no earlier one to compare with."
        )
    return f"{path}~1", path
