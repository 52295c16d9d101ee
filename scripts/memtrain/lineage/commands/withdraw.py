"""The command ``withdraw``: rows that no split may use any more."""

from collections.abc import Iterator, Sequence

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, count_rows
from memtrain.core.wording import counted, listed
from memtrain.data.files_layout import FilesLayout
from memtrain.lineage.commands.base import Commands, Query, add_time_argument, reason_text
from memtrain.lineage.commands.row_arguments import add_place_arguments, add_row_arguments
from memtrain.lineage.queries.currency import current_configuration
from memtrain.lineage.queries.impact import downstream_of_rows, with_models_on_disk
from memtrain.lineage.queries.made_by_models import (
    MadeByModel,
    lines_on_made_by_models,
    made_by_models,
)
from memtrain.lineage.queries.models_on_disk import ModelOnDisk
from memtrain.lineage.queries.removed_models import RemovedModel
from memtrain.lineage.queries.withdraw import state_gone, withdraw
from memtrain.lineage.queries.withdraw_bytes import withdraw_bytes
from memtrain.lineage.queries.withdrawal_actions import WithdrawalName
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE, Withdrawal

_DETAILS = f"""\
{WITHDRAWALS_FILE} lists the rows, and withdrawals.d/ holds keyed digests of their values, by which
they are found when the data changes; keep both under version control. The key in withdrawals.d/key
is not: copy it to every machine that runs the workflow. Withdrawn rows that are not found any more
stop the workflow until --gone records that they have left the source.

Rows in many files are found by bytes of the files, of which {WITHDRAWALS_FILE} holds digests. Every
row that has one of the bytes is withdrawn, however rows are cut out of the files later."""


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "withdraw",
        run,
        "withdraw rows, so that no split uses them from the next run of snakemake on",
        _DETAILS,
    )
    add_place_arguments(parser, add_row_arguments(parser, required=False))
    parser.add_argument(
        "--gone",
        action="store_true",
        help="record that withdrawn rows that are not found have left the source: those of one "
        "withdrawal, with --rows or --at, or all",
    )
    add_time_argument(parser)
    parser.add_argument(
        "--reason",
        required=True,
        type=reason_text,
        help=f"the reason, which {WITHDRAWALS_FILE} keeps with the rows",
    )


def run(query: Query) -> int:
    """Withdraw rows, and print which models were trained on them, and what was made with these."""
    if query.arguments.gone:
        return _state_gone(query)
    if query.arguments.at is not None:
        raise UserError("--at names a withdrawal that was made before, so it needs --gone.")
    added = _withdrawn(query)
    rows = [one for withdrawal in added for one in withdrawal.ranges]
    models, unknown = query.models.trained_on(rows), query.models.unknown
    lines = [line for one in added for line in _lines_on_withdrawal(one)]
    removed = [one for one in query.removed_models if one.may_hold(rows)]
    lines += _lines_on_removed_models(removed)
    lines += _lines_on_models(models, unknown, rows)
    made = _made_by_models(query, rows, models)
    lines += lines_on_made_by_models(made)
    content = {
        "withdrawal": added[0].model_dump(),
        "withdrawals": [one.model_dump() for one in added],
        "models": [one.facts() for one in models],
        "models_with_unknown_rows": [one.facts() for one in unknown],
        "removed_models": [one.facts() for one in removed],
        "predictions": [vars(one) for one in made if one.script == "predict"],
        "exports": [vars(one) for one in made if one.script == "export"],
    }
    return query.answer(content, lines)


def _withdrawn(query: Query) -> list[Withdrawal]:
    """Withdraw the rows that are named; of rows in many files, all that share bytes with them."""
    settings = {
        "dataset": query.dataset,
        "results": query.results,
        "reason": query.arguments.reason,
    }
    if not isinstance(query.layout, FilesLayout):
        [rows] = query.named_rows()
        return [withdraw(query.withdrawals_file, rows=rows, **settings)]
    return withdraw_bytes(query.withdrawals_file, places=query.named_bytes(), **settings)


def _made_by_models(
    query: Query, rows: Sequence[Range], reached: Sequence[ModelOnDisk]
) -> list[MadeByModel]:
    """Return the predictions and exported models that withdrawn rows have reached.

    Args:
        query: the arguments of the command, and the records.
        rows: the withdrawn rows.
        reached: the models on the disk that were trained on them.
    """
    files = with_models_on_disk(
        query.index,
        downstream_of_rows(query.index, query.data, rows),
        models=query.models,
        project=query.project,
        data=query.data,
        reached=reached,
    )
    configured = current_configuration(query.results, query.project).predictions
    again = [query.results.prediction(name).predictions for name in configured]
    return made_by_models(files, again, query.project)


def _lines_on_withdrawal(added: Withdrawal) -> Iterator[str]:
    files = WITHDRAWALS_FILE if added.places else f"{WITHDRAWALS_FILE} and withdrawals.d"
    yield f"rows {added.range} are withdrawn; commit {files}"
    if added.places:
        yield f"they are the rows with any of {listed(map(str, added.places), 4)}"
    yield from _lines_on_identical(added)


def _state_gone(query: Query) -> int:
    if not query.place.is_empty:
        raise UserError(
            "--gone takes --rows or --at, as withdrawals.yaml has them, and no file, bytes, "
            "elements or document."
        )
    rows, at = query.rows() if query.names_rows else None, query.arguments.at
    gone = state_gone(
        query.withdrawals_file,
        dataset=query.dataset,
        results=query.results,
        reason=query.arguments.reason,
        name=WithdrawalName(rows, at) if rows or at else None,
    )
    lines = [
        f"rows {one.range} ({one.reason}): {one.gone.rows:,} of {one.range.rows:,} have left the "
        f"source; commit {WITHDRAWALS_FILE}"
        for one in gone
        if one.gone
    ]
    return query.answer([one.model_dump() for one in gone], lines)


def _lines_on_models(
    models: Sequence[ModelOnDisk], unknown: Sequence[ModelOnDisk], rows: Sequence[Range]
) -> Iterator[str]:
    """Yield a line for every model, and what the next run of snakemake does with them.

    Args:
        models: the models that were trained on the withdrawn rows.
        unknown: the models that may have been trained on them.
        rows: the withdrawn rows.
    """
    for one in models:
        use = one.rows.use_of(rows) if one.rows else "trained on"
        yield f"{use} some of these rows: {one.path}{f' ({one.note})' if one.note else ''}"
    yield from (f"may be trained on these rows: {one.path} ({one.note})" for one in unknown)
    again = sum(one.abandoned_folder is None for one in models)
    these = "these" if again == len(models) else f"{again} of them"
    yield (
        f"models trained on these rows: {len(models)}; the next run of snakemake trains {these}, "
        "and no others, without the rows"
    )


def _lines_on_removed_models(removed: Sequence[RemovedModel]) -> Iterator[str]:
    for one in removed:
        verb = "may have been" if one.ranges is None else "was"
        yield f"{verb} trained on some of these rows: {one.path} ({one.note})"


def _lines_on_identical(added: Withdrawal) -> Iterator[str]:
    """Yield a line where other rows have the values of withdrawn ones."""
    identical = [Range(*rows) for rows in added.identical]
    if identical:
        yield (
            f"{counted(count_rows(identical), 'other row')} with the same values, withdrawn too: "
            f"{listed(identical)}"
        )
