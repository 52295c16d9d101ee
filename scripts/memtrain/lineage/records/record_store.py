"""The records of a dataset on disk: one file for each run.

::

    lineage/started/<run id>.jsonl           a run that is running, or was killed
    lineage/events/<yyyy-mm>/<run id>.jsonl  a run that has ended; each line is an event

Only the run itself writes its file: under another name, then synced and renamed. So any number of
runs can record at once, on any file system, and none can damage the file of another. The record of
a run that has ended is never changed.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memtrain.lineage.records.openlineage_events import from_events, to_events
from memtrain.lineage.records.run_record import RunRecord
from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_text


@dataclass(frozen=True)
class DamagedRecord:
    """A file in the place of a record that cannot be read as one.

    Attributes:
        path: the file.
        problem: what is wrong with it.
    """

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: this record cannot be read ({self.problem}); it is left out."


class RecordStore:
    """The records below one folder.

    Args:
        folder: ``results/<dataset>/lineage``.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    def started(self, record: RunRecord) -> None:
        """Write the record of a run that has started."""
        _write(self._started_path(record), record)

    def ended(self, record: RunRecord) -> None:
        """Write the record of a run that has ended."""
        month = record.started_at[:7]
        _write(self.folder / "events" / month / f"{record.run_id}.jsonl", record)
        self._started_path(record).unlink(missing_ok=True)

    def names(self) -> set[str]:
        """Return the files of all records, as paths relative to the folder.

        A run that was killed just after it wrote its second file has two. Only the second counts.
        """
        events = {
            f"events/{month.name}/{file.name}": file.name
            for month in _entries(self.folder / "events")
            for file in _entries(Path(month.path))
            if file.name.endswith(".jsonl") and not file.name.startswith(".")
        }
        ended = set(events.values())
        started = {
            f"started/{file.name}"
            for file in _entries(self.folder / "started")
            if file.name.endswith(".jsonl")
            and not file.name.startswith(".")
            and file.name not in ended
        }
        return set(events) | started

    def read(self, name: str) -> RunRecord | DamagedRecord | None:
        """Return a record; None if the file is gone, as when its run has just ended.

        Args:
            name: one of ``names``.
        """
        path = self.folder / name
        try:
            return from_events(canonical_json.parse(line) for line in path.read_text().splitlines())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            return DamagedRecord(path, str(error))

    def events(self, name: str) -> list[dict]:
        """Return the events of a record as they were written."""
        return [
            canonical_json.parse(line) for line in (self.folder / name).read_text().splitlines()
        ]

    def _started_path(self, record: RunRecord) -> Path:
        return self.folder / "started" / f"{record.run_id}.jsonl"


def _write(path: Path, record: RunRecord) -> None:
    lines = [json.dumps(event, sort_keys=True, allow_nan=False) for event in to_events(record)]
    write_text(path, "\n".join(lines) + "\n")


def _entries(folder: Path) -> Iterator[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
