"""diff and log: what differs between runs, and which there were."""

from memtrain.core.errors import UserError
from memtrain.core.wording import counted, listed
from memtrain.lineage.commands.base import REPOSITORY, Commands, Question
from memtrain.lineage.queries.diff import GROUPS, difference
from memtrain.lineage.queries.history import history, reason_of
from memtrain.lineage.queries.lookup import find_run, find_version, runs_that_wrote
from memtrain.lineage.records.privacy import Privacy


def add_commands(commands: Commands) -> None:
    """Add diff and log."""
    one = commands.question("diff", show_difference, "what differs between two results or two runs")
    one.add_argument("a", help="a result, the id of a run, or PATH~1 for the run before the last")
    one.add_argument("b", nargs="?", help="another; unless given, the last two runs of A")
    one = commands.question("log", show_history, "the history")
    one.add_argument("path", nargs="?", help="of a file; all runs unless given")


def show_difference(question: Question) -> int:
    """Print what differs between two runs."""
    index, project, arguments = question.index, question.project, question.arguments
    first, second = arguments.a, arguments.b
    if second is None:
        path = Privacy(project).path(first)
        if len(runs_that_wrote(index, path)) < 2:
            raise UserError(f"{first}: only one recorded run wrote it, so there is nothing before.")
        first, second = f"{path}~1", path
    before, after = (index.record_of(find_run(index, project, one)) for one in (first, second))
    changes = difference(before, after, REPOSITORY)
    lines = [f"{before.name} {before.started_at} -> {after.name} {after.started_at}"]
    reason = reason_of(index, after)
    if reason:
        lines.append(f"the later one ran for: {reason}")
    for group in GROUPS:
        if changes[group]:
            lines.append(f"{group}:")
        for change in changes[group]:
            lines += [f"  {change}", *(f"      {line}" for line in change.lines)]
    if not any(changes.values()):
        lines.append("nothing differs")
    content = {"before": before.run_id, "after": after.run_id, "reason": reason, **changes}
    return question.answer(content, lines, is_fine=not any(changes.values()))


def show_history(question: Question) -> int:
    """Print the history of all runs, or of one file."""
    path = question.arguments.path
    name = None if path is None else find_version(question.index, question.project, path).path
    entries = history(question.index, name)
    lines = []
    for entry in entries:
        seconds = "" if entry.seconds is None else f"  {entry.seconds:.1f} s"
        why = entry.message or entry.reason or ""
        lines.append(f"{entry.started_at[:19]}Z  {entry.state:9}  {entry.name}{seconds}")
        lines += [f"    {part}" for part in (entry.run_id, why) if part]
        overwritten = [path for path, is_last in entry.written.items() if not is_last]
        if overwritten:
            lines.append(f"    overwritten since: {listed(overwritten, 6)}")
    return question.answer(entries, [*lines, counted(len(entries), "run")])
