"""Shows how far a piece of work has come: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from memtrain.core.wording import duration_text

if TYPE_CHECKING:
    from types import TracebackType

_SECONDS_BETWEEN_REDRAWS = 0.1
_BAR_CHARACTERS = 30


class Progress:
    """Counts the units of work that are done, and shows their number now and then.

    On a terminal, a bar is redrawn in place, and messages appear above it. In a log, a line is
    written at most once in ``seconds_between_lines``, and one at the end.

    Args:
        what: name of the work, in a word or two.
        total: number of units in all; None where it is not known.
        unit: name of the units, in the plural.
        stream: where to write; None for standard error.
        seconds_between_lines: shortest time between two lines in a log.
        clock: function that returns seconds since any fixed moment.
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
        output: TextIO = stream or sys.stderr
        self._what = what
        self._total = total
        self._unit = unit
        self._clock = clock
        self._display: _Display
        if output.isatty():
            self._display = _Bar(output, total)
            self._interval = _SECONDS_BETWEEN_REDRAWS
        else:
            self._display = _Lines(output)
            self._interval = seconds_between_lines
        self._start = clock()
        self._last_shown = self._start
        self._done = 0
        self._done_before = 0

    def start_at(self, units: int) -> None:
        """Begin with the units that earlier runs have done; the rate does not count them."""
        self._done = units
        self._done_before = units

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if kind is None:
            self._show(self._clock(), "")
        self._display.close()

    def advance(self, units: int, note: str = "") -> None:
        """Count units as done.

        Args:
            units: number of units since the last call.
            note: text that is shown after the numbers.
        """
        self._done += units
        now = self._clock()
        if now - self._last_shown >= self._interval:
            self._show(now, note)

    def _show(self, now: float, note: str) -> None:
        self._last_shown = now
        rate = (self._done - self._done_before) / max(now - self._start, 1e-9)
        parts = [f"{self._what}: {self._done:,}{self._share()} {self._unit}"]
        parts.append(f"{rate:,.0f} {self._unit}/s")
        if self._total and rate > 0 and self._done < self._total:
            parts.append(f"{duration_text((self._total - self._done) / rate)} left")
        if note:
            parts.append(note)
        self._display.show(self._done, ", ".join(parts))

    def _share(self) -> str:
        return f" of {self._total:,} ({self._done / self._total:.0%})" if self._total else ""


class _Display(Protocol):
    """A way to show progress."""

    def show(self, done: int, line: str) -> None:
        """Show the number of units that are done, and a line with the details."""

    def close(self) -> None:
        """Show nothing more."""


class _Lines:
    """Writes one line after the other."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def show(self, done: int, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        pass


class _Bar:
    """Draws a bar with a line beside it, in the same place again and again."""

    def __init__(self, stream: TextIO, total: int | None):
        # Imported here, since few programs run on a terminal and the package takes a while.
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        text = TextColumn("{task.description}", table_column=Column(no_wrap=True), markup=False)
        columns = [BarColumn(_BAR_CHARACTERS), text] if total else [text]
        # No thread redraws the bar, since it would take time from the work.
        self._progress = RichProgress(*columns, console=Console(file=stream), auto_refresh=False)
        self._task = self._progress.add_task("", total=total)
        self._progress.start()

    def show(self, done: int, line: str) -> None:
        self._progress.update(self._task, completed=done, description=line, refresh=True)

    def close(self) -> None:
        self._progress.stop()
