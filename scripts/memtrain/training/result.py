"""What a training gives: weights, history and performance, each written to its own file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from memtrain.config.results import HISTORY_FILE, VALIDATION_FILE
from memtrain.data.made_from import versions_of_packages
from memtrain.recipes.model_file import Base, ModelOrigin
from memtrain.system.digests import digest_of_file
from memtrain.training.history import StepRecord, write_history
from memtrain.training.performance import Performance
from memtrain.training.validation_history import ValidationRecord, write_validations
from memtrain.training.weights import write_weights


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and the account of its training.

    Attributes:
        recipe_digest: digest of the training part of the recipe.
        device: "cpu" or "cuda".
        weights: weights of the model, tensors by name.
        kept_step: number of the step after which the weights were these.
        history: one record for every optimizer step.
        validations: one record for every validation.
        order_digest: digest of the rows in the order in which they were visited; see
            ``loading.order_digest``.
        performance: what the training cost, which depends on the machine.
    """

    recipe_digest: str
    device: str
    weights: Mapping[str, torch.Tensor]
    kept_step: int
    history: Sequence[StepRecord]
    validations: Sequence[ValidationRecord]
    order_digest: str
    performance: Performance

    def write(
        self,
        model: str | os.PathLike,
        history: str | os.PathLike,
        performance: str | os.PathLike,
        *,
        code: str,
        validation: str | os.PathLike | None = None,
        bases: Sequence[Base] = (),
    ) -> None:
        """Write the four files.

        All bytes but those of the cost depend on the recipe, the code and the bases alone.

        Args:
            model: file of the weights, which says what the model was made from.
            history: file of the history.
            performance: file of the cost.
            code: digest of the code that trained.
            validation: file of the validations; None for ``validation.csv`` beside the history.
            bases: models that the training comes from, the one that it started from first.
        """
        if validation is None:
            validation = Path(history).with_name(VALIDATION_FILE)
        write_history(history, self.history)
        write_validations(validation, self.validations)
        origin = ModelOrigin(
            steps=len(self.history),
            kept_step=self.kept_step,
            made_from={"recipe": self.recipe_digest, "code": code}
            | ({"initial": bases[0].model} if bases else {}),
            bases=bases,
            files={
                HISTORY_FILE: digest_of_file(history),
                VALIDATION_FILE: digest_of_file(validation),
            },
            packages=versions_of_packages(),
            device=self.device,
        )
        write_weights(model, self.weights, origin)
        self.performance.write(performance)
