"""What a training gives: weights, history and performance, each written to its own file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from memtrain.config.results import HISTORY_FILE
from memtrain.data.made_from import Statement, versions_of_packages
from memtrain.system.digests import digest_of_file
from memtrain.training.history import StepRecord, write_history
from memtrain.training.performance import Performance
from memtrain.training.weights import write_weights


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and the account of its training.

    Attributes:
        recipe_digest: digest of the training part of the recipe.
        device: "cpu" or "cuda".
        weights: weights of the model, tensors by name.
        history: one record for every optimizer step.
        order_digest: digest of the rows in the order in which they were visited; see
            ``loading.order_digest``.
        performance: what the training cost, which depends on the machine.
    """

    recipe_digest: str
    device: str
    weights: Mapping[str, torch.Tensor]
    history: Sequence[StepRecord]
    order_digest: str
    performance: Performance

    def write(
        self,
        model: str | os.PathLike,
        history: str | os.PathLike,
        performance: str | os.PathLike,
        *,
        code: str,
    ) -> None:
        """Write the three files. The bytes of model and history depend on recipe and code alone.

        Args:
            model: file of the weights, which says what the model was made from.
            history: file of the history.
            performance: file of the cost.
            code: digest of the code that trained.
        """
        write_history(history, self.history)
        origin = Statement(
            made_from={"recipe": self.recipe_digest, "code": code},
            files={HISTORY_FILE: digest_of_file(history)},
            packages=versions_of_packages(),
            device=self.device,
        )
        write_weights(model, self.weights, origin)
        self.performance.write(performance)
