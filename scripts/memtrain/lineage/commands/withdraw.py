"""The command ``withdraw``: rows that no split may use any more."""

from memtrain.core.wording import counted
from memtrain.lineage.commands.base import Commands, Query, add_row_arguments
from memtrain.lineage.queries.withdraw import models_trained_on, record_withdrawals, withdraw
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "withdraw", run, "withdraw rows, so that no split uses them from the next snakemake on"
    )
    add_row_arguments(parser)
    parser.add_argument(
        "--reason", required=True, help="why they are withdrawn; kept beside the rows"
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
    lines += [f"trained on some of them: {one.path}" for one in models]
    trained = counted(len(models), "model")
    lines.append(f"{trained} trained on them; the next snakemake trains exactly these without them")
    return query.answer({"withdrawal": added.model_dump(), "models": models}, lines)
