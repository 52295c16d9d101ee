"""Sends a tracker what it does not have of trainings that are finished."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from memtrain.config.results import ResultsLayout
from memtrain.config.tracking import TrackingSettings
from memtrain.core.errors import UserError
from memtrain.system.sole_writer import sole_writer
from memtrain.tracking.mirror import Mirror
from memtrain.tracking.tracked_training import (
    TrackedTraining,
    TrainingFiles,
    identity_of_model,
)
from memtrain.tracking.tracker import TrackerError
from memtrain.tracking.trackers import make_tracker, note_path
from memtrain.training.lock import training_in


@dataclass
class Sent:
    """What a tracker was sent.

    Attributes:
        tracker: name of the tracker.
        sent: splits whose trainings were sent, all or the rest.
        known: number of trainings that the tracker had all of.
        missing: splits that were not sent.
        problem: why they were not; None where all were.
    """

    tracker: str
    sent: list[str] = field(default_factory=list)
    known: int = 0
    missing: list[str] = field(default_factory=list)
    problem: str | None = None


def finished_training(
    results: ResultsLayout, split: str, lineage_run: str | None
) -> TrackedTraining | None:
    """Return the training of a split; None where it is not finished, or runs again.

    Args:
        results: where the results lie.
        split: name of the split.
        lineage_run: id of the run that made the model; None where it is not recorded.
    """
    layout, state = results.split(split), results.state(split)
    identity = identity_of_model(layout.model)
    if identity is None or training_in(state) is not None:
        return None
    files = TrainingFiles(
        recipe=layout.recipe,
        model=layout.model,
        history=layout.history,
        validation=layout.validation,
        performance=layout.performance,
        evaluation=layout.evaluation,
        state=state,
    )
    return TrackedTraining(split, results.root.name, identity, files, lineage_run)


def send(
    name: str, settings: TrackingSettings, folder: Path, trainings: Sequence[TrackedTraining]
) -> Sent:
    """Send a tracker what it does not have; after the first failure, nothing more is tried.

    Args:
        name: name of the tracker.
        settings: the section `tracking` of the configuration.
        folder: folder of what trackers were sent.
        trainings: finished trainings.
    """
    done = Sent(name)
    for training in trainings:
        if done.problem is not None:
            done.missing.append(training.split)
            continue
        try:
            is_sent = _send_one(name, settings, folder, training)
        except (TrackerError, UserError) as error:
            done.problem = str(error)
        except ModuleNotFoundError as error:
            done.problem = f"the package {error.name} is not installed"
        else:
            if is_sent:
                done.sent.append(training.split)
            else:
                done.known += 1
            continue
        done.missing.append(training.split)
    return done


def _send_one(
    name: str, settings: TrackingSettings, folder: Path, training: TrackedTraining
) -> bool:
    """Send what is missing of one training; return False where nothing was."""
    note = note_path(folder, name, training.split)
    note.parent.mkdir(parents=True, exist_ok=True)
    with sole_writer(note):
        tracker = make_tracker(name, settings, folder, training.dataset)
        mirror = Mirror(training, tracker, note)
        if mirror.has_all:
            return False
        mirror.finish()
        tracker.close()
    return True
