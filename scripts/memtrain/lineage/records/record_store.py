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
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.core.wording import readable
from memtrain.lineage.records.openlineage_events import from_events, to_events
from memtrain.lineage.records.run_record import RunRecord
from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_text
from memtrain.system.file_content import read_content_of_file

_MONTH = re.compile(r"\d{4}-\d\d")
_RECORD = re.compile(r"[\w-]+\.jsonl", re.ASCII)
_SURROGATE = re.compile(r"\\ud[89a-f]", re.IGNORECASE)


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

    A record names its files relative to the project, which is the working directory. Where the
    folder of the results was renamed since, the records are read as if it had always had this name.

    Args:
        folder: ``results/<dataset>/lineage``.

    Attributes:
        results: the folder of the results, relative to the project; None where it lies elsewhere.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        results = Path(os.path.relpath(self.folder.absolute().parent))
        self.results = None if results.parts[:1] in ((), ("..",)) else results.as_posix()

    def started(self, record: RunRecord) -> None:
        """Write the record of a run that has started."""
        self._write(_started_name(record), record)

    def ended(self, record: RunRecord) -> None:
        """Write the record of a run that has ended."""
        self._write(_ended_name(record), record)
        (self.folder / _started_name(record)).unlink(missing_ok=True)

    def _write(self, name: str, record: RunRecord) -> None:
        record.results = self.results
        lines = [json.dumps(event, sort_keys=True, allow_nan=False) for event in to_events(record)]
        write_text(self.folder / name, "\n".join(lines) + "\n")

    def names(self) -> set[str]:
        """Return the files of all records, as paths relative to the folder.

        A run that was killed just after it wrote its second file has two. Only the second counts.
        A folder that cannot be listed counts as one record, which ``read`` finds damaged.
        """
        months = self._listed("events", _MONTH)
        events = {name for month in months for name in self._listed(month, _RECORD)}
        ended = {Path(name).name for name in events}
        started = self._listed("started", _RECORD)
        return events | {name for name in started if Path(name).name not in ended}

    def _listed(self, folder: str, pattern: re.Pattern[str]) -> list[str]:
        """Return what a folder holds; the folder itself if it cannot be listed."""
        try:
            names = os.listdir(self.folder / folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError:
            return [folder]
        return [f"{folder}/{name}" for name in names if pattern.fullmatch(name)]

    def read(self, name: str) -> RunRecord | DamagedRecord | None:
        """Return a record; None if the file is gone, as when its run has just ended.

        Args:
            name: one of ``names``.
        """
        try:
            record = from_events(self.events(name))
        except FileNotFoundError:
            return None
        except RecursionError:
            return DamagedRecord(self.folder / name, "it is nested too deeply")
        except (OSError, ValueError, UserError) as error:
            return DamagedRecord(self.folder / name, readable(str(error)))
        if name not in (_ended_name(record), _started_name(record)):
            problem = f"it is the record of run {record.run_id}, and has another name"
            return DamagedRecord(self.folder / name, readable(problem))
        if name == _ended_name(record) and record.ended_at is None:
            return DamagedRecord(self.folder / name, "the event of the run's end is missing")
        return record.moved_to(self.results)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a record as they were written.

        Raises:
            FileNotFoundError: if the file is gone.
            UserError: if it is no file, or cannot be read.
            ValueError: if it is not JSON.
        """
        path = self.folder / name
        if path.is_dir():
            os.listdir(path)
            raise ValueError("this is a folder")
        text = read_content_of_file(path).decode()
        events = [canonical_json.parse(line) for line in text.splitlines()]
        # Earlier versions recorded texts with surrogates, which no other file can take.
        return [_readable(event) for event in events] if _SURROGATE.search(text) else events


def _ended_name(record: RunRecord) -> str:
    return f"events/{record.started_at[:7]}/{record.run_id}.jsonl"


def _started_name(record: RunRecord) -> str:
    return f"started/{record.run_id}.jsonl"


def _readable(content: Any) -> Any:
    """Return JSON in which every text is readable."""
    if isinstance(content, dict):
        return {readable(name): _readable(part) for name, part in content.items()}
    if isinstance(content, list):
        return [_readable(part) for part in content]
    return readable(content) if isinstance(content, str) else content
