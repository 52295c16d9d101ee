"""The fixed function behind the targets of mock rows.

Its terms are summed one by one in a fixed order: a matrix product would differ in its last bits
from one processor to the next.
"""

import math
from dataclasses import dataclass

import numpy as np

from memtrain.config.dataset import MockSettings
from memtrain.core.random_streams import random_stream

#: Hidden units of the teacher of ``target: mlp``.
_UNITS = 8


@dataclass(frozen=True)
class Teacher:
    """An affine map, or two with a ReLU between them.

    Attributes:
        hidden: float32 (units, features + 1), the weights and the bias of every hidden unit; None
            for a linear teacher.
        output: float32 (outputs, inputs + 1), the weights and the bias of every output.
    """

    hidden: np.ndarray | None
    output: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return float32 (outputs, rows) for features float32 (features, rows)."""
        inputs = features
        if self.hidden is not None:
            inputs = np.maximum(_affine(self.hidden, features), np.float32(0))
        return _affine(self.output, inputs)

    def to_json(self) -> dict[str, list | None]:
        """Return the weights as plain lists."""
        hidden = None if self.hidden is None else self.hidden.tolist()
        return {"hidden": hidden, "output": self.output.tolist()}


def make_teacher(settings: MockSettings) -> Teacher | None:
    """Return the teacher of some settings; None where there is nothing to learn.

    Weights are scaled so that targets spread by about 1 around 0, for any number of features.
    """
    if settings.target == "random":
        return None
    generator = random_stream(settings.seed, "mock teacher")
    outputs = settings.classes or 1
    if settings.target == "linear":
        return Teacher(None, _centred_weights(generator, outputs, settings.features))
    hidden = _centred_weights(generator, _UNITS, settings.features)
    output = generator.standard_normal((outputs, _UNITS + 1), dtype=np.float32)
    output *= np.float32(1.5 / math.sqrt(_UNITS))
    return Teacher(hidden, output)


def _centred_weights(generator: np.random.Generator, outputs: int, inputs: int) -> np.ndarray:
    """Return weights (outputs, inputs + 1) whose outputs spread by 1 around 0.

    The inputs are taken to be uniform in [0, 1).
    """
    weights = generator.standard_normal((outputs, inputs), dtype=np.float32)
    # The variance of a uniform number is 1/12.
    weights *= np.float32(math.sqrt(12 / inputs))
    bias = np.zeros((outputs, 1), np.float32)
    for column in range(inputs):
        bias[:, 0] -= weights[:, column] / np.float32(2)
    return np.concatenate([weights, bias], axis=1)


def _affine(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return float32 (outputs, rows), with every sum taken from the first input to the last."""
    result = np.empty((len(weights), inputs.shape[1]), np.float32)
    term = np.empty(inputs.shape[1], np.float32)
    for output, row in zip(result, weights, strict=True):
        output[:] = row[-1]
        for weight, column in zip(row[:-1], inputs, strict=True):
            np.multiply(column, weight, out=term)
            output += term
    return result
