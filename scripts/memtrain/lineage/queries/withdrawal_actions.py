"""Changes to the withdrawals of a dataset: one at a time, and each of them recorded.

The record is written before ``withdrawals.yaml`` is, and ended after it. An action that was killed
in between has left a record, and the file tells whether it was done.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps
from memtrain.core.wording import listed
from memtrain.lineage.records.run_record import RunRecord
from memtrain.lineage.records.user_actions import finish_actions, recorded_action
from memtrain.recipes.withdrawals import (
    Withdrawal,
    read_withdrawals,
    values_in_use,
    write_withdrawals,
)
from memtrain.recipes.withdrawn_values import ValuesFolder
from memtrain.system.sole_writer import sole_writer

_KIND = "withdrawal"


@dataclass(frozen=True)
class WithdrawalName:
    """What a person says of the withdrawals that are meant; None for what is not said.

    Attributes:
        rows: rows that hold those of the withdrawal, by the numbers in ``withdrawals.yaml``.
        at: the beginning of the time of the withdrawal.
        reason: a part of its reason.
    """

    rows: Range | None = None
    at: str | None = None
    reason: str | None = None

    def matches(self, withdrawal: Withdrawal) -> bool:
        """Return whether this is said of a withdrawal, which may lie in the rows only in part."""
        has_rows = self.rows is None or bool(list(overlaps([self.rows], [withdrawal.range])))
        has_time = self.at is None or withdrawal.at.startswith(self.at)
        return has_rows and has_time and (self.reason is None or self.reason in withdrawal.reason)

    def holds(self, withdrawal: Withdrawal) -> bool:
        """Return whether all rows of a withdrawal lie in the rows."""
        found = withdrawal.range
        return self.rows is None or (self.rows.start <= found.start and found.end <= self.rows.end)


@dataclass
class WithdrawalChanges:
    """The withdrawals of a dataset while this process alone changes them.

    Attributes:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        records: the folder of the records.
        before: the withdrawals.
        finished: the records of actions that were done and then killed; they are ended now.
    """

    file: Path
    dataset: str
    records: Path
    before: list[Withdrawal] = field(default_factory=list)
    finished: list[RunRecord] = field(default_factory=list)

    def write(self, action: str, of: Sequence[Withdrawal], after: Sequence[Withdrawal]) -> None:
        """Record an action, and write the withdrawals that there are after it.

        Args:
            action: "withdraw" or "restore".
            of: the withdrawals that are added, removed or changed.
            after: all withdrawals of the dataset after it.
        """
        with recorded_action(
            self.records,
            action,
            _message(of),
            kind=_KIND,
            facts={"withdrawals": [_facts(one) for one in of]},
            is_done=self.is_done,
        ):
            write_withdrawals(self.file, self.dataset, after)
            self._remove_values(one.values.digest for one in of if one.values is not None)

    def is_done(self, record: RunRecord) -> bool:
        """Return whether an action has changed the file of withdrawals, by its record."""
        there = {_identity(_facts(one)) for one in read_withdrawals(self.file, self.dataset)}
        changed = {_identity(one) for one in _recorded(record)}
        return there.isdisjoint(changed) if record.job == "restore" else changed <= there

    def finish(self) -> None:
        """Record how actions ended that were killed, and remove what they no longer need."""
        self.finished = finish_actions(self.records, ("withdraw", "restore"), self.is_done)
        if self.finished:
            facts = [one for record in self.finished for one in _recorded(record)]
            self._remove_values(one["values"] for one in facts if one.get("values"))

    def finished_of(self, action: str) -> list[Withdrawal]:
        """Return the withdrawals of finished actions."""
        return [
            Withdrawal(**{name: one[name] for name in ("rows", "reason", "at", "digest")})
            for record in self.finished
            if record.job == action
            for one in _recorded(record)
        ]

    def _remove_values(self, digests: Iterator[str]) -> None:
        """Remove the values of rows that no withdrawal of any dataset names any more."""
        try:
            in_use = values_in_use(self.file)
        except UserError:
            return  # The part of another dataset is damaged, and may name any of them.
        for digest in set(digests) - in_use:
            ValuesFolder(self.file).remove(digest)


@contextmanager
def changing_withdrawals(file: Path, dataset: str, records: Path) -> Iterator[WithdrawalChanges]:
    """Wait until no other program changes the withdrawals, and read them.

    Actions that were killed are finished first.

    Args:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        records: the folder of the records.

    Raises:
        UserError: where the file cannot be read.
    """
    with sole_writer(file):
        changes = WithdrawalChanges(file, dataset, records, read_withdrawals(file, dataset))
        changes.finish()
        yield changes


def check_is_one_data(
    file: Path, found: Collection[Withdrawal], *, way_out: str = "or all of them by --all"
) -> None:
    """Refuse to take withdrawals from different data for one another.

    Args:
        file: the file of withdrawals.
        found: the withdrawals that a person may mean.
        way_out: what else the person can say.

    Raises:
        UserError: where the numbers of their rows count in different data.
    """
    if len({one.data or one.digest for one in found}) <= 1:
        return
    names = listed([f"{one.at} (rows {one.range}, {one.reason})" for one in found])
    raise UserError(
        f"{file}: {len(found)} withdrawals match, and were made from different data, in which the "
        f"same numbers are other rows. Name one of them by --at, {way_out}: {names}."
    )


def _message(withdrawals: Sequence[Withdrawal]) -> str:
    return "; ".join(
        f"rows {one.range}: {one.reason}" + (f"; gone: {one.gone.reason}" if one.gone else "")
        for one in withdrawals
    )


def _facts(withdrawal: Withdrawal) -> dict[str, Any]:
    """Return what the record of an action says of a withdrawal."""
    facts = withdrawal.model_dump(mode="json", include={"rows", "reason", "at", "digest"})
    facts["values"] = withdrawal.values and withdrawal.values.digest
    facts["gone_at"] = withdrawal.gone and withdrawal.gone.at
    return facts


def _identity(facts: dict[str, Any]) -> tuple[Any, ...]:
    return (*facts["rows"], facts["at"], facts.get("gone_at"))


def _recorded(record: RunRecord) -> list[dict[str, Any]]:
    return record.details.get(_KIND, {}).get("withdrawals", [])
