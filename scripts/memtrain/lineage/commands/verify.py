"""The command ``verify``: whether files and rows are still what was recorded."""

from memtrain.core.wording import counted, listed
from memtrain.lineage.commands.base import Commands, Query
from memtrain.lineage.queries.verify import Verification, Verifier


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "verify", run, "compare the files and rows on the disk with the records"
    )
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="the files to compare (default: all)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="compare sizes and times of modification only; read no content",
    )


def run(query: Query) -> int:
    """Compare the disk with the records, and print what differs."""
    result = _verify(query)
    lines = [f"{one.kind}: {one.message}" for one in result.findings]
    if result.reached:
        lines.append(f"models trained on corrupt rows: {listed(result.reached)}")
    if result.cleared:
        lines.append(f"models whose rows are unchanged: {listed(result.cleared)}")
    if result.abandoned:
        lines.append(f"splits that are no longer configured: delete {listed(result.abandoned)}")
    how = "by size and time" if query.arguments.quick else "byte by byte"
    files = counted(len(result.checked), "file")
    findings = counted(len(result.findings), "finding")
    lines.append(f"{files} compared {how}, {findings}")
    return query.answer(result, lines, is_fine=not result.findings)


def _verify(query: Query) -> Verification:
    arguments = query.arguments
    if not arguments.paths and not arguments.quick:
        return query.verify_everything()
    verifier = Verifier(
        query.index,
        models=query.models,
        project=query.project,
        data=query.data,
        withdrawals=query.withdrawals,
        quick=arguments.quick,
        today=None if arguments.quick else query.today(),
    )
    return verifier.verify(arguments.paths)
