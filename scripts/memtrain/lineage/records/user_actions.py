"""Records what a person did with a dataset, so that the history and the page show it.

An action that changes files is recorded before it does, as running, and again when it has ended.
So an action that was killed has left a record, and the files tell whether it was done.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.lineage.records.environment_capture import user_name
from memtrain.lineage.records.privacy import Privacy
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_id import new_uuid
from memtrain.lineage.records.run_record import RunRecord, utc_now

_KILLED = "the program was ended before it had done it"


def record_action(
    folder: Path, action: str, message: str, *, kind: str, facts: dict[str, Any]
) -> None:
    """Record an action that changes nothing but the records.

    Args:
        folder: the folder of the records.
        action: the name of the command that a person called.
        message: what came of it, as the history shows it.
        kind: the key of ``RunRecord.details`` under which the facts are kept.
        facts: what was done, as JSON.
    """
    record = _new_record(action, message, kind, facts)
    record.ended_at, record.state = record.started_at, "completed"
    RecordStore(folder).ended(record)


@contextmanager
def recorded_action(
    folder: Path,
    action: str,
    message: str,
    *,
    kind: str,
    facts: dict[str, Any],
    is_done: Callable[[RunRecord], bool],
) -> Iterator[None]:
    """Record an action before it is done, and how it ended.

    Args:
        folder: the folder of the records.
        action: the name of the command that a person called.
        message: what it does, as the history shows it.
        kind: the key of ``RunRecord.details`` under which the facts are kept.
        facts: what is to be done, as JSON.
        is_done: returns whether an action has been done, by its record, which it may correct; it
            is asked after an error.
    """
    store, record = RecordStore(folder), _new_record(action, message, kind, facts)
    store.started(record)
    try:
        yield
    except BaseException:
        # What cannot be told or recorded now is by the next action.
        with suppress(UserError, OSError):
            _end(store, record, is_done(record))
        raise
    _end(store, record, is_done=True)


def finish_actions(
    folder: Path, actions: Collection[str], is_done: Callable[[RunRecord], bool]
) -> list[RunRecord]:
    """Record how actions ended that were killed before they could, and return those done.

    Whoever calls this knows that no such action is under way.

    Args:
        folder: the folder of the records.
        actions: the names of the commands.
        is_done: returns whether an action has been done, by its record, which it may correct.
    """
    store, done = RecordStore(folder), []
    for name in sorted(store.names()):
        record = store.read(name) if name.startswith("started/") else None
        if isinstance(record, RunRecord) and record.job in actions:
            _end(store, record, is_done(record))
            if record.state == "completed":
                done.append(record)
    return done


def _new_record(action: str, message: str, kind: str, facts: dict[str, Any]) -> RunRecord:
    privacy = Privacy(Path.cwd())
    return RunRecord(
        run_id=new_uuid(),
        job=action,
        started_at=utc_now(),
        message=privacy.text(message),
        details={kind: privacy.content({"user": user_name(), **facts})},
    )


def _end(store: RecordStore, record: RunRecord, is_done: bool) -> None:
    record.state = "completed" if is_done else "stopped"
    if not is_done:
        record.message = f"{record.message} ({_KILLED})"
    record.ended_at = utc_now()
    store.ended(record)
