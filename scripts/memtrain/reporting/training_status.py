"""Finds out the progress of all trainings of a configuration, from the files that they write."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from memtrain.config.results import ResultsLayout, SplitLayout
from memtrain.config.schema import Configuration
from memtrain.core.errors import UserError
from memtrain.system import canonical_json
from memtrain.system.process_identity import has_ended
from memtrain.training.history import read_last_step
from memtrain.training.performance import Performance
from memtrain.training.process_balance import describe_imbalance
from memtrain.training.progress_file import PROGRESS_FILE, State, TrainingStatus
from memtrain.training.validation_history import ValidationRecord, read_validations

#: All states, those that need attention first.
STATES: tuple[State, ...] = ("failed", "lost", "stopped", "running", "waiting", "finished")

#: Seconds of silence after which a running training counts as lost. A training gives a sign of life
#: every second, but a step or a checkpoint may take longer.
SECONDS_UNTIL_LOST = 60.0


def find_statuses(configuration: Configuration, results: ResultsLayout) -> Iterator[TrainingStatus]:
    """Yield the status of the training of every split, in the order of the configuration.

    Args:
        configuration: configuration that names the splits.
        results: files of the dataset.
    """
    for split in configuration.split_names:
        yield _find_status(split, results)


def _find_status(split: str, results: ResultsLayout) -> TrainingStatus:
    folder, files = results.state(split), results.split(split)
    reported = TrainingStatus.read(folder)
    if reported is not None:
        return _check_report(reported, folder)
    if all(path.exists() for path in (files.model, files.history)):
        return _status_from_results(split, files)
    return TrainingStatus(split, "waiting", step=0, steps=_planned_steps(files.recipe))


def _check_report(reported: TrainingStatus, folder: Path) -> TrainingStatus:
    """Return the status that a training reported, with the state "lost" if it is not alive."""
    status = replace(reported, updated_at=_last_sign_of_life(reported, folder))
    if status.state == "running":
        if not _is_lost(status):
            return status
        status = replace(status, state="lost", message=_explain_loss(status))
    message = status.message
    if step := status.checkpoint_step:
        message = "; ".join(filter(None, [message, f"it will go on after step {step:,}"]))
    return replace(status, message=message, seconds_left=None)


def _is_lost(status: TrainingStatus) -> bool:
    is_silent = status.silent_seconds is None or status.silent_seconds > SECONDS_UNTIL_LOST
    return is_silent or (status.process is not None and has_ended(status.process))


def _explain_loss(status: TrainingStatus) -> str:
    """Return what is known of a training that says it runs and does not."""
    step = f" after step {status.step:,}" if status.step else ""
    if status.process is not None and has_ended(status.process):
        return f"it was killed{step}: its process is gone and said nothing"
    return f"no sign of life{step}: it ended without a word, or cannot be reached"


def _last_sign_of_life(reported: TrainingStatus, folder: Path) -> float:
    """Return the Unix time of the last report, by the later of two clocks.

    The clock of the training's machine and the clock of the file system may each differ by seconds
    from the clock of this machine.
    """
    try:
        written_at = (folder / PROGRESS_FILE).stat().st_mtime
    except OSError:
        written_at = 0.0
    return min(time.time(), max(written_at, reported.updated_at or 0.0))


def _status_from_results(split: str, files: SplitLayout) -> TrainingStatus:
    status = TrainingStatus(split, "finished")
    if last := read_last_step(files.history):
        status = replace(
            status,
            step=last.step,
            steps=last.step,
            epoch=last.epoch,
            epochs=last.epoch,
            loss=last.loss,
        )
    if validations := _read_validations(files.validation):
        status = replace(status, validation_loss=validations[-1].loss)
    performance = Performance.read(files.performance)
    if performance is None:
        return status
    return replace(
        status,
        rows_per_second=performance.rows_per_second,
        waiting_share=performance.waiting_share,
        message=_describe_processes(performance, status.steps),
        host=performance.host,
        processes=performance.processes,
    )


def _describe_processes(performance: Performance, steps: int | None) -> str | None:
    """Return that the processes cost more than they brought; None where that is not known."""
    gradient_share, exchanging_share = performance.gradient_share, performance.exchanging_share
    if steps is None or gradient_share is None or exchanging_share is None:
        return None
    return describe_imbalance(
        gradient_share * performance.seconds,
        exchanging_share * performance.seconds,
        steps,
        performance.processes,
    )


def _read_validations(path: Path) -> list[ValidationRecord]:
    """Return the validations of a finished training; none if they cannot be read now."""
    try:
        return read_validations(path)
    except UserError:
        return []


def _planned_steps(recipe: Path) -> int | None:
    """Return the optimizer steps that a recipe plans; None if it cannot be read now."""
    try:
        return canonical_json.read(recipe, made_by="resolve_splits")["training"]["sizes"]["steps"]
    except (UserError, KeyError, TypeError):
        return None
