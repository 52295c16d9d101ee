"""``progress.json``: the sign of life of a training that runs."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training is."""

    split: str
    state: Literal["running", "stopped", "failed"]
    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float | None
    rows_per_second: float | None
    waiting_share: float | None
    seconds_left: float | None
    checkpoint_step: int | None
    checkpoint_at: float | None
    started_at: float
    updated_at: float
    host: str
    pid: int
    processes: int
    job: str | None
    message: str | None

    def write(self, folder) -> None:
        """Write."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=folder)
        os.write(fd, json.dumps(asdict(self)).encode())
        os.close(fd)
        os.replace(name, Path(folder) / "progress.json")
