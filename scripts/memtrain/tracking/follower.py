"""The program that mirrors a training into a tracker while the training runs.

The training starts it, and does not wait for it: it is a process of its own, reads the files that
the training writes, and learns from its standard input that the training has ended. A tracker that
does not answer is told of once and tried again, ever more rarely.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from memtrain.cli.entry_point import show_messages
from memtrain.config.tracking import TrackingSettings
from memtrain.core.errors import UserError
from memtrain.system.sole_writer import sole_writer
from memtrain.tracking.mirror import Mirror
from memtrain.tracking.order import SECONDS_AT_END, Order
from memtrain.tracking.tracker import TrackerError
from memtrain.tracking.trackers import make_tracker, note_path

#: Seconds from one look at the files to the next; and the most, while a tracker does not answer.
_SECONDS_BETWEEN_LOOKS = 1.0
_MOST_SECONDS_BETWEEN_TRIES = 60.0

#: Seconds that sending may take after the end, of a tracker that did not answer the last time.
_SECONDS_AT_END_IF_DOWN = 2.0

_log = logging.getLogger("memtrain.tracking.follower")


class Follower:
    """Mirrors one training into one tracker until the training has ended.

    Args:
        order: what to do.
    """

    def __init__(self, order: Order):
        self._order = order
        self._parent = os.getppid()
        self._ended = threading.Event()
        self._is_down = False
        self._has_told = False

    def run(self) -> bool:
        """Follow the training to its end; return whether the tracker has all of it."""
        threading.Thread(target=self._await_end, daemon=True).start()
        order = self._order
        note = note_path(order.folder, order.tracker, order.training.split)
        note.parent.mkdir(parents=True, exist_ok=True)
        # The follower of a run that was killed may still be sending.
        with sole_writer(note):
            settings = TrackingSettings.model_validate(order.settings)
            training = order.training
            tracker = make_tracker(order.tracker, settings, order.folder, training.dataset)
            mirror = Mirror(training, tracker, note)
            pause = _SECONDS_BETWEEN_LOOKS
            while not self._has_ended(pause):
                self._try(mirror.follow)
                longer = min(2 * pause, _MOST_SECONDS_BETWEEN_TRIES)
                pause = longer if self._is_down else _SECONDS_BETWEEN_LOOKS
            self._try(mirror.finish)
            tracker.close()
        return not self._is_down

    def _try(self, send: Callable[[], None]) -> None:
        try:
            send()
        except (TrackerError, UserError) as error:
            self._is_down = True
            self._tell(str(error))
        else:
            self._is_down = False

    def _tell(self, reason: str) -> None:
        """Say once that a tracker is not reached."""
        if self._has_told:
            return
        self._has_told = True
        _log.warning(
            f"tracking.{self._order.tracker}: {reason.rstrip('.')}. The training goes on. What "
            "does not arrive is sent by `python scripts/track.py send`."
        )

    def _has_ended(self, seconds: float) -> bool:
        """Wait some seconds, and return whether the training has ended."""
        return self._ended.wait(seconds) or os.getppid() != self._parent

    def _await_end(self) -> None:
        """Wait for the end of the training, and let this program end soon after it."""
        with suppress(OSError):
            sys.stdin.buffer.read()
        self._ended.set()
        seconds = _SECONDS_AT_END_IF_DOWN if self._is_down else SECONDS_AT_END
        timer = threading.Timer(seconds, self._leave, [seconds])
        timer.daemon = True
        timer.start()

    def _leave(self, seconds: float) -> None:
        self._tell(f"not all has arrived {seconds:g} seconds after the end of the training")
        os._exit(1)


def main(argv: list[str]) -> int:
    """Follow the training that the first argument describes."""
    # Ctrl-C is for the training, whose end this program learns of.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(5)
    show_messages()
    order = Order.from_text(argv[0])
    try:
        return 0 if Follower(order).run() else 1
    except ModuleNotFoundError as error:
        _log.warning(
            f"tracking.{order.tracker}: the package {error.name} is not installed, so nothing is "
            f"sent. Install it, as `pip install {order.tracker}` does, and call `python "
            "scripts/track.py send`."
        )
    except Exception as error:
        # Whatever a tracker's library raises, the log of a training gets one sentence.
        _log.warning(
            f"tracking.{order.tracker}: {type(error).__name__}: {error}. Nothing more is sent; "
            "`python scripts/track.py send` tries again."
        )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
