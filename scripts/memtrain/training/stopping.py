"""When a training has to leave before its end: a signal of the scheduler's, or its time is up."""

import signal
import time
from types import FrameType

from memtrain.core.errors import Interrupted

#: What schedulers send before they end a job.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

#: Exit status of a training that saved its state and left: temporary, try again (as in sysexits.h).
STOPPED = 75

#: What is left of the time of a job for the last step, the last checkpoint and the way out.
_MARGIN_SHARE = 0.05
_MARGIN_MINUTES = 1.0


class TrainingStopped(Interrupted):
    """The training saved its state and left before its end."""


class StopRequests:
    """Listens for the signals of schedulers and to the clock.

    Used as a context; handlers that were there before are there again after it.

    Args:
        max_minutes: that the job may take, from now on; None for no limit. Stops are asked for a
            margin before: 5 % of them, one minute at least (of very short ones, a half).
    """

    def __init__(self, max_minutes: float | None = None):
        self._deadline = None
        if max_minutes is not None:
            margin = min(max(_MARGIN_MINUTES, _MARGIN_SHARE * max_minutes), max_minutes / 2)
            self._deadline = time.monotonic() + 60 * (max_minutes - margin)
        self._max_minutes = max_minutes
        self._signal: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequests":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def reason(self) -> str | None:
        """Why the training has to stop; None as long as it does not."""
        if self._signal is not None:
            return f"{self._signal.name} was received"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return f"the {self._max_minutes:g} minutes of this job are nearly over"
        return None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)
