"""The transform that a configuration names: what is done to a row on its way to the model.

A transform takes a row, a dict of NumPy arrays, and returns a row. The transforms of this module
treat every row alike and by itself. They therefore also take a whole batch (``batched = True``), or
several batches at once (``row_wise = True``). They change the features only, in place: the arrays
of a row belong to the transform while it runs, but not afterwards. They compute in the precision of
the column: float64 becomes float32 after them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from memtrain.config.objects import build, check_arguments, import_object
from memtrain.config.types import Choice
from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean, listed
from memtrain.data.field_statistics import FieldStatistics

Row = dict[str, np.ndarray]


class Scale:
    """Replaces features by ``features * factor + offset``.

    Attributes:
        factor: what they are multiplied by.
        offset: what is added then.
    """

    batched = row_wise = True

    def __init__(self, factor: float = 1.0, offset: float = 0.0):
        self.factor = factor
        self.offset = offset

    def __call__(self, row: Row) -> Row:
        """Return the row or batch with scaled features."""
        features = _as_floats(row["features"])
        features *= features.dtype.type(self.factor)
        features += features.dtype.type(self.offset)
        return row | {"features": features}


class Standardize:
    """Gives features mean 0 and standard deviation 1 over the training rows.

    A column that is constant over the training rows becomes 0.

    Args:
        statistics: statistics of the features over the training rows.
        shape: shape of the features of one row.

    Attributes:
        mean: what is subtracted, float64 (*shape).
        scale: what the rest is multiplied by, float64 (*shape).
    """

    batched = row_wise = True

    def __init__(self, statistics: FieldStatistics, shape: tuple[int, ...]):
        deviation = statistics.standard_deviation
        factor = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        self.mean = statistics.mean.reshape(shape)
        self.scale = factor.reshape(shape)

    def __call__(self, row: Row) -> Row:
        """Return the row or batch with standardized features."""
        features = _as_floats(row["features"])
        features -= self.mean.astype(features.dtype)
        features *= self.scale.astype(features.dtype)
        return row | {"features": features}


class CustomTransform:
    """A function of the user's, with the arguments that the configuration gives it.

    Args:
        function: takes a row and these arguments, and returns a row; with an attribute
            ``batched = True`` it takes a batch instead.
        arguments: keyword arguments.
    """

    def __init__(self, function: Callable[..., Row], arguments: dict[str, Any]):
        self._function = function
        self._arguments = arguments
        self.batched = getattr(function, "batched", False)

    def __call__(self, row: Row) -> Row:
        """Return what the function returns for a row or batch."""
        return self._function(row, **self._arguments)


def build_transform(
    where: str, choice: Choice, statistics: FieldStatistics, shape: tuple[int, ...]
) -> Callable[[Row], Row] | None:
    """Return the transform that a setting names.

    Args:
        where: key of the setting, for error messages.
        choice: "none", "scale", "standardize" or "package.module:function", with arguments.
        statistics: statistics of the features over the training rows.
        shape: shape of the features of one row.

    Returns:
        The transform, or None for "none".
    """
    match choice.name:
        case "none":
            return build(where, _no_transform, **choice.arguments)
        case "scale":
            return build(where, Scale, **choice.arguments)
        case "standardize":
            return build(where, lambda: Standardize(statistics, shape), **choice.arguments)
        case name if ":" in name:
            function = import_object(where, name)
            check_arguments(where, function, (None,), choice.arguments)
            return CustomTransform(function, choice.arguments)
        case name:
            known = ["none", "scale", "standardize"]
            raise UserError(
                f"{where}: found {name!r}; known are {listed(known)} and package.module:function."
                f"{did_you_mean(name, known)}"
            )


def _no_transform() -> None:
    return None


def _as_floats(features: np.ndarray) -> np.ndarray:
    """Return features in a floating type that holds them: float32, or float64 for large integers.

    What is centred or scaled in it becomes float32 afterwards.
    """
    return np.asarray(features, np.result_type(features.dtype, np.float32))
