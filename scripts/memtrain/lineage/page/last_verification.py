"""What the last comparison of all files with the records has found."""

from typing import Any

from memtrain.lineage.queries.index import LineageIndex


def last_verification(index: LineageIndex) -> dict[str, Any] | None:
    """Return when all files were compared last, how many, and which findings still hold.

    A finding on a file that was written since is about bytes that are gone; one on the rows, once
    they were indexed since. Which models hold withdrawn rows is no matter of bytes: withdrawals
    come and go. None where nothing was ever compared.
    """
    run = index.rows.execute(
        "SELECT id, ended_at FROM run WHERE job = 'verify' AND state = 'completed' "
        "ORDER BY ended_at DESC LIMIT 1"
    ).fetchone()
    if run is None:
        return None
    facts, at = index.facts_of(run["id"])["details"]["verification"], run["ended_at"]
    indexed_since = index.rows.execute(
        "SELECT 1 FROM run WHERE job = 'index_shards' AND state = 'completed' AND ended_at > ?",
        (at,),
    ).fetchone()
    findings = []
    for finding in facts["findings"]:
        if finding["kind"] == "withdrawn":
            continue
        written_since = index.rows.execute(
            "SELECT 1 FROM current JOIN run ON run.id = current.run "
            "WHERE path = ? AND run.ended_at > ?",
            (finding["path"], at),
        ).fetchone()
        if not written_since and not (finding["kind"] == "corrupt" and indexed_since):
            findings.append(finding)
    return {"at": at, "checked": facts["checked"], "findings": findings}
