"""Starts the programs that mirror a training into trackers, and ends them with the training."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memtrain.config.results import HISTORY_FILE, VALIDATION_FILE
from memtrain.config.tracking import TrackingSettings
from memtrain.tracking.order import SECONDS_AT_END, Order
from memtrain.tracking.tracked_training import TrackedTraining

#: Seconds for a follower to leave by itself after its own limit.
_SECONDS_TO_LEAVE = 2.0

_log = logging.getLogger(__name__)


@contextmanager
def followed(settings: TrackingSettings, folder: Path, training: TrackedTraining) -> Iterator[None]:
    """Mirror the training that runs in this context into all trackers that are on.

    The training waits for none of them. When it ends well, they have some seconds to send the rest;
    when it fails or is stopped, they are left to themselves.

    Args:
        settings: the section `tracking` of the configuration.
        folder: folder of what trackers were sent.
        training: the training.
    """
    for name in (HISTORY_FILE, VALIDATION_FILE):
        # They may be those of another training, which was killed.
        (training.files.state / name).unlink(missing_ok=True)
    content = settings.model_dump(mode="json")
    orders = [Order(name, content, folder, training) for name in settings.names]
    followers = [process for order in orders if (process := _start(order)) is not None]
    is_finished = False
    try:
        yield
        is_finished = True
    finally:
        for process in followers:
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()
        if is_finished:
            _await(followers)


def _start(order: Order) -> subprocess.Popen | None:
    package = str(Path(__file__).resolve().parents[2])
    paths = filter(None, [package, os.environ.get("PYTHONPATH")])
    try:
        return subprocess.Popen(
            # -P: no file of the user's in this folder is taken for a module.
            [sys.executable, "-P", "-m", "memtrain.tracking.follower", order.as_text()],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            # Ctrl-C and the signals of a cluster are for the training alone.
            start_new_session=True,
        )
    except OSError as error:
        _log.warning(f"tracking.{order.tracker}: it cannot be started ({error}).")
        return None


def _await(followers: list[subprocess.Popen]) -> None:
    """Wait until followers have ended; end those that do not in time."""
    deadline = time.monotonic() + SECONDS_AT_END + _SECONDS_TO_LEAVE
    for process in followers:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
