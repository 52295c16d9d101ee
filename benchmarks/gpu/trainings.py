"""Trainings in this process, on a device."""

import gc
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measuring import Work
from benchmarks.trainings import MockTraining, training_work
from memtrain.config.running import CheckpointSettings, RunningSettings
from memtrain.training.checkpoint import CheckpointFolder
from memtrain.training.result import TrainingResult
from memtrain.training.run_context import RunContext
from memtrain.training.stopping import StopRequests
from memtrain.training.trainer import Trainer


class StopAfter(StopRequests):
    """Asks a training to stop after some steps: at its question of that number."""

    def __init__(self, questions: int):
        super().__init__()
        self._questions = questions

    @property
    def reason(self) -> str | None:
        """Why the training has to stop, once it was asked often enough."""
        self._questions -= 1
        return "half of it is done" if self._questions < 0 else None


def context(device: torch.device, folder: Path | None = None) -> RunContext:
    """Return what a training runs in.

    Args:
        device: where it trains.
        folder: folder of its checkpoints; None for none.
    """
    checkpoints = None if folder is None else CheckpointFolder(folder, {"training": "this one"})
    running = RunningSettings(checkpoint=CheckpointSettings(minutes=60))
    return RunContext(device=device, checkpoints=checkpoints, running=running)


def trained(training: MockTraining, device: torch.device) -> TrainingResult:
    """Train to the end."""
    return Trainer(training.recipe, training.data, context(device)).run()


def stopping_after(where: RunContext, steps: int) -> RunContext:
    """Return a context in which a training is asked to stop after some steps."""
    return replace(where, stop=StopAfter(steps))


def work_of(training: MockTraining, device: torch.device) -> Work:
    """Train to the end; return the rows, and the seconds without the start."""
    work = training_work(trained(training, device).performance)
    gc.collect()
    return work
