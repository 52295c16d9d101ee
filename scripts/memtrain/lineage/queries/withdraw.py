"""Withdraws rows and takes that back, with a record of either."""

from collections.abc import Sequence
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps
from memtrain.core.wording import listed
from memtrain.data.record_file import read_layout
from memtrain.data.row_digests import digest_rows
from memtrain.lineage.queries.impact import Impact, Reached
from memtrain.lineage.queries.index import LineageIndex
from memtrain.lineage.records.run_record import utc_now
from memtrain.lineage.records.user_actions import record_action
from memtrain.recipes.withdrawals import Withdrawal, read_withdrawals, write_withdrawals


def withdraw(file: Path, dataset: str, data: Path, rows: Range, reason: str) -> Withdrawal:
    """Write that rows are withdrawn.

    Raises:
        UserError: where the rows are not there, or some are withdrawn already.
    """
    layout = read_layout(data)
    if rows.end > layout.rows:
        raise UserError(f"{data}: rows {rows} were to be withdrawn, but it has {layout.rows} rows.")
    before = read_withdrawals(file, dataset)
    known = sorted(set(overlaps([rows], [one.range for one in before])))
    if known:
        raise UserError(
            f"{file}: rows {listed(known)} are withdrawn already. Withdraw the others alone, or "
            "restore these first."
        )
    digest = digest_rows(data, layout, rows)
    added = Withdrawal(rows=tuple(rows), reason=reason, at=utc_now(), digest=digest)
    write_withdrawals(file, dataset, [*before, added])
    return added


def restore(file: Path, dataset: str, rows: Range) -> list[Withdrawal]:
    """Take back every withdrawal within some rows; return those taken back.

    Raises:
        UserError: where there is none, or one reaches beyond the rows.
    """
    before = read_withdrawals(file, dataset)
    meant = [one for one in before if list(overlaps([one.range], [rows]))]
    beyond = [one.range for one in meant if list(overlaps([one.range], [rows])) != [one.range]]
    if not meant or beyond:
        found = listed([one.range for one in before]) or "none"
        raise UserError(
            f"{file}: rows {rows} are no withdrawal of {dataset} as a whole; there are {found}. "
            "Name one of these."
        )
    write_withdrawals(file, dataset, [one for one in before if one not in meant])
    return meant


def record_withdrawals(folder: Path, act: str, withdrawals: Sequence[Withdrawal]) -> None:
    """Record that rows were withdrawn or restored, so that the history has it."""
    message = "; ".join(f"rows {one.range}: {one.reason}" for one in withdrawals)
    content = [one.model_dump(mode="json") for one in withdrawals]
    record_action(folder, act, message, kind="withdrawal", facts={"withdrawals": content})


def models_trained_on(index: LineageIndex, data: str, rows: Sequence[Range]) -> list[Reached]:
    """Return the present models that were trained on some of the rows."""
    return [
        one
        for one in Impact(index).of_rows(data, rows)
        if one.role == "model" and one.depth == 1 and one.is_current
    ]
