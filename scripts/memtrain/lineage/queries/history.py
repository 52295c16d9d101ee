"""The history of all runs, or of one file: also what has been overwritten since."""

from dataclasses import dataclass, field
from typing import Any

from memtrain.lineage.queries.index import LineageIndex
from memtrain.lineage.records.run_record import RunRecord

_LAST_WORDS = 200


@dataclass(frozen=True)
class Entry:
    """A run in the history.

    Attributes:
        run_id: of the run.
        name: its job, with its split.
        started_at: ISO 8601.
        state: how it ended; "running" also where it was killed without a word.
        seconds: that it took.
        reason: that Snakemake gave for running it.
        message: why it failed or stopped.
        written: the files that it wrote, by path: whether they are the last of their kind.
    """

    run_id: str
    name: str
    started_at: str
    state: str
    seconds: float | None
    reason: str | None
    message: str | None
    written: dict[str, bool] = field(default_factory=dict)


def history(index: LineageIndex, path: str | None = None) -> list[Entry]:
    """Return all runs, the oldest first; of a path, those that wrote it.

    Args:
        index: of the records.
        path: as seen from the project.
    """
    reasons = Reasons(index)
    runs = index.rows.execute(
        "SELECT id FROM run WHERE ?1 IS NULL OR id IN (SELECT use.run FROM use JOIN version "
        "ON version.id = use.version WHERE use.is_output AND version.path = ?1) "
        "ORDER BY started_at, id",
        (path,),
    ).fetchall()
    return [_entry(index, row["id"], reasons) for row in runs]


def _entry(index: LineageIndex, run: int, reasons: "Reasons") -> Entry:
    record = index.record_of(run)
    written = index.rows.execute(
        "SELECT version.path, current.version = version.id AND current.run = use.run AS is_last "
        "FROM use JOIN version ON version.id = use.version "
        "LEFT JOIN current ON current.path = version.path WHERE use.run = ? AND use.is_output",
        (run,),
    )
    return Entry(
        run_id=record.run_id,
        name=record.name,
        started_at=record.started_at,
        state=record.state,
        seconds=record.effort.get("seconds"),
        reason=reasons.of(record.parent_id, record.job, record.split),
        message=record.message,
        written={row["path"]: bool(row["is_last"]) for row in written},
    )


def reason_of(index: LineageIndex, record: RunRecord) -> str | None:
    """Return the reason that Snakemake gave for running a job; None where it was run by hand."""
    return Reasons(index).of(record.parent_id, record.job, record.split)


class Reasons:
    """Looks up the reasons of jobs in the records of the workflow's runs."""

    def __init__(self, index: LineageIndex):
        self._index = index
        self._jobs: dict[str, list[dict[str, Any]]] = {}

    def of(self, parent_id: str | None, job: str, split: str | None) -> str | None:
        """Return why Snakemake ran a job in a run of the workflow; None where it did not."""
        if parent_id is None:
            return None
        if parent_id not in self._jobs:
            self._jobs[parent_id] = self._read(parent_id)
        for one in self._jobs[parent_id]:
            if (one["job"], one["split"]) == (job, split):
                return one["reason"]
        return None

    def _read(self, parent_id: str) -> list[dict[str, Any]]:
        query = "SELECT id FROM run WHERE run_id = ?"
        row = self._index.rows.execute(query, (parent_id,)).fetchone()
        if row is None:
            return []
        return self._index.record_of(row["id"]).details.get("workflow", {}).get("jobs", [])
