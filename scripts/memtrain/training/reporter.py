"""Reports the progress of a running training: in the log, and in a file that ``status`` reads."""

import io
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from memtrain.recipes.recipe import Recipe
from memtrain.system.process_identity import process_identity
from memtrain.system.progress import Progress
from memtrain.training.distributed.process_group import ProcessGroup
from memtrain.training.history import StepRecord
from memtrain.training.live_tables import LiveTables
from memtrain.training.performance import TrainingCost
from memtrain.training.process_balance import ProcessBalance
from memtrain.training.progress_file import State, TrainingStatus
from memtrain.training.validation_history import ValidationRecord

_SECONDS_BETWEEN_FILES = 1.0

_log = logging.getLogger(__name__)


class TrainingReporter:
    """Reports how far a training has come; only rank 0 reports.

    Used as a context. An exception that leaves the context is reported as a failure.

    Args:
        recipe: recipe of the split.
        folder: folder for the progress file; None to write no file.
        group: processes that train together.
        first_step: steps that earlier runs have done.
        reading: returns how the rows are read at the moment, and why.
        tables: what writes steps and validations as they come; None to write none.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path | None,
        *,
        group: ProcessGroup,
        first_step: int,
        reading: Callable[[], str],
        tables: LiveTables | None = None,
    ):
        self._folder = folder if group.is_main else None
        self._tables = tables
        self._reading = reading
        self._first_step = first_step
        self._steps = recipe.training.sizes.steps
        now = time.time()
        self._started_at = now
        self._last_file = 0.0
        self._record: StepRecord | None = None
        self._validation: ValidationRecord | None = None
        self._cost = TrainingCost()
        self._status = TrainingStatus(
            split=recipe.split,
            state="running",
            step=first_step,
            steps=self._steps,
            epoch=0,
            epochs=recipe.training.settings.epochs,
            checkpoint_step=first_step or None,
            checkpoint_at=now if first_step else None,
            started_at=now,
            host=socket.gethostname(),
            process=process_identity(),
            processes=group.world_size,
            job=os.environ.get("SLURM_JOB_ID"),
        )
        # The progress of the other ranks goes nowhere.
        stream = None if group.is_main else io.StringIO()
        self._progress = Progress("training", self._steps, "steps", stream=stream)
        self._progress.start_at(first_step)
        self._balance = ProcessBalance(group.world_size, is_told=group.is_main)

    def __enter__(self) -> "TrainingReporter":
        self._progress.__enter__()
        self._write("running")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.__exit__(kind, error, trace)
        self._balance.see(self._cost)
        if self._tables is not None:
            self._tables.flush()
        if isinstance(error, Exception) and self._status.state != "stopped":
            self._write("failed", str(error))

    def report_step(self, record: StepRecord, cost: TrainingCost) -> None:
        """Report an optimizer step."""
        self._record = record
        self._cost = cost
        if self._tables is not None:
            self._tables.add_step(record)
        rate = cost.rows / max(cost.seconds, 1e-9)
        validated = "" if self._validation is None else f" (validation {self._validation.loss:.6g})"
        self._progress.advance(1, f"loss {record.loss:.6g}{validated}, {rate:,.0f} rows/s")
        if time.monotonic() - self._last_file >= _SECONDS_BETWEEN_FILES:
            self._write("running", self._balance.see(cost))

    def report_validation(self, record: ValidationRecord | None) -> None:
        """Report the last validation; None before the first one."""
        if self._tables is not None and record is not None:
            self._tables.add_validation(record)
        self._validation = record

    def report_checkpoint(self, step: int) -> None:
        """Report that a checkpoint was saved after a step."""
        self._status = replace(self._status, checkpoint_step=step, checkpoint_at=time.time())

    def report_stop(self, reason: str) -> None:
        """Report that the training leaves before its end."""
        self._write("stopped", reason)

    def _write(self, state: State, message: str | None = None) -> None:
        """Bring the status up to date, and write it to the progress file."""
        self._last_file = time.monotonic()
        if self._tables is not None:
            self._tables.flush()
        self._status = replace(
            self._status,
            state=state,
            message=message,
            reader=self._reading(),
            updated_at=time.time(),
        )
        if self._validation is not None:
            self._status = replace(self._status, validation_loss=self._validation.loss)
        if self._record is not None:
            self._status = replace(
                self._status,
                step=self._record.step,
                epoch=self._record.epoch,
                loss=self._record.loss,
                rows_per_second=self._cost.rows_per_second,
                waiting_share=self._cost.waiting_share,
                seconds_left=self._seconds_left(self._record.step),
            )
        if self._folder is None:
            return
        try:
            self._status.write(self._folder)
        except OSError as error:
            # A full disk must not end the training for the sake of its sign of life.
            _log.warning(f"{self._folder}: progress is no longer written there ({error}).")
            self._folder = None

    def _seconds_left(self, step: int) -> float:
        """Return the seconds to the end, at the rate of this run, after its first step."""
        elapsed = time.time() - self._started_at
        return elapsed * (self._steps - step) / (step - self._first_step)
