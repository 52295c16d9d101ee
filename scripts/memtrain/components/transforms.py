"""What is done to a row on its way from the file to the model.

A transform takes a row, a dict of NumPy arrays, and returns one. Those here work on a whole batch
as well (``batched = True``), and on several batches at once, since they treat every row alike and
by itself (``row_wise = True``). They change the features alone, in place: a row's arrays are its
own while it is transformed, but not afterwards.
"""

from collections.abc import Callable

import numpy as np

from memtrain.config.objects import build, import_object
from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean, listed
from memtrain.data.field_statistics import FieldStatistics

Row = dict[str, np.ndarray]


class Scale:
    """Features become ``features * factor + offset``."""

    batched = row_wise = True

    def __init__(self, factor: float = 1.0, offset: float = 0.0):
        self._factor, self._offset = np.float32(factor), np.float32(offset)

    def __call__(self, row: Row) -> Row:
        """Return the row or batch, scaled."""
        features = _as_floats(row["features"])
        features *= self._factor
        features += self._offset
        return row | {"features": features}


class Standardize:
    """Features get mean 0 and standard deviation 1 over the training rows.

    A column that is constant there becomes 0.

    Args:
        statistics: of the features over the training rows.
        shape: of the features of one row.
    """

    batched = row_wise = True

    def __init__(self, statistics: FieldStatistics, shape: tuple[int, ...]):
        deviation = statistics.standard_deviation
        factor = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        self._mean = statistics.mean.astype(np.float32).reshape(shape)
        self._factor = factor.astype(np.float32).reshape(shape)

    def __call__(self, row: Row) -> Row:
        """Return the row or batch, standardized."""
        features = _as_floats(row["features"])
        features -= self._mean
        features *= self._factor
        return row | {"features": features}


def build_transform(
    where: str, choice: Choice, statistics: FieldStatistics, shape: tuple[int, ...]
) -> Callable[[Row], Row] | None:
    """Return the transform that a key chose; None for "none".

    Args:
        where: the key, for errors.
        choice: none, scale, standardize, or "package.module:function", whose arguments are passed
            with every row.
        statistics: of the features over the training rows.
        shape: of the features of one row.
    """
    match choice.name:
        case "none":
            return build(where, _no_transform, **choice.arguments)
        case "scale":
            return build(where, Scale, **choice.arguments)
        case "standardize":
            return build(where, lambda: Standardize(statistics, shape), **choice.arguments)
        case name if ":" in name:
            return OwnTransform(import_object(where, name), choice.arguments)
        case name:
            known = ["none", "scale", "standardize"]
            raise UserError(
                f"{where}: found {name!r}; known are {listed(known)} and package.module:function."
                f"{did_you_mean(name, known)}"
            )


class OwnTransform:
    """A user's function, with the arguments that the configuration gives it."""

    def __init__(self, function: Callable[..., Row], arguments: dict):
        self._function, self._arguments = function, arguments
        self.batched = getattr(function, "batched", False)

    def __call__(self, row: Row) -> Row:
        """Return what the function makes of the row (of the batch, where it is ``batched``)."""
        return self._function(row, **self._arguments)


def _no_transform() -> None:
    return None


def _as_floats(features: np.ndarray) -> np.ndarray:
    return np.asarray(features, np.float32)
