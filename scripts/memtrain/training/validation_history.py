"""``validation.csv``: how good the model was on the validation rows, each time it was validated."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memtrain.core.errors import UserError
from memtrain.system.atomic_files import write_text

#: The columns before those of the metrics.
_COLUMNS = ("epoch", "step", "rows", "loss")


@dataclass(frozen=True)
class ValidationRecord:
    """One validation, a line of ``validation.csv``.

    Attributes:
        epoch: number of the epoch of the last step: 1, 2, ...
        step: optimizer steps before the validation.
        rows: number of validation rows.
        loss: mean loss per row.
        metrics: the metrics of the evaluation that are sums over rows, by name; means over several
            targets. NaN where one is not defined.
    """

    epoch: int
    step: int
    rows: int
    loss: float
    metrics: Mapping[str, float]

    def value_of(self, metric: str) -> float:
        """Return the loss or a metric by its name."""
        return self.loss if metric == "loss" else self.metrics[metric]


def write_validations(path: str | os.PathLike, records: Sequence[ValidationRecord]) -> None:
    """Write ``validation.csv``, with a line of column names first, also where nothing follows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(validation_columns(records))
    writer.writerows(validation_values(record) for record in records)
    write_text(path, text.getvalue())


def validation_columns(records: Sequence[ValidationRecord]) -> list[str]:
    """Return the names of the columns of ``validation.csv``; metrics are known by the records."""
    return [*_COLUMNS, *(records[0].metrics if records else ())]


def validation_values(record: ValidationRecord) -> list[float]:
    """Return the values of a line of ``validation.csv``."""
    return [record.epoch, record.step, record.rows, record.loss, *record.metrics.values()]


def read_validations(path: str | os.PathLike) -> list[ValidationRecord]:
    """Read ``validation.csv``.

    Raises:
        UserError: if the file is missing, or is not what ``write_validations`` wrote.
    """
    path = Path(path)
    try:
        with path.open(newline="") as file:
            names, *lines = csv.reader(file)
        if tuple(names[: len(_COLUMNS)]) != _COLUMNS:
            raise ValueError(f"its columns begin with {', '.join(names[:4])}")
        numbers = np.array([[float(cell) for cell in line] for line in lines], np.float64)
        return validations_from_array(
            numbers.reshape(len(lines), len(names)), names[len(_COLUMNS) :]
        )
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file. Run train to make it.") from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: this does not hold the validations of a training ({error}). Remove it and "
            "run train again."
        ) from None


def validations_to_array(records: Sequence[ValidationRecord], metrics: Sequence[str]) -> np.ndarray:
    """Return records as float64 (validations, 4 + metrics); exact, as all fields fit into it."""
    values = [validation_values(record) for record in records]
    return np.array(values, np.float64).reshape(len(records), len(_COLUMNS) + len(metrics))


def validations_from_array(numbers: np.ndarray, metrics: Sequence[str]) -> list[ValidationRecord]:
    """Return the records that ``validations_to_array`` turned into numbers."""
    return [
        ValidationRecord(
            int(epoch), int(step), int(rows), loss, dict(zip(metrics, others, strict=True))
        )
        for epoch, step, rows, loss, *others in numbers.tolist()
    ]
