"""Withdraws rows, restores them, and records both."""

from collections.abc import Sequence
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps
from memtrain.core.wording import listed
from memtrain.data.record_file import read_layout
from memtrain.data.row_digests import digest_rows
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.impact import DownstreamFile, downstream_of_rows
from memtrain.lineage.records.run_record import utc_now
from memtrain.lineage.records.user_actions import record_action
from memtrain.recipes.withdrawals import Withdrawal, read_withdrawals, write_withdrawals


def withdraw(file: Path, *, dataset: str, data: Path, rows: Range, reason: str) -> Withdrawal:
    """Add rows to the withdrawals.

    Args:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        data: the file of rows.
        rows: the rows to withdraw.
        reason: why they are withdrawn.

    Raises:
        UserError: where the file has no such rows, or some are withdrawn already.
    """
    layout = read_layout(data)
    if rows.end > layout.rows:
        raise UserError(f"{data}: rows {rows} cannot be withdrawn, as it has {layout.rows} rows.")
    before = read_withdrawals(file, dataset)
    known = sorted(set(overlaps([rows], [one.range for one in before])))
    if known:
        raise UserError(
            f"{file}: rows {listed(known)} are withdrawn already. Withdraw only the others, or "
            "restore these first."
        )
    digest = digest_rows(data, layout, rows)
    added = Withdrawal(rows=(rows.start, rows.end), reason=reason, at=utc_now(), digest=digest)
    write_withdrawals(file, dataset, [*before, added])
    return added


def restore(file: Path, dataset: str, rows: Range) -> list[Withdrawal]:
    """Remove every withdrawal within some rows, and return what was removed.

    Args:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        rows: the rows to restore.

    Raises:
        UserError: where there is no withdrawal in the rows, or one is only partly in them.
    """
    before = read_withdrawals(file, dataset)
    removed = [one for one in before if list(overlaps([one.range], [rows]))]
    partly = [one for one in removed if list(overlaps([one.range], [rows])) != [one.range]]
    if not removed or partly:
        known = listed([one.range for one in before]) or "none"
        raise UserError(
            f"{file}: rows {rows} do not hold whole withdrawals of {dataset}. Its withdrawals: "
            f"{known}. Name the rows of one of them."
        )
    write_withdrawals(file, dataset, [one for one in before if one not in removed])
    return removed


def record_withdrawals(folder: Path, action: str, withdrawals: Sequence[Withdrawal]) -> None:
    """Record that rows were withdrawn or restored, for the history.

    Args:
        folder: the folder of the records.
        action: "withdraw" or "restore".
        withdrawals: what was added or removed.
    """
    message = "; ".join(f"rows {one.range}: {one.reason}" for one in withdrawals)
    content = [one.model_dump(mode="json") for one in withdrawals]
    record_action(folder, action, message, kind="withdrawal", facts={"withdrawals": content})


def models_trained_on(
    index: LineageIndex, data: str, rows: Sequence[Range]
) -> list[DownstreamFile]:
    """Return the current models that were trained on some of the rows.

    Args:
        index: the index of the records.
        data: the path of the file of rows, relative to the project.
        rows: the rows.
    """
    return [
        one
        for one in downstream_of_rows(index, data, rows)
        if one.role == "model" and one.depth == 1 and one.is_current
    ]
