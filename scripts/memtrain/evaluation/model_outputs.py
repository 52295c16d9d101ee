"""From the outputs of a model to predictions.

A model gives what its loss takes: a number, the logit of a class, the logarithm of a rate. Metrics
and people want a number on the scale of the target, or the probability of every class.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from memtrain.config.types import Choice
from memtrain.evaluation.result import TaskKind
from memtrain.recipes.recipe import TrainingRecipe

#: Losses whose outputs are the log-odds of 1 against 0.
_LOG_ODDS_LOSSES = ("BCEWithLogitsLoss", "SoftMarginLoss", "MultiLabelSoftMarginLoss")


@dataclass(frozen=True)
class OutputMeaning:
    """What the outputs of a model mean, by its task and its loss.

    Attributes:
        task: what the model does. Nothing is known of the outputs of the task "other", which are
            taken for numbers.
        loss: the loss that the model was trained with.
    """

    task: TaskKind
    loss: Choice

    def predicted(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return predictions in the form that metrics take.

        Args:
            outputs: the outputs of the model, (rows, outputs).

        Returns:
            float64 (rows, targets), numbers; or (rows, classes), log-probabilities.
        """
        if self.task == "classification":
            return log_probabilities(self.loss, outputs)
        return predicted_numbers(self.loss, outputs)

    def true(self, target: torch.Tensor) -> torch.Tensor:
        """Return targets in the form that metrics take.

        Args:
            target: the targets as they come from the file or the transform, (rows, targets).

        Returns:
            float64 (rows, targets), numbers; or int64 (rows,), classes.
        """
        if self.task == "classification":
            return target.reshape(-1).long()
        return target.double().flatten(1)

    def written(self, predicted: torch.Tensor) -> torch.Tensor:
        """Return what ``predicted`` gave in the form that people read: probabilities of classes."""
        return predicted.exp() if self.task == "classification" else predicted


def predicted_numbers(loss: Choice, outputs: torch.Tensor) -> torch.Tensor:
    """Return what a regression predicts, float64 (rows, targets).

    Outputs are taken back to the scale of the target: if a float target between 0 and 1 was learned
    as log-odds, the probability is the prediction.

    Args:
        loss: the loss that the model was trained with.
        outputs: the outputs of the model, (rows, targets).
    """
    outputs = outputs.double().flatten(1)
    if loss.name in _LOG_ODDS_LOSSES:
        return outputs.sigmoid()
    is_log_rate = loss.name == "PoissonNLLLoss" and loss.arguments.get("log_input", True)
    return outputs.exp() if is_log_rate or loss.name == "KLDivLoss" else outputs


def log_probabilities(loss: Choice, outputs: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the probability of every class, float64 (rows, classes).

    Scores that are no logits, like those of MultiMarginLoss, are treated as logits; their softmax
    was not learned as a probability.

    Args:
        loss: the loss that the model was trained with.
        outputs: the outputs of the model, (rows, classes); or (rows, 1) where the loss is of two
            classes.
    """
    outputs = outputs.double().flatten(1)
    if loss.name == "NLLLoss":
        return outputs
    if loss.name in _LOG_ODDS_LOSSES:
        return torch.cat([nn.functional.logsigmoid(-outputs), nn.functional.logsigmoid(outputs)], 1)
    if loss.name == "BCELoss":
        # As in BCELoss itself, a probability that was rounded to 0 costs 100, and not infinity.
        return torch.cat([(1 - outputs).log(), outputs.log()], 1).clamp(min=-100)
    return outputs.log_softmax(1)


def baseline_prediction(recipe: TrainingRecipe) -> torch.Tensor:
    """Return what a model predicts for every row that knows nothing but the training targets.

    Args:
        recipe: the training part of a recipe.

    Returns:
        float64 (1, targets), the means; or (1, classes), the logarithms of the shares of the
        classes, which are NaN if there are too many classes to have been counted.
    """
    statistics = recipe.statistics_of("target")
    if recipe.task.kind == "regression":
        return torch.from_numpy(statistics.mean)[None]
    classes = recipe.task.class_count
    if statistics.values is None:
        return torch.full((1, classes), math.nan, dtype=torch.float64)
    counts = torch.zeros(classes, dtype=torch.float64)
    counts[: len(statistics.values)] = torch.from_numpy(statistics.values)
    return (counts / counts.sum()).log()[None]
