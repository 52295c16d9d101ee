"""What a training gives: weights, history and performance, each written to its own file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from memtrain.training.history import StepRecord, write_history
from memtrain.training.performance import Performance
from memtrain.training.weights import write_weights


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and the account of its training.

    Attributes:
        recipe_digest: digest of the training part of the recipe.
        weights: weights of the model, tensors by name.
        history: one record for every optimizer step.
        order_digest: digest of the rows in the order in which they were visited; see
            ``loading.order_digest``.
        performance: what the training cost, which depends on the machine.
    """

    recipe_digest: str
    weights: Mapping[str, torch.Tensor]
    history: Sequence[StepRecord]
    order_digest: str
    performance: Performance

    def write(
        self, model: str | os.PathLike, history: str | os.PathLike, performance: str | os.PathLike
    ) -> None:
        """Write the three files. The bytes of the first two depend on recipe and code alone."""
        write_weights(model, self.weights, self.recipe_digest)
        write_history(history, self.history)
        self.performance.write(performance)
