"""The command ``restore``: undoes withdrawals."""

from memtrain.lineage.commands.base import Commands, Query, add_row_arguments
from memtrain.lineage.queries.withdraw import record_withdrawals, restore


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "restore", run, "undo a withdrawal, so that splits may use its rows again"
    )
    add_row_arguments(parser)


def run(query: Query) -> int:
    """Undo withdrawals, and print which."""
    restored = restore(query.withdrawals_file, query.dataset, query.rows())
    record_withdrawals(query.results.records, "restore", restored)
    lines = [f"rows {one.range} may be used again ({one.reason})" for one in restored]
    return query.answer([one.model_dump() for one in restored], lines)
