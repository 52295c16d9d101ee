"""The command ``log``: the history of all runs, or of one file."""

from collections.abc import Iterator

from memtrain.core.wording import counted, listed
from memtrain.lineage.commands.base import Commands, Query
from memtrain.lineage.queries.history import HistoryEntry, history
from memtrain.lineage.queries.lookup import find_version


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "log",
        run,
        "list all runs, or the runs that wrote one file, and mark what was overwritten since",
    )
    parser.add_argument(
        "path", metavar="PATH", nargs="?", help="list the runs that wrote this file (default: all)"
    )


def run(query: Query) -> int:
    """Print the history of all runs, or of one file."""
    path = query.arguments.path
    name = None if path is None else find_version(query.index, query.project, path).version.path
    entries = history(query.index, name)
    lines = [line for entry in entries for line in _lines(entry)]
    return query.answer(entries, [*lines, counted(len(entries), "run")])


def _lines(entry: HistoryEntry) -> Iterator[str]:
    seconds = "" if entry.seconds is None else f"  {entry.seconds:.1f} s"
    yield f"{entry.started_at[:19]}Z  {entry.state:9}  {entry.name}{seconds}"
    yield f"    {entry.run_id}"
    if why := entry.message or entry.reason:
        yield f"    {why}"
    overwritten = [path for path, is_last in entry.written.items() if not is_last]
    if overwritten:
        yield f"    overwritten since: {listed(overwritten, 6)}"
