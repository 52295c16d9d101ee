"""Withdraws rows, restores them, states that they are gone, and records all of it."""

from collections.abc import Sequence
from pathlib import Path

from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps, subtract_ranges
from memtrain.core.wording import listed
from memtrain.data.layouts import RowLayout, read_layout
from memtrain.data.row_digests import digest_rows
from memtrain.data.source import Source
from memtrain.lineage.queries.withdrawal_actions import (
    WithdrawalName,
    changing_withdrawals,
    check_is_one_data,
)
from memtrain.lineage.records.run_record import utc_now
from memtrain.recipes.withdrawals import Gone, Withdrawal
from memtrain.recipes.withdrawn_rows import WithdrawnRows
from memtrain.recipes.withdrawn_values import ValuesFolder


def withdraw(
    file: Path, *, dataset: str, results: ResultsLayout, rows: Range, reason: str
) -> Withdrawal:
    """Add rows to the withdrawals, with the digests of their values.

    The source is read twice: for the values of the rows, and for other rows with the same values.
    A call that was killed after it withdrew the rows is finished, and its withdrawal returned.

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
    with changing_withdrawals(file, dataset, results.records) as changes:
        done = {(one.rows, one.at) for one in changes.finished_of("withdraw")}
        for one in changes.before:
            if one.range == rows and (one.rows, one.at) in done:
                return one
        _check_rows(file, changes.before, results, layout, rows)
        added = _new_withdrawal(file, changes.before, results, layout, rows, reason)
        changes.write("withdraw", [added], [*changes.before, added])
    return added


def state_gone(
    file: Path,
    *,
    dataset: str,
    results: ResultsLayout,
    reason: str,
    name: WithdrawalName | None = None,
) -> list[Withdrawal]:
    """State that withdrawn rows that are not found have left the source, and return which.

    Args:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        results: the files of the dataset.
        reason: why they left.
        name: the withdrawals that are meant; None for all whose rows are not found.

    Raises:
        UserError: where no row is missing, the name is that of several withdrawals from different
            data, or the source has changed since it was imported.
    """
    with changing_withdrawals(file, dataset, results.records) as changes:
        found = WithdrawnRows(changes.before, file, results)
        meant = changes.before
        if name is not None:
            meant = [one for one in meant if name.matches(one) and name.holds(one)]
            _check_is_there(file, dataset, changes.before, meant)
        found.search()
        missing = {one.at: found.missing_rows(one) for one in meant}
        unstated = [one for one in meant if missing[one.at] > (one.gone.rows if one.gone else 0)]
        if not unstated:
            which = "all withdrawn rows" if name is None else "these withdrawn rows"
            raise UserError(
                f"{file}: {which} of {dataset} are found in today's data, or are recorded as gone "
                "already. There is nothing to record."
            )
        if name is not None:
            check_is_one_data(file, unstated, way_out="or all of them without --rows")
        gone = [
            one.model_copy(update={"gone": Gone(rows=missing[one.at], reason=reason, at=utc_now())})
            for one in unstated
        ]
        changes.write("withdraw", gone, [*_without(changes.before, unstated), *gone])
    return gone


def restore(
    file: Path,
    dataset: str,
    results: ResultsLayout,
    name: WithdrawalName,
    every_data: bool = False,
) -> list[Withdrawal]:
    """Remove withdrawals, and return what was removed.

    A call that was killed after it removed them is finished, and they are returned.

    Args:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        results: the files of the dataset.
        name: the withdrawals that are meant.
        every_data: whether they are meant whatever data their numbers count in.

    Raises:
        UserError: where there is no such withdrawal, one is only partly in the rows, or several
            are from different data.
    """
    with changing_withdrawals(file, dataset, results.records) as changes:
        removed = [one for one in changes.before if name.matches(one)]
        done = [one for one in changes.finished_of("restore") if name.matches(one)]
        if not removed and done:
            return done
        _check_is_there(file, dataset, changes.before, removed)
        partly = [one for one in removed if not name.holds(one)]
        if partly:
            raise UserError(
                f"{file}: rows {name.rows} do not hold whole withdrawals of {dataset}: "
                f"{_described(partly)} are only partly in them. Name the rows of one of them."
            )
        if not every_data:
            check_is_one_data(file, removed)
        changes.write("restore", removed, _without(changes.before, removed))
    return removed


def _new_withdrawal(
    file: Path,
    before: list[Withdrawal],
    results: ResultsLayout,
    layout: RowLayout,
    rows: Range,
    reason: str,
) -> Withdrawal:
    """Return a withdrawal of rows, after writing the digests of their values."""
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
    return Withdrawal(
        rows=(rows.start, rows.end),
        reason=reason,
        at=utc_now(),
        digest=digest_rows(results.data, layout, rows),
        data=source.files.get(results.data.name),
        identical=[(one.start, one.end) for one in subtract_ranges(found.ranges, [rows])],
        values=folder.write(columns, digests, key),
    )


def _without(withdrawals: Sequence[Withdrawal], others: Sequence[Withdrawal]) -> list[Withdrawal]:
    return [one for one in withdrawals if one not in others]


def _check_is_there(
    file: Path, dataset: str, before: Sequence[Withdrawal], found: Sequence[Withdrawal]
) -> None:
    """Refuse a name that no withdrawal has."""
    if not found:
        raise UserError(
            f"{file}: no withdrawal of {dataset} is called so. Its withdrawals, by the numbers "
            f"that {file.name} has: {_described(before) or 'none'}. Name the rows of one of them."
        )


def _described(withdrawals: Sequence[Withdrawal]) -> str:
    return listed([f"{one.range} ({one.reason}, {one.at})" for one in withdrawals])


def _check_rows(
    file: Path,
    before: Sequence[Withdrawal],
    results: ResultsLayout,
    layout: RowLayout,
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
