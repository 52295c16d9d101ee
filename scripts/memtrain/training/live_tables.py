"""``history.csv`` and ``validation.csv`` of a training that runs, for programs that follow it.

They lie in the folder of its checkpoints, and grow about once a second. At any time they are the
beginning of the files that the training writes at its end; the last line may be incomplete.
"""

import csv
import io
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from memtrain.config.results import HISTORY_FILE, VALIDATION_FILE
from memtrain.system.atomic_files import write_text
from memtrain.training.history import StepRecord, history_columns, history_values
from memtrain.training.validation_history import (
    ValidationRecord,
    validation_columns,
    validation_values,
)

_log = logging.getLogger(__name__)


class LiveTables:
    """Writes the steps and the validations of a training while it runs.

    A full disk does not end the training: the files are then no longer written.

    Args:
        folder: folder for the files.
        history: steps that earlier runs have taken.
        validations: validations of earlier runs.
    """

    def __init__(
        self, folder: Path, history: Sequence[StepRecord], validations: Sequence[ValidationRecord]
    ):
        self._folder = folder
        self._is_writing = True
        self._steps = list(history)
        self._validations = list(validations)
        self._last_validation = validations[-1].step if validations else None
        self._has_validation_columns = False
        self._begin()

    def add_step(self, record: StepRecord) -> None:
        """Take a step, which ``flush`` writes."""
        self._steps.append(record)

    def add_validation(self, record: ValidationRecord) -> None:
        """Take a validation, which ``flush`` writes; one that was taken before counts once."""
        if record.step != self._last_validation:
            self._validations.append(record)
            self._last_validation = record.step

    def flush(self) -> None:
        """Append what was taken since the last call."""
        steps, validations = self._steps, self._validations
        self._steps, self._validations = [], []
        if not self._is_writing:
            return
        try:
            if steps:
                self._append(HISTORY_FILE, map(history_values, steps))
            if validations:
                if not self._has_validation_columns:
                    self._append(VALIDATION_FILE, [validation_columns(validations)])
                    self._has_validation_columns = True
                self._append(VALIDATION_FILE, map(validation_values, validations))
        except OSError as error:
            self._give_up(error)

    def _begin(self) -> None:
        """Replace the files of the run before, which may have got further than its checkpoint."""
        try:
            write_text(self._folder / HISTORY_FILE, _lines([history_columns()]))
            write_text(self._folder / VALIDATION_FILE, "")
        except OSError as error:
            self._give_up(error)
        self.flush()

    def _append(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        with open(self._folder / name, "a", encoding="utf-8", newline="") as file:
            file.write(_lines(rows))

    def _give_up(self, error: OSError) -> None:
        _log.warning(f"{self._folder}: steps are no longer written there as they come ({error}).")
        self._is_writing = False


def _lines(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
