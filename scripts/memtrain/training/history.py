"""``history.csv``: what happened at every optimizer step of a training."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from itertools import chain
from pathlib import Path

import numpy as np

from memtrain.core.errors import UserError
from memtrain.system.atomic_files import write_text
from memtrain.system.file_content import open_file

#: Bytes at the end of the file in which ``read_last_step`` looks for the last line.
_LAST_BYTES = 4096


@dataclass(frozen=True)
class StepRecord:
    """One optimizer step, a line of ``history.csv``.

    Attributes:
        step: number of the step: 1, 2, ...
        epoch: number of its epoch: 1, 2, ...
        rows: rows in the accumulation window.
        loss: mean loss per row of the window, before the step.
        learning_rate: learning rate of the step (of the first parameter group).
        gradient_norm: Euclidean norm of the accumulated gradient.
    """

    step: int
    epoch: int
    rows: int
    loss: float
    learning_rate: float
    gradient_norm: float


@dataclass(frozen=True)
class History:
    """The columns of ``history.csv`` that other programs need; arrays of shape (steps,).

    Attributes:
        epoch: number of the epoch, int64: 1, 2, ...
        loss: mean loss per row of the accumulation window, before the step, float64.
    """

    epoch: np.ndarray
    loss: np.ndarray

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return len(self.loss)


def write_history(path: str | os.PathLike, records: Sequence[StepRecord]) -> None:
    """Write ``history.csv``, with a line of column names first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(history_columns())
    writer.writerows(map(history_values, records))
    write_text(path, text.getvalue())


def history_columns() -> list[str]:
    """Return the names of the columns of ``history.csv``."""
    return [field.name for field in fields(StepRecord)]


def history_values(record: StepRecord) -> tuple[float, ...]:
    """Return the values of a line of ``history.csv``."""
    return astuple(record)


def read_history(path: str | os.PathLike) -> History:
    """Read ``history.csv``.

    Raises:
        UserError: if the file is missing or is not a history.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: there is no such file. Run train to make it.")
    try:
        with path.open() as file:
            columns = file.readline().strip().split(",")
            wanted = [columns.index(name) for name in ("epoch", "loss")]
            first_step = file.readline()
            if not first_step:
                raise ValueError("it has no steps")
            lines = chain([first_step], file)
            values = np.loadtxt(lines, delimiter=",", usecols=wanted, ndmin=2)
        return History(epoch=values[:, 0].astype(np.int64), loss=values[:, 1])
    except ValueError as error:
        raise UserError(
            f"{path}: this is not the history of a training ({error}). Remove it and run train "
            "again."
        ) from None


def read_last_step(path: str | os.PathLike) -> StepRecord | None:
    """Return the last step of a history without reading the lines before it.

    Returns:
        The step, or None if the file cannot be read now.
    """
    try:
        with open_file(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_BYTES))
            last_line = file.read().decode().split()[-1]
        step, epoch, rows, *numbers = last_line.split(",")
        return StepRecord(int(step), int(epoch), int(rows), *map(float, numbers))
    except (OSError, ValueError, IndexError, TypeError):
        return None


def records_to_array(records: Sequence[StepRecord]) -> np.ndarray:
    """Return records as float64 (steps, fields); exact, since every field fits into a float64."""
    return np.array([astuple(record) for record in records], np.float64)


def records_from_array(numbers: np.ndarray) -> list[StepRecord]:
    """Return the records that ``records_to_array`` turned into numbers."""
    return [
        StepRecord(int(step), int(epoch), int(rows), *others)
        for step, epoch, rows, *others in numbers.tolist()
    ]
