"""Records what a person did with a dataset, so that the history and the page show it."""

from pathlib import Path
from typing import Any

from memtrain.lineage.records.environment_capture import user_name
from memtrain.lineage.records.privacy import Privacy
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_record import RunRecord, utc_now


def record_action(
    folder: Path, action: str, message: str, *, kind: str, facts: dict[str, Any]
) -> None:
    """Record an action.

    Args:
        folder: the folder of the records.
        action: the name of the command that a person called.
        message: what came of it, as the history shows it.
        kind: the key of ``RunRecord.details`` under which the facts are kept.
        facts: what was done, as JSON.
    """
    # Imported here: commands that record nothing need not wait for it.
    from openlineage.client.uuid import generate_new_uuid

    at = utc_now()
    privacy = Privacy(Path.cwd())
    record = RunRecord(
        run_id=str(generate_new_uuid()),
        job=action,
        started_at=at,
        ended_at=at,
        state="completed",
        message=privacy.text(message),
        details={kind: privacy.content({"user": user_name(), **facts})},
    )
    RecordStore(folder).ended(record)
