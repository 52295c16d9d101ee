"""The command ``withdraw``: rows that no split may use any more."""

from memtrain.lineage.commands.base import Commands, Query, add_row_arguments
from memtrain.lineage.queries.withdraw import models_trained_on, record_withdrawals, withdraw
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "withdraw",
        run,
        "withdraw rows, so that no split uses them from the next run of snakemake on",
    )
    add_row_arguments(parser)
    parser.add_argument(
        "--reason", required=True, help=f"the reason, which {WITHDRAWALS_FILE} keeps with the rows"
    )


def run(query: Query) -> int:
    """Withdraw rows, and print which models were trained on them."""
    rows = query.rows()
    added = withdraw(
        query.withdrawals_file,
        dataset=query.dataset,
        data=query.project / query.data,
        rows=rows,
        reason=query.arguments.reason,
    )
    record_withdrawals(query.results.records, "withdraw", [added])
    models = models_trained_on(query.index, query.data, [rows])
    lines = [f"rows {rows} are withdrawn; commit {WITHDRAWALS_FILE}, which lists them"]
    lines += [f"trained on some of these rows: {one.path}" for one in models]
    lines.append(
        f"models trained on these rows: {len(models)}; the next run of snakemake trains these, and "
        "no others, without the rows"
    )
    return query.answer({"withdrawal": added.model_dump(), "models": models}, lines)
