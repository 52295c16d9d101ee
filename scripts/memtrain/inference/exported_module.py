"""A trained model with all that happens around it, as one module that torch.export takes.

It takes features as the data file has them, encoded: words and times are numbers already. Inside,
missing values are filled, the transform of the settings runs, and outputs become what an evaluation
writes: numbers in the unit of the target, or probabilities.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from memtrain.components.encoder import Encoder
from memtrain.components.row_transform import Chain, FillMissing, StandardizeTarget
from memtrain.components.transforms import Row, Scale, Standardize
from memtrain.metrics.model_outputs import (
    OutputMeaning,
    class_scores,
    log_no_and_yes,
    predicted_numbers,
)


@dataclass(frozen=True)
class TransformSteps:
    """What happens to features on their way to the model, behind the encoding of columns.

    Attributes:
        outside: what a program that uses the export has to do itself, in NumPy.
        inside: the same steps as the module does them; in their order, behind ``outside``.
        replaced: what ``inside`` does, in NumPy.
    """

    outside: list[Callable[[Row], Row]]
    inside: list[nn.Module]
    replaced: list[Callable[[Row], Row]]


def transform_steps(transform: Callable[[Row], Row] | None) -> TransformSteps:
    """Return the steps of a transform; those before a function of the user's own stay outside.

    Args:
        transform: what is done to a row on its way to the model; None for nothing.
    """
    steps = _steps(transform)
    modules = [_as_module(step) for step in steps]
    first = max((at + 1 for at, module in enumerate(modules) if module is None), default=0)
    inside = [module for module in modules[first:] if module is not None]
    return TransformSteps(steps[:first], inside, steps[first:])


def _steps(transform: Callable[[Row], Row] | None) -> list[Callable[[Row], Row]]:
    """Return the parts of a transform without the encoding of columns."""
    if isinstance(transform, Chain):
        return [step for part in transform.parts for step in _steps(part)]
    return [] if transform is None or isinstance(transform, Encoder) else [transform]


def _as_module(step: Callable[[Row], Row]) -> nn.Module | None:
    """Return what a step does, as a module; None for a function of the user's own."""
    if isinstance(step, FillMissing):
        return _Fill(step.values)
    if isinstance(step, Scale):
        return _Affine(np.zeros(1), np.array(step.factor), np.array(step.offset))
    if isinstance(step, Standardize):
        return _Affine(step.mean, step.scale, np.zeros(1))
    return None


class _Fill(nn.Module):
    """Puts a value of its own column in the place of every missing feature."""

    values: torch.Tensor

    def __init__(self, values: np.ndarray):
        super().__init__()
        self.register_buffer("values", torch.from_numpy(np.array(values, np.float64)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if not features.is_floating_point():
            return features
        return torch.where(features.isnan(), self.values.to(features.dtype), features)


class _Affine(nn.Module):
    """Returns ``(features - center) * factor + offset`` in the precision of the features."""

    center: torch.Tensor
    factor: torch.Tensor
    offset: torch.Tensor

    def __init__(self, center: np.ndarray, factor: np.ndarray, offset: np.ndarray):
        super().__init__()
        for name, values in (("center", center), ("factor", factor), ("offset", offset)):
            self.register_buffer(name, torch.from_numpy(np.array(values, np.float64)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if not features.is_floating_point():
            is_small = features.dtype in (torch.int8, torch.uint8, torch.int16)
            features = features.to(torch.float32 if is_small else torch.float64)
        kind = features.dtype
        return (features - self.center.to(kind)) * self.factor.to(kind) + self.offset.to(kind)


@dataclass(frozen=True)
class ModelToExport:
    """A model, and what happens before and behind it.

    Attributes:
        model: the model.
        meaning: what the outputs of the model mean.
        steps: what happens to features first.
        scale: what the training does to numbers as targets; None for nothing.
        dtype: dtype of the predictions.
    """

    model: nn.Module
    meaning: OutputMeaning
    steps: Sequence[nn.Module]
    scale: StandardizeTarget | None
    dtype: torch.dtype


class ExportedModule(nn.Module):
    """Features in, predictions out.

    Args:
        parts: the model, and what happens around it.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, parts: ModelToExport):
        super().__init__()
        self.steps = nn.ModuleList(parts.steps)
        self.model = parts.model
        self._meaning = parts.meaning
        self._dtype = parts.dtype
        scale = parts.scale
        mean, deviation = (scale.mean, scale.deviation) if scale else (np.zeros(1), np.ones(1))
        self._is_scaled = scale is not None
        self.register_buffer("mean", torch.from_numpy(mean.reshape(-1)))
        self.register_buffer("deviation", torch.from_numpy(deviation.reshape(-1)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return predictions, (rows, values).

        Args:
            features: (rows, ...), in the dtype of the data file.
        """
        return self._predictions(self.model(self._prepared(features))).to(self._dtype)

    def _prepared(self, features: torch.Tensor) -> torch.Tensor:
        """Return features as the model takes them."""
        for step in self.steps:
            features = step(features)
        return features.float() if features.dtype == torch.float64 else features

    def _predictions(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the predictions of rows, (rows, values)."""
        meaning, kind = self._meaning, self._meaning.kind
        if kind is not None and meaning.task == "classification":
            scores = class_scores(kind, outputs)
            return scores.exp() if meaning.has_probabilities else scores
        if kind is not None and meaning.task == "binary":
            return log_no_and_yes(kind, outputs)[..., 1].exp()
        return self._numbers(outputs)

    def _numbers(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return predicted numbers in the unit of the target, (rows, values)."""
        numbers = predicted_numbers(self._meaning.kind, outputs)
        return numbers * self.deviation + self.mean if self._is_scaled else numbers
