"""The history of all runs, or of one file, with a mark on files that were overwritten later."""

from dataclasses import dataclass, field
from typing import Any

from memtrain.lineage.index.facts import RunFacts
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.records.run_record import RunRecord


@dataclass(frozen=True)
class HistoryEntry:
    """A run in the history.

    Attributes:
        run_id: the UUID of the run.
        name: the job with its split.
        started_at: the time of its start, ISO 8601.
        state: how it ended; "running" also where it was killed before it could record its end.
        seconds: the time that it took.
        reason: why Snakemake ran it.
        message: why it failed or stopped.
        written: for each path that the run wrote, whether its version is still the current one.
    """

    run_id: str
    name: str
    started_at: str
    state: str
    seconds: float | None
    reason: str | None
    message: str | None
    written: dict[str, bool] = field(default_factory=dict)


def history(index: LineageIndex, path: str | None = None) -> list[HistoryEntry]:
    """Return all runs, the oldest first; or those that wrote one file.

    Args:
        index: the index of the records.
        path: the file, relative to the project; None for all runs.
    """
    reasons = Reasons(index)
    runs = index.runs() if path is None else index.runs_that_wrote(path)
    return [_entry(index, run, reasons) for run in runs]


def _entry(index: LineageIndex, run: int, reasons: "Reasons") -> HistoryEntry:
    facts = index.run(run)
    written = {}
    for use in index.uses(run):
        if use.is_output:
            current = index.current(use.version.path)
            is_current = current and (current.version, current.run) == (use.version.id, run)
            written[use.version.path] = bool(is_current)
    return HistoryEntry(
        run_id=facts.run_id,
        name=facts.name,
        started_at=facts.started_at,
        state=facts.state,
        seconds=facts.effort.get("seconds"),
        reason=reasons.reason(facts),
        message=facts.message,
        written=written,
    )


class Reasons:
    """Looks up why Snakemake ran a job, in the records of the workflow's runs.

    Args:
        index: the index of the records.
    """

    def __init__(self, index: LineageIndex):
        self._index = index
        self._jobs: dict[str, list[dict[str, Any]]] = {}

    def reason(self, run: RunFacts | RunRecord) -> str | None:
        """Return why Snakemake ran a job; None where it was run by hand, or is not known."""
        if run.parent_id is None:
            return None
        if run.parent_id not in self._jobs:
            self._jobs[run.parent_id] = self._read(run.parent_id)
        part = run.details.get("job", {}).get("part") or run.split
        for one in self._jobs[run.parent_id]:
            if (one["job"], one.get("part") or one["split"]) == (run.job, part):
                return one["reason"]
        return None

    def _read(self, parent_id: str) -> list[dict[str, Any]]:
        run = self._index.run_named(parent_id)
        if run is None:
            return []
        return self._index.run(run).details.get("workflow", {}).get("jobs", [])
