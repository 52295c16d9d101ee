"""Where all trainings of a configuration are, from the files that they leave."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memtrain.config.results import ResultsLayout, SplitLayout
from memtrain.config.schema import Configuration
from memtrain.training.progress_file import TrainingProgress, is_gone, seconds_since

State = Literal["failed", "lost", "stopped", "running", "waiting", "finished"]

#: In the order in which people want to know.
STATES: tuple[State, ...] = ("failed", "lost", "stopped", "running", "waiting", "finished")

#: A running training says so every second, but for steps and checkpoints that take longer.
SECONDS_TO_LOST = 60.0

#: Bytes at the end of a history that its last line is looked for in.
_LAST_BYTES = 4096


@dataclass(frozen=True)
class TrainingStatus:
    """One training. What is not known is None.

    Attributes:
        split: that is trained.
        state: lost means that it ended without a word, or is not heard of any more.
        step, steps, epoch, epochs, loss, rows_per_second, waiting_share, seconds_left,
        checkpoint_step, host, processes, job, message: as in ``TrainingProgress``.
        checkpoint_age: seconds since the last checkpoint.
        heard_of: seconds since the last sign of life.
    """

    split: str
    state: State
    step: int | None = None
    steps: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    rows_per_second: float | None = None
    waiting_share: float | None = None
    seconds_left: float | None = None
    checkpoint_step: int | None = None
    checkpoint_age: float | None = None
    heard_of: float | None = None
    host: str | None = None
    processes: int | None = None
    job: str | None = None
    message: str | None = None


def statuses(configuration: Configuration, results: ResultsLayout) -> Iterator[TrainingStatus]:
    """Yield the status of the training of every split, in the order of the configuration.

    Args:
        configuration: with the splits.
        results: of the dataset.
    """
    for split in configuration.split_names:
        yield _status(split, results)


def _status(split: str, results: ResultsLayout) -> TrainingStatus:
    folder, files = results.state(split), results.split(split)
    progress = TrainingProgress.read(folder)
    if progress is not None:
        return _of_progress(progress, folder)
    if all(path.exists() for path in (files.model, files.history, files.performance)):
        return _of_results(split, files)
    steps = _read_json(files.recipe).get("training", {}).get("sizes", {}).get("steps")
    return TrainingStatus(split, "waiting", step=0, steps=steps)


def _of_progress(progress: TrainingProgress, folder: Path) -> TrainingStatus:
    heard_of = seconds_since(progress, folder)
    state: State = progress.state
    message = progress.message
    if state == "running" and (heard_of > SECONDS_TO_LOST or is_gone(progress.process)):
        state, message = "lost", "it ended without a word, or cannot be heard of"
    at, step = progress.checkpoint_at, progress.checkpoint_step
    if state != "running" and step:
        message = f"{message or ''}; it will go on after step {step:,}".lstrip("; ")
    return TrainingStatus(
        split=progress.split,
        state=state,
        step=progress.step,
        steps=progress.steps,
        epoch=progress.epoch,
        epochs=progress.epochs,
        loss=progress.loss,
        rows_per_second=progress.rows_per_second,
        waiting_share=progress.waiting_share,
        seconds_left=progress.seconds_left if state == "running" else None,
        checkpoint_step=step,
        checkpoint_age=None if at is None else max(0.0, time.time() - at),
        heard_of=heard_of,
        host=progress.host,
        processes=progress.processes,
        job=progress.job,
        message=message,
    )


def _of_results(split: str, files: SplitLayout) -> TrainingStatus:
    performance = _read_json(files.performance)
    last = _last_record(files.history)
    step, epoch = (int(last[name]) if name in last else None for name in ("step", "epoch"))
    return TrainingStatus(
        split=split,
        state="finished",
        step=step,
        steps=step,
        epoch=epoch,
        epochs=epoch,
        loss=float(last["loss"]) if "loss" in last else None,
        rows_per_second=performance.get("rows_per_second"),
        waiting_share=performance.get("waiting_share"),
        host=performance.get("host"),
        processes=performance.get("processes"),
    )


def _read_json(path: Path) -> dict:
    """Return what a file holds; nothing where it cannot be read now."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _last_record(path: Path) -> dict[str, str]:
    """Return the last line of a table by its columns, without reading what is before it."""
    try:
        with open(path, "rb") as file:
            names = file.readline().decode().strip().split(",")
            file.seek(max(file.tell(), os.fstat(file.fileno()).st_size - _LAST_BYTES))
            lines = file.read().decode().split()
    except (OSError, ValueError):
        return {}
    return dict(zip(names, lines[-1].split(","), strict=False)) if lines else {}
