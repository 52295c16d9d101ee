"""Writes the event files of TensorBoard, without torch and without TensorFlow.

A training has a folder, and every program that goes on with it adds a file there. TensorBoard reads
them in the order of their names. It keeps numbers as float32: ``history.csv`` has all digits.
"""

import os
import shutil
import socket
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from memtrain.tracking import event_messages
from memtrain.tracking.points import Point
from memtrain.tracking.tracked_training import TrackedTraining
from memtrain.tracking.tracker import RunState, TrackerError

_MOST_POINTS = 10_000


class TensorBoardFiles:
    """The event files of one training; see ``Tracker``.

    Args:
        folder: folder with a folder for every training.
    """

    def __init__(self, folder: Path):
        self.target = str(folder)
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._records: Any = None

    def begin(self, training: TrackedTraining, run: str | None, started_at: float) -> str:
        """Open a new file in the folder of the training; without a known run, the only one."""
        run_folder = self._folder / training.name
        try:
            if run is None:
                shutil.rmtree(run_folder, ignore_errors=True)
            is_new = not run_folder.exists()
            run_folder.mkdir(parents=True, exist_ok=True)
            self._open(run_folder)
        except OSError as error:
            raise self._error(error) from None
        if not is_new and run is not None:
            return run
        settings, at = training.settings(), started_at
        self._write(
            event_messages.session_start(settings, at),
            event_messages.table("made_from", training.tags(), at),
            event_messages.table("settings", settings, at),
        )
        return f"{training.name} {time.time_ns()}"

    def last_steps(self) -> dict[str, int]:
        """Return no steps: a run that is not known begins anew."""
        return {}

    def most_points(self, point: Point) -> int:
        """Return how many points can be added in one call."""
        return _MOST_POINTS

    def add(self, points: Sequence[Point], at: float) -> None:
        """Write points."""
        self._write(*(event_messages.scalars(point, at) for point in points))

    def set_state(self, state: RunState, at: float) -> None:
        """Write how the training ended; that it runs is known from its settings."""
        if state != "running":
            self._write(event_messages.session_end(state, at))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self, run_folder: Path) -> None:
        """Begin a file whose name comes behind those of the files before."""
        writing = import_module("tensorboard.summary.writer.record_writer")
        nanoseconds = time.time_ns()
        name = f"events.out.tfevents.{nanoseconds // 10**9:010d}.{nanoseconds % 10**9:09d}"
        self.close()
        path = run_folder / f"{name}.{socket.gethostname()}.{os.getpid()}"
        self._file = path.open("wb")
        self._records = writing.RecordWriter(self._file)
        self._write(event_messages.first_event(time.time()))

    def _write(self, *events: bytes) -> None:
        try:
            for event in events:
                self._records.write(event)
            self._records.flush()
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError) -> TrackerError:
        return TrackerError(f"{self._folder}: {error.strerror or error}")
