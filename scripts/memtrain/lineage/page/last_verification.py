"""What the last comparison of all files with the records found, as far as it still holds."""

from dataclasses import dataclass
from typing import Any

from memtrain.lineage.index.lineage_index import LineageIndex


@dataclass(frozen=True)
class LastVerification:
    """The last comparison of all files with the records.

    Attributes:
        at: the time of its end, ISO 8601.
        checked: the number of files that were compared.
        findings: the findings that still hold, as they were recorded.
    """

    at: str
    checked: int
    findings: list[dict[str, Any]]


def last_verification(index: LineageIndex) -> LastVerification | None:
    """Return the last comparison of all files with the records; None where there was none.

    A finding about a file no longer holds once the file is written again, and a finding about
    corrupt rows no longer holds once the rows are indexed again. Findings about withdrawn rows are
    left out, since rows are withdrawn and restored without any change of bytes.
    """
    run = index.last_run_of("verify")
    if run is None:
        return None
    facts = index.run(run)
    at = facts.ended_at or facts.started_at
    was_indexed_since = _ended_after(index, index.last_run_of("index_shards"), at)

    def holds(finding: dict[str, Any]) -> bool:
        if finding["kind"] == "withdrawn" or (finding["kind"] == "corrupt" and was_indexed_since):
            return False
        current = index.current(finding["path"])
        return current is None or not _ended_after(index, current.run, at)

    content = facts.details["verification"]
    return LastVerification(at, content["checked"], list(filter(holds, content["findings"])))


def _ended_after(index: LineageIndex, run: int | None, time: str) -> bool:
    return run is not None and (index.run(run).ended_at or "") > time
