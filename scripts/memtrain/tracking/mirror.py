"""Mirrors the training of one split into one tracker, from the files that the training writes."""

import math
import os
import time
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from memtrain.config.results import HISTORY_FILE, VALIDATION_FILE
from memtrain.core.errors import UserError
from memtrain.evaluation.result import Evaluation
from memtrain.recipes.model_file import read_origin
from memtrain.system import canonical_json
from memtrain.tracking.note import Note, Sending
from memtrain.tracking.points import GrowingTable, Point
from memtrain.tracking.tracked_training import TrackedTraining, identity_of_model
from memtrain.tracking.tracker import RunState, Tracker
from memtrain.training.performance import Performance
from memtrain.training.progress_file import TrainingStatus

_TABLES = ("training", "validation")


class Mirror:
    """Sends a tracker what it does not have yet of a training.

    Args:
        training: the training.
        tracker: the tracker.
        note: file of what the tracker has been sent.
    """

    def __init__(self, training: TrackedTraining, tracker: Tracker, note: Path):
        self._training = training
        self._tracker = tracker
        self._path = note
        self._note = Note.read(note, tracker.target, training.identity.digest)
        self._tables = {name: GrowingTable(name, self._note.steps.get(name, 0)) for name in _TABLES}
        self._has_begun = False

    def follow(self) -> None:
        """Send what the training has written so far.

        Raises:
            TrackerError: if the tracker cannot be reached; the rest is sent by the next call.
        """
        state = self._training.files.state
        self._begin(started_at=time.time())
        self._set_state("running", time.time())
        self._read(state / HISTORY_FILE, state / VALIDATION_FILE)
        self._send(at=None)

    def finish(self) -> None:
        """Send the rest of a training that does not run any more, and how it ended.

        Raises:
            TrackerError: if the tracker cannot be reached; the rest is sent by the next call.
        """
        files = self._training.files
        if not self.is_finished:
            self.follow()
            self._set_state(_state_of(files.state), time.time())
            return
        ended_at = files.model.stat().st_mtime
        performance = Performance.read(files.performance)
        self._begin(started_at=ended_at - (performance.seconds if performance else 0))
        self._read(files.history, files.validation)
        self._send(at=ended_at)
        self._send_final(performance, ended_at)
        self._set_state("finished", ended_at)

    @property
    def is_finished(self) -> bool:
        """Whether the results of this very training are there."""
        return identity_of_model(self._training.files.model) == self._training.identity

    @property
    def has_all(self) -> bool:
        """Whether the tracker has all that is there of a finished training."""
        if not self.is_finished or self._note.state != "finished":
            return False
        return self._note.final == _digest(
            self._final_points(Performance.read(self._training.files.performance))
        )

    def _begin(self, started_at: float) -> None:
        if self._has_begun:
            return
        run = self._tracker.begin(self._training, self._note.run, started_at)
        if run != self._note.run:
            # The note is new, or the run was removed from the tracker.
            note = Note(self._note.target, self._note.training, run)
            self._keep(replace(note, steps=self._tracker.last_steps()))
            self._tables = {
                name: GrowingTable(name, self._note.steps.get(name, 0)) for name in _TABLES
            }
        self._has_begun = True

    def _read(self, history: Path, validation: Path) -> None:
        self._tables["training"].read(history)
        self._tables["validation"].read(validation)

    def _send(self, at: float | None) -> None:
        """Send all lines that were read, in parts.

        Args:
            at: Unix time of the lines; None for now.
        """
        for name, table in self._tables.items():
            if (sending := self._note.sending.get(name)) is not None:
                if table.waiting and table.waiting[-1].step >= sending.step:
                    self._send_part(name, sending)
                elif at is None:
                    # These lines come again: the training went back to its last checkpoint.
                    continue
            while table.waiting:
                count = min(len(table.waiting), self._tracker.most_points(table.waiting[0]))
                last = table.waiting[count - 1].step
                sending = Sending(last, time.time() if at is None else at)
                self._keep(self._note.sends(name, sending))
                self._send_part(name, sending)

    def _send_part(self, table: str, sending: Sending) -> None:
        waiting = self._tables[table].waiting
        points = list(takewhile(lambda point: point.step <= sending.step, waiting))
        self._tracker.add(points, sending.at)
        for _ in points:
            waiting.popleft()
        self._keep(self._note.arrived(table, sending.step))

    def _send_final(self, performance: Performance | None, at: float) -> None:
        """Send what is known at the end alone: the evaluation, and what the training cost."""
        points = self._final_points(performance)
        digest = _digest(points)
        if digest == self._note.final:
            return
        evaluation = self._training.files.evaluation
        if evaluation.exists():
            at = max(at, evaluation.stat().st_mtime)
        self._tracker.add(points, at)
        self._keep(replace(self._note, final=digest))

    def _final_points(self, performance: Performance | None) -> list[Point]:
        origin = read_origin(self._training.files.model)
        values: dict[str, float | None] = {}
        if performance is not None:
            values["performance/seconds"] = performance.seconds
            values["performance/rows_per_second"] = performance.rows_per_second
        if (evaluation := _evaluation_of(self._training)) is not None:
            values["evaluation/loss"] = evaluation.loss
            values["evaluation/step"] = origin.kept_step
            for name, value in evaluation.metrics.items():
                values[f"evaluation/{name}"] = value
                values[f"evaluation_standard_error/{name}"] = evaluation.errors.get(name)
        known = {
            name: value
            for name, value in values.items()
            if value is not None and math.isfinite(value)
        }
        # MLflow draws a number at step 0 alone as a bar, and at another step as a lonely point.
        return [Point(0, known)] if known else []

    def _set_state(self, state: RunState, at: float) -> None:
        if self._note.state != state:
            self._tracker.set_state(state, at)
            self._keep(replace(self._note, state=state))

    def _keep(self, note: Note) -> None:
        self._note = note
        note.write(self._path)


def _evaluation_of(training: TrackedTraining) -> Evaluation | None:
    """Return the evaluation of the model of a training; None where there is none yet."""
    path = training.files.evaluation
    if not os.path.exists(path):
        return None
    try:
        evaluation = Evaluation.read(path)
    except UserError:
        return None
    return evaluation if evaluation.recipe == training.identity.recipe else None


def _digest(points: list[Point]) -> str:
    return canonical_json.digest([[point.step, dict(point.values)] for point in points])


def _state_of(folder: Path) -> RunState:
    """Return how a training ended that has no results: it says so, or was killed."""
    status = TrainingStatus.read(folder)
    return "failed" if status is not None and status.state == "failed" else "stopped"
