"""The numbers of a training at its steps, read from its tables while these grow."""

import csv
import math
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: Columns that say where a line belongs; all others are curves.
_PLACES = ("step", "epoch", "rows")


@dataclass(frozen=True)
class Point:
    """The numbers of one step.

    Attributes:
        step: optimizer steps taken.
        values: the numbers, by the names of their curves. Numbers that are not finite are left out.
    """

    step: int
    values: Mapping[str, float]


class GrowingTable:
    """The lines of a table that have not been sent yet.

    The table is read from several files, one after the other: from the one that the training writes
    while it runs, and from its result. Both have the same lines, and each line counts once.

    Args:
        prefix: what the names of the curves begin with: "training", "validation".
        last_step: the last step that was sent before; lines up to it are passed over.
    """

    def __init__(self, prefix: str, last_step: int):
        self.waiting: deque[Point] = deque()
        self._prefix = prefix
        self._last_step = last_step
        self._file: tuple[int, ...] = ()
        self._columns: list[str] = []
        self._offset = 0

    def read(self, path: Path) -> None:
        """Add the lines of a file that are new; nothing where there is no file.

        Raises:
            ValueError: if a line is not one of such a table.
        """
        try:
            with open(path, "rb") as file:
                state = os.fstat(file.fileno())
                if (state.st_dev, state.st_ino) != self._file or state.st_size < self._offset:
                    self._file, self._offset, self._columns = (state.st_dev, state.st_ino), 0, []
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return
        # What stands behind the last end of a line is still being written.
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._add(whole.decode())

    def _add(self, text: str) -> None:
        for line in csv.reader(text.splitlines()):
            if not self._columns:
                self._columns = line
                continue
            cells = dict(zip(self._columns, line, strict=True))
            step = int(cells["step"])
            if step <= self._last_step:
                continue
            numbers = {
                f"{self._prefix}/{name}": float(cell)
                for name, cell in cells.items()
                if name not in _PLACES
            }
            self.waiting.append(Point(step, _finite(numbers)))
            self._last_step = step


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: number for name, number in numbers.items() if math.isfinite(number)}
