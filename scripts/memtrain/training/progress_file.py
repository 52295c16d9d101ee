"""``progress.json``: the sign of life of a training that runs, for whoever looks from outside."""

import json
import math
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

PROGRESS_FILE = "progress.json"


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training has come.

    Attributes:
        split: that is trained.
        state: stopped means that it saved its state and left, to be run again.
        step: optimizer steps done, by all runs.
        steps: in all.
        epoch: of the last step, 1, 2, ...; 0 before the first of this run.
        epochs: in all.
        loss: the mean loss of a row of the last window.
        rows_per_second: of all runs.
        waiting_share: of the time, for rows.
        seconds_left: at the rate of this run.
        checkpoint_step: of the last checkpoint.
        checkpoint_at: when it was written, Unix time.
        started_at: when this run began, Unix time.
        updated_at: Unix time.
        host: the machine's name.
        process: which process it is, as ``process_identity`` has it.
        processes: that train together.
        job: of a batch system, where there is one.
        message: why it stopped or failed.
    """

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
    process: str
    processes: int
    job: str | None
    message: str | None

    def write(self, folder: str | os.PathLike) -> None:
        """Write the file aside and rename it; not synced, since it is old news in a second."""
        path = Path(folder, PROGRESS_FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{PROGRESS_FILE}.part")
        content = {name: _as_json(value) for name, value in asdict(self).items()}
        aside.write_text(json.dumps(content, allow_nan=False))
        os.replace(aside, path)

    @classmethod
    def read(cls, folder: str | os.PathLike) -> "TrainingProgress | None":
        """Return what was written last; None where nothing was, or it cannot be read now.

        Keys of later versions are left out.
        """
        try:
            content = json.loads(Path(folder, PROGRESS_FILE).read_text())
            return cls(**{field.name: content[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def process_identity() -> str:
    """Return what tells this process from all others: boot, pid namespace, pid and start."""
    return ":".join([*_system(), str(os.getpid()), _start_of(os.getpid()) or "unknown"])


def is_gone(identity: str) -> bool:
    """Return whether a process has ended for sure; False where that cannot be seen from here.

    Names of hosts do not tell: two containers may have the same.
    """
    *system, pid, start = identity.split(":")
    if system != _system() or not pid.isdecimal() or start == "unknown":
        return False
    return _start_of(int(pid)) != start


def seconds_since(progress: TrainingProgress, folder: str | os.PathLike) -> float:
    """Return the age of a progress file, by the kinder one of two clocks.

    The writer's clock and that of the file system may both differ from ours by seconds.
    """
    try:
        written = os.stat(Path(folder, PROGRESS_FILE)).st_mtime
    except OSError:
        written = 0.0
    return max(0.0, time.time() - max(written, progress.updated_at))


def _system() -> list[str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return [boot, str(os.stat("/proc/self/ns/pid").st_ino)]
    except OSError:
        return ["unknown", "unknown"]


def _start_of(pid: int) -> str | None:
    """Return when a process was started, in ticks since boot; None where there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the program stands in parentheses, and may hold any. A zombie has ended.
    state, *numbers = status.rpartition(")")[2].split()
    return None if state == "Z" else numbers[18]


def _as_json(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
