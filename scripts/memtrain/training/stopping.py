"""Requests to leave a training early: a signal of a scheduler, Ctrl-C, or the end of its time."""

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from memtrain.core.errors import Interrupted

#: Signals that schedulers send before they end a job, and the one that Ctrl-C sends.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

#: Seconds after the first SIGINT within which another one is the same Ctrl-C: the terminal sends it
#: to all processes, and torchrun sends it on to those that it started.
_SECONDS_OF_ONE_CTRL_C = 1.0

#: Exit status of a training that was asked to stop and left. In sysexits.h, 75 means "temporary
#: failure, try again".
STOPPED = 75

#: Share of the job's time, and minutes at least, that are kept for the last step, the last
#: checkpoint and the way out.
_MARGIN_SHARE = 0.05
_MARGIN_MINUTES = 1.0

_Handler = Callable[[int, FrameType | None], Any] | int | None


class TrainingStopped(Interrupted):
    """The training was asked to stop and leaves.

    If it had begun and has a folder for checkpoints, its state is saved.
    """


class StopRequests:
    """Listens to the signals of schedulers, to Ctrl-C and to the clock.

    Used as a context, at whose end the former signal handlers are back. A second Ctrl-C raises
    KeyboardInterrupt. A signal that this process was started to ignore stays ignored, as SIGINT is
    in commands that a shell script runs in the background.

    Args:
        max_minutes: minutes that the job may take, counted from now; None for no limit. The stop is
            requested a little earlier: by 5 % of the time, but at least a minute (half the time, if
            that is less).
    """

    def __init__(self, max_minutes: float | None = None):
        self._deadline = None
        if max_minutes is not None:
            margin = min(max(_MARGIN_MINUTES, _MARGIN_SHARE * max_minutes), max_minutes / 2)
            self._deadline = time.monotonic() + 60 * (max_minutes - margin)
        self._max_minutes = max_minutes
        self._signal: signal.Signals | None = None
        self._interrupted_at: float | None = None
        self._former_handlers: dict[signal.Signals, _Handler] = {}

    def __enter__(self) -> "StopRequests":
        self._former_handlers = {
            number: signal.signal(number, self._note_signal)
            for number in SIGNALS
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._former_handlers.items():
            signal.signal(number, handler)

    @property
    def reason(self) -> str | None:
        """Why the training has to stop; None as long as it may go on."""
        if self._signal is not None:
            return f"{self._signal.name} was received"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return f"the {self._max_minutes:g} minutes of this job are nearly over"
        return None

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            now = time.monotonic()
            if self._interrupted_at is None:
                self._interrupted_at = now
            elif now - self._interrupted_at > _SECONDS_OF_ONE_CTRL_C:
                raise KeyboardInterrupt
        self._signal = signal.Signals(number)
