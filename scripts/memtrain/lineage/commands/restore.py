"""The command ``restore``: undoes withdrawals."""

from memtrain.core.errors import UserError
from memtrain.lineage.commands.base import Commands, Query, add_time_argument, reason_text
from memtrain.lineage.commands.row_arguments import add_row_arguments
from memtrain.lineage.queries.withdraw import restore
from memtrain.lineage.queries.withdrawal_actions import WithdrawalName

_DETAILS = """\
Rows are named by the numbers that withdrawals.yaml has. After the data has changed, the same
numbers are other rows, and two withdrawals may have them: then --at or --reason says which one."""


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "restore", run, "undo a withdrawal, so that splits may use its rows again", _DETAILS
    )
    add_row_arguments(parser, required=False)
    add_time_argument(parser)
    parser.add_argument(
        "--reason",
        metavar="TEXT",
        type=reason_text,
        help="the withdrawals whose reason has this text in it",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="all withdrawals that match, whatever data their numbers count in",
    )


def run(query: Query) -> int:
    """Undo withdrawals, and print which."""
    arguments = query.arguments
    rows = query.rows() if query.names_rows else None
    name = WithdrawalName(rows, arguments.at, arguments.reason)
    if name == WithdrawalName() and not arguments.all:
        raise UserError(
            "no withdrawal is named. Give --rows START:END, --at or --reason; or --all for all."
        )
    restored = restore(
        query.withdrawals_file, query.dataset, query.results, name, every_data=arguments.all
    )
    lines = [f"rows {one.range} may be used again ({one.reason})" for one in restored]
    return query.answer([one.model_dump() for one in restored], lines)
