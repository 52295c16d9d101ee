"""Withdraws rows, restores them, states that they are gone, and records all of it."""

from collections.abc import Sequence
from pathlib import Path

from memtrain.config.results import DATA_FILE, ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps, subtract_ranges
from memtrain.core.wording import listed
from memtrain.data.record_file import RecordLayout, read_layout
from memtrain.data.row_digests import digest_rows
from memtrain.data.source import Source
from memtrain.lineage.records.run_record import utc_now
from memtrain.lineage.records.user_actions import record_action
from memtrain.recipes.withdrawals import Gone, Withdrawal, read_withdrawals, write_withdrawals
from memtrain.recipes.withdrawn_rows import WithdrawnRows
from memtrain.recipes.withdrawn_values import ValuesFolder


def withdraw(
    file: Path, *, dataset: str, results: ResultsLayout, rows: Range, reason: str
) -> Withdrawal:
    """Add rows to the withdrawals, with the digests of their values.

    The source is read twice: for the values of the rows, and for other rows with the same values.

    Args:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        results: the files of the dataset.
        rows: the rows to withdraw.
        reason: why they are withdrawn.

    Raises:
        UserError: where the file has no such rows, some are withdrawn already, or the source has
            changed since it was imported.
    """
    layout = read_layout(results.data)
    before = read_withdrawals(file, dataset)
    _check_rows(file, before, results, layout, rows)
    # Imported late: of all commands, this one alone needs Arrow.
    from memtrain.data.tables.source_rows import SourceRows
    from memtrain.recipes.withdrawn_search import digests_of_rows, find_rows

    source = Source.read(results.source)
    source_rows = SourceRows(results.data, source)
    folder = ValuesFolder(file)
    key = folder.key_for_more(before)
    columns = source_rows.columns
    digests = digests_of_rows(source_rows, rows, key)
    [found] = find_rows(source_rows, [(columns, digests)], key)
    added = Withdrawal(
        rows=(rows.start, rows.end),
        reason=reason,
        at=utc_now(),
        digest=digest_rows(results.data, layout, rows),
        data=source.files.get(DATA_FILE),
        identical=[(one.start, one.end) for one in subtract_ranges(found.ranges, [rows])],
        values=folder.write(columns, digests, key),
    )
    write_withdrawals(file, dataset, [*before, added])
    return added


def state_gone(
    file: Path, *, dataset: str, results: ResultsLayout, reason: str, rows: Range | None = None
) -> list[Withdrawal]:
    """State that withdrawn rows that are not found have left the source, and return which.

    Args:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        results: the files of the dataset.
        reason: why they left.
        rows: the withdrawal that is meant; None for all whose rows are not found.

    Raises:
        UserError: where no row is missing, or the source has changed since it was imported.
    """
    before = read_withdrawals(file, dataset)
    found = WithdrawnRows(before, file, results)
    found.search()
    gone: list[Withdrawal] = []
    after: list[Withdrawal] = []
    for one in before:
        missing = 0 if rows not in (None, one.range) else found.missing_rows(one)
        if missing > (one.gone.rows if one.gone else 0):
            one = one.model_copy(update={"gone": Gone(rows=missing, reason=reason, at=utc_now())})
            gone.append(one)
        after.append(one)
    if not gone:
        raise UserError(
            f"{file}: all withdrawn rows of {dataset} are found where they lie in today's data. "
            "There is nothing to state."
        )
    write_withdrawals(file, dataset, after)
    return gone


def restore(file: Path, dataset: str, rows: Range) -> list[Withdrawal]:
    """Remove every withdrawal within some rows, and return what was removed.

    Args:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        rows: the rows to restore, by the numbers that they had when they were withdrawn.

    Raises:
        UserError: where there is no withdrawal in the rows, or one is only partly in them.
    """
    before = read_withdrawals(file, dataset)
    removed = [one for one in before if list(overlaps([one.range], [rows]))]
    partly = [one for one in removed if list(overlaps([one.range], [rows])) != [one.range]]
    if not removed or partly:
        known = listed([one.range for one in before]) or "none"
        raise UserError(
            f"{file}: rows {rows} do not hold whole withdrawals of {dataset}. Its withdrawals, by "
            f"the numbers that {file.name} has: {known}. Name the rows of one of them."
        )
    left = [one for one in before if one not in removed]
    write_withdrawals(file, dataset, left)
    for one in removed:
        if one.values and one.values not in [other.values for other in left]:
            ValuesFolder(file).remove(one.values)
    return removed


def record_withdrawals(folder: Path, action: str, withdrawals: Sequence[Withdrawal]) -> None:
    """Record that rows were withdrawn or restored, for the history.

    Args:
        folder: the folder of the records.
        action: "withdraw" or "restore".
        withdrawals: what was added or removed.
    """
    message = "; ".join(
        f"rows {one.range}: {one.reason}" + (f"; gone: {one.gone.reason}" if one.gone else "")
        for one in withdrawals
    )
    recorded = {"rows", "reason", "at", "digest"}
    content = [one.model_dump(mode="json", include=recorded) for one in withdrawals]
    record_action(folder, action, message, kind="withdrawal", facts={"withdrawals": content})


def _check_rows(
    file: Path,
    before: Sequence[Withdrawal],
    results: ResultsLayout,
    layout: RecordLayout,
    rows: Range,
) -> None:
    """Refuse rows that are not there, or are withdrawn already."""
    if rows.end > layout.rows:
        raise UserError(
            f"{results.data}: rows {rows} cannot be withdrawn, as it has {layout.rows} rows."
        )
    found = WithdrawnRows(before, file, results).known()
    known = sorted(set(overlaps([rows], [one.range for one in found])))
    if known:
        raise UserError(
            f"{file}: rows {listed(known)} are withdrawn already. Withdraw only the others, or "
            "restore these first."
        )
