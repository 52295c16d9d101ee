"""Records what a person did with a dataset, so that the history and the page have it."""

import getpass
from pathlib import Path
from typing import Any

from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.recorder import now
from memtrain.lineage.records.run_record import RunRecord


def keep_act(folder: Path, act: str, message: str, kind: str, facts: dict[str, Any]) -> None:
    """Record an act.

    Args:
        folder: of the records.
        act: what was done, as the command is called.
        message: what came of it, for the history.
        kind: of the facts, by which ``RunRecord.details`` has them.
        facts: as JSON.
    """
    # Imported here: those who only ask need none of it.
    from openlineage.client.uuid import generate_new_uuid

    at = now()
    record = RunRecord(
        run_id=str(generate_new_uuid()),
        job=act,
        started_at=at,
        ended_at=at,
        state="completed",
        message=message,
        details={kind: {"user": getpass.getuser(), **facts}},
    )
    RecordStore(folder).ended(record)
