"""What the validations decide: when a training ends, and which weights are kept."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from memtrain.config.training import TrainingSettings
from memtrain.core.errors import UserError
from memtrain.training.validation_history import ValidationRecord

Weights = dict[str, torch.Tensor]


class Selection:
    """Follows the validations of a training.

    Every process decides by the same numbers. Only rank 0 holds the best weights.

    Args:
        settings: settings of the training.
        is_main: whether this is rank 0.
        steps_before: steps up to which validations decide nothing, since the weights that they
            see would not be kept: those before an average begins.

    Attributes:
        best: the validation with the best weights so far; None before the first one whose metric
            is a number, and where nothing is decided by validations.
        ends: whether the training ends now, before its last step.
    """

    def __init__(self, settings: TrainingSettings, is_main: bool, steps_before: int = 0):
        self._stopping = settings.early_stopping
        self._metric, self._sign = settings.decisive_metric
        self._keeps_best = settings.keep == "best"
        self._is_main = is_main
        self._steps_before = steps_before
        self.best: ValidationRecord | None = None
        self.ends = False
        # The value that the next validations have to beat, and how many have failed in a row.
        self._reference = math.inf
        self._failures = 0
        self._best_weights: Weights | None = None

    def see(self, record: ValidationRecord, weights: Callable[[], Mapping[str, Any]]) -> None:
        """Decide by a validation.

        Args:
            record: the validation.
            weights: returns the weights that it validated; all processes call it together.
        """
        if self._decide(record) and self._keeps_best:
            found = weights()
            if self._is_main:
                self._best_weights = {
                    name: value.detach().to("cpu", copy=True) for name, value in found.items()
                }

    def kept(
        self, last: Callable[[], Mapping[str, torch.Tensor]], step: int
    ) -> tuple[Mapping[str, Any], int]:
        """Return the weights that the training keeps, and the step after which they were these.

        Args:
            last: returns the weights after the last step, or their average.
            step: the number of the last step.

        Raises:
            UserError: if the best are to be kept, and the metric of no validation is a number.
        """
        if not self._keeps_best:
            return last(), step
        if self.best is None:
            raise UserError(
                f"training.keep: found best, but {self._metric} is NaN or infinite in every "
                "validation. Use a lower learning rate, or keep the last weights."
            )
        return self._best_weights or {}, self.best.step

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights; all else follows from the validations."""
        return {} if self._best_weights is None else {"best_weights": self._best_weights}

    def load_state_dict(
        self, state: Mapping[str, Any], records: Iterable[ValidationRecord]
    ) -> None:
        """Restore what ``state_dict`` returned, and decide again by the validations so far."""
        for record in records:
            self._decide(record)
        if self._is_main and "best_weights" in state:
            self._best_weights = {
                name: value.cpu() for name, value in state["best_weights"].items()
            }

    def _decide(self, record: ValidationRecord) -> bool:
        """Return whether a validation is the best so far, and note whether it ends the training."""
        if record.step <= self._steps_before:
            return False
        value = self._sign * record.value_of(self._metric)
        is_best = math.isfinite(value) and (
            self.best is None or value < self._sign * self.best.value_of(self._metric)
        )
        if is_best:
            self.best = record
        if self._stopping is not None:
            if value < self._reference - self._stopping.min_delta:
                self._reference, self._failures = value, 0
            else:
                self._failures += 1
            self.ends = self._failures >= self._stopping.patience
        return is_best
