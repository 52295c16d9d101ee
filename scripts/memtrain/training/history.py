"""``history.csv``: what happened at every step of a training, read back."""

import os
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from memtrain.core.errors import UserError


@dataclass(frozen=True)
class History:
    """What happened at every step, from ``history.csv``; arrays of (steps,).

    Attributes:
        epoch: int64, 1, 2, ...
        loss: float64, the mean loss of a row of the accumulation window, before the step.
    """

    epoch: np.ndarray
    loss: np.ndarray

    @property
    def steps(self) -> int:
        """How many steps there were."""
        return len(self.loss)


def read_history(path: str | os.PathLike) -> History:
    """Read the history of a training.

    Raises:
        UserError: where the file is missing or is no history.
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
