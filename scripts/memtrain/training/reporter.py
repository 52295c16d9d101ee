"""What a training tells while it runs: a line in the log, and a file that ``status`` reads."""

import io
import os
import socket
import sys
import time
from pathlib import Path
from typing import Literal

from memtrain.recipes.recipe import Recipe
from memtrain.system.progress import Progress
from memtrain.training.history import StepRecord
from memtrain.training.performance import TrainingCost
from memtrain.training.progress_file import TrainingProgress, process_identity

_SECONDS_BETWEEN_FILES = 1.0


class TrainingReporter:
    """Tells how far a training has come. Used as a context; an exception in it is a failure.

    Args:
        recipe: of the split.
        folder: for the progress file; None for none.
        processes: that train together.
        first_step: the steps that earlier runs did.
        quiet: writes no lines; for all processes but one.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path | None,
        processes: int,
        first_step: int,
        quiet: bool = False,
    ):
        self._split, self._epochs = recipe.split, recipe.training.settings.epochs
        self._steps = recipe.training.sizes.steps
        self._folder, self._processes, self._first_step = folder, processes, first_step
        self._progress = Progress(
            "training", self._steps, "steps", stream=io.StringIO() if quiet else None
        )
        self._progress.start_at(first_step)
        self._started_at = time.time()
        self._process = process_identity()
        self._last_file = 0.0
        self._checkpoint: tuple[int, float] | None = (
            (first_step, time.time()) if first_step else None
        )
        self._record: StepRecord | None = None
        self._cost = TrainingCost()
        self._is_stopped = False

    def __enter__(self) -> "TrainingReporter":
        self._progress.__enter__()
        self._write("running")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self._progress.__exit__(kind, error, trace)
        if isinstance(error, Exception) and not self._is_stopped:
            self._write("failed", str(error))

    def step(self, record: StepRecord, cost: TrainingCost) -> None:
        """Tell of a step."""
        self._record, self._cost = record, cost
        rate = cost.rows / max(cost.seconds, 1e-9)
        self._progress.advance(1, f"loss {record.loss:.6g}, {rate:,.0f} rows/s")
        if time.monotonic() - self._last_file >= _SECONDS_BETWEEN_FILES:
            self._write("running")

    def saved(self, step: int) -> None:
        """Tell of a checkpoint."""
        self._checkpoint = (step, time.time())

    def stopped(self, reason: str) -> None:
        """Tell that the training leaves before its end."""
        self._is_stopped = True
        self._write("stopped", reason)

    def _write(
        self, state: Literal["running", "stopped", "failed"], message: str | None = None
    ) -> None:
        self._last_file = time.monotonic()
        if self._folder is None:
            return
        record, cost = self._record, self._cost
        step = record.step if record else self._first_step
        done = step - self._first_step
        elapsed = time.time() - self._started_at
        checkpoint_step, checkpoint_at = self._checkpoint or (None, None)
        progress = TrainingProgress(
            split=self._split,
            state=state,
            step=step,
            steps=self._steps,
            epoch=record.epoch if record else 0,
            epochs=self._epochs,
            loss=record.loss if record else None,
            rows_per_second=cost.rows / cost.seconds if cost.seconds else None,
            waiting_share=cost.waiting_seconds / cost.seconds if cost.seconds else None,
            seconds_left=elapsed * (self._steps - step) / done if done else None,
            checkpoint_step=checkpoint_step,
            checkpoint_at=checkpoint_at,
            started_at=self._started_at,
            updated_at=time.time(),
            host=socket.gethostname(),
            process=self._process,
            processes=self._processes,
            job=os.environ.get("SLURM_JOB_ID"),
            message=message,
        )
        try:
            progress.write(self._folder)
        except OSError as error:
            # A sign of life is not worth the training.
            print(f"warning: {self._folder}: no progress is written ({error}).", file=sys.stderr)
            self._folder = None
