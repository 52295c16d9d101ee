"""Progress: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

_BAR_WIDTH = 30


class Progress:
    """Tells how far a piece of work has come.

    On a terminal one line is drawn again and again. In a log a line is printed when at least
    ``seconds_between_lines`` have passed since the last one, and one at the end.

    Args:
        what: the work, in a word or two.
        total: how many units there are; None where that is not known.
        unit: what is counted.
        stream: where to; standard error unless given.
        seconds_between_lines: the least distance of two lines in a log.
        clock: seconds from any fixed point, for tests.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        unit: str,
        stream: TextIO | None = None,
        seconds_between_lines: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._what, self._total, self._unit = what, total, unit
        self._stream = stream or sys.stderr
        self._on_terminal = self._stream.isatty()
        self._interval = 0.1 if self._on_terminal else seconds_between_lines
        self._clock = clock
        self._start = self._last = clock()
        self._done = self._done_before = 0

    def start_at(self, units: int) -> None:
        """Count units as done before; the rate is that of the others."""
        self._done = self._done_before = units

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self._print(self._clock(), "")
        if self._on_terminal:
            print(file=self._stream)

    def advance(self, units: int, note: str = "") -> None:
        """Count units as done; ``note`` is shown behind the numbers."""
        self._done += units
        now = self._clock()
        if now - self._last >= self._interval:
            self._print(now, note)

    def _print(self, now: float, note: str) -> None:
        self._last = now
        parts = [f"{self._what}: {self._done:,}{self._of()} {self._unit}"]
        rate = (self._done - self._done_before) / max(now - self._start, 1e-9)
        parts.append(f"{rate:,.0f} {self._unit}/s")
        if self._total and rate > 0 and self._done < self._total:
            parts.append(f"{_duration((self._total - self._done) / rate)} left")
        parts.extend(filter(None, [note]))
        line = ", ".join(parts)
        if self._on_terminal:
            print(f"\r\x1b[K{self._bar()}{line}", end="", file=self._stream, flush=True)
        else:
            print(line, file=self._stream, flush=True)

    def _of(self) -> str:
        return f" of {self._total:,} ({self._done / self._total:.0%})" if self._total else ""

    def _bar(self) -> str:
        if not self._total:
            return ""
        filled = min(self._done, self._total) * _BAR_WIDTH // self._total
        return "[" + "#" * filled + " " * (_BAR_WIDTH - filled) + "] "


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
