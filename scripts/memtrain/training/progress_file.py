"""``progress.json``: the sign of life of a running training, which ``status`` reads."""

import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from memtrain.system.file_content import read_bytes

PROGRESS_FILE = "progress.json"

_NUMBERS_BELOW = 1e15

State = Literal["failed", "lost", "stopped", "running", "waiting", "finished"]


@dataclass(frozen=True)
class TrainingStatus:
    """How far a training has come. Whatever is not known is None.

    A training itself says that it is running, that it has stopped (its state is saved, and the next
    run goes on from there) or that it has failed. The other states are what ``status`` finds out:
    waiting for its start, lost (it ended without saying why, or gives no sign of life) or finished.

    Attributes:
        split: name of the split.
        state: one of the states above.
        step: optimizer steps done by all runs.
        steps: optimizer steps in all.
        epoch: epoch of the last step: 1, 2, ...; 0 before the first step of this run.
        epochs: epochs in all.
        loss: mean loss per row of the last window.
        validation_loss: mean loss per row of the last validation.
        rows_per_second: mean rate of all runs.
        waiting_share: share of the time spent waiting for rows.
        seconds_left: seconds to the end at the rate of this run.
        checkpoint_step: step of the last checkpoint.
        checkpoint_at: Unix time of the last checkpoint of this run; the time at which the run
            began, if it has resumed from a checkpoint and saved none yet.
        started_at: Unix time at which this run began.
        updated_at: Unix time of the last sign of life.
        host: name of the machine.
        process: identity of the process; see ``process_identity``.
        processes: number of processes that train together.
        job: id of the Slurm job.
        reader: how the rows are read, and why: "direct (reads with O_DIRECT: ...)".
        message: why the training stopped or failed; of a running one, what the user may change.
    """

    split: str
    state: State
    step: int | None = None
    steps: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    validation_loss: float | None = None
    rows_per_second: float | None = None
    waiting_share: float | None = None
    seconds_left: float | None = None
    checkpoint_step: int | None = None
    checkpoint_at: float | None = None
    started_at: float | None = None
    updated_at: float | None = None
    host: str | None = None
    process: str | None = None
    processes: int | None = None
    job: str | None = None
    reader: str | None = None
    message: str | None = None

    @property
    def checkpoint_age(self) -> float | None:
        """Seconds since the last checkpoint."""
        return _seconds_since(self.checkpoint_at)

    @property
    def silent_seconds(self) -> float | None:
        """Seconds since the last sign of life."""
        return _seconds_since(self.updated_at)

    def write(self, folder: str | os.PathLike) -> None:
        """Write ``progress.json`` into a folder.

        The file is replaced as a whole. It is not synced to the disk, because its content is out of
        date a second later.
        """
        path = Path(folder, PROGRESS_FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{PROGRESS_FILE}.part")
        content = {name: _as_json(value) for name, value in asdict(self).items()}
        aside.write_text(json.dumps(content, allow_nan=False))
        os.replace(aside, path)

    @classmethod
    def read(cls, folder: str | os.PathLike) -> "TrainingStatus | None":
        """Return what a training last wrote into a folder.

        Keys that this version does not know are ignored.

        Returns:
            The status, or None if there is no file or it cannot be read now.
        """
        try:
            content = read_bytes(Path(folder, PROGRESS_FILE))
            status = TypeAdapter(cls).validate_json(content, strict=True)
        except (OSError, ValueError):
            return None
        numbers = (value for value in asdict(status).values() if isinstance(value, int | float))
        # Larger ones are damage, and no time, rate or step can be computed from them.
        return status if all(abs(number) < _NUMBERS_BELOW for number in numbers) else None


def _seconds_since(unix_time: float | None) -> float | None:
    return None if unix_time is None else max(0.0, time.time() - unix_time)


def _as_json(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
