"""Converts the outputs of a model to predictions.

The loss decides what the outputs of a model are: numbers, logits of classes, logarithms of rates.
Metrics and people need numbers on the scale of the target, or the probability of every class.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from memtrain.config.types import Choice
from memtrain.evaluation.result import TaskKind
from memtrain.recipes.recipe import TrainingRecipe

#: Losses that take the outputs of a model as the log-odds of 1 against 0.
_LOG_ODDS_LOSSES = ("BCEWithLogitsLoss", "SoftMarginLoss", "MultiLabelSoftMarginLoss")


@dataclass(frozen=True)
class OutputMeaning:
    """What the outputs of a model mean, by its task and its loss.

    Attributes:
        task: kind of task that the model does. For the task "other", nothing is known about the
            outputs; they are treated as numbers.
        loss: the loss that the model was trained with.
    """

    task: TaskKind
    loss: Choice

    def predictions(self, outputs: torch.Tensor) -> torch.Tensor:
        """Convert outputs to predictions in the form that metrics take.

        Args:
            outputs: the outputs of the model, (rows, outputs).

        Returns:
            The predicted numbers, float64 (rows, targets); or the log-probabilities of the classes,
            float64 (rows, classes).
        """
        if self.task == "classification":
            return log_probabilities(self.loss, outputs)
        return predicted_numbers(self.loss, outputs)

    def true_values(self, target: torch.Tensor) -> torch.Tensor:
        """Convert targets to the form that metrics take.

        Args:
            target: the targets as they come from the file or the transform, (rows, targets).

        Returns:
            The true numbers, float64 (rows, targets); or the true classes, int64 (rows,).
        """
        if self.task == "classification":
            return target.reshape(-1).long()
        return target.double().flatten(1)

    def readable_predictions(self, predictions: torch.Tensor) -> torch.Tensor:
        """Convert predictions from the form that metrics take to the form that people read.

        Args:
            predictions: predictions in the form that metrics take.

        Returns:
            The probabilities of the classes; predicted numbers as they are.
        """
        return predictions.exp() if self.task == "classification" else predictions


def predicted_numbers(loss: Choice, outputs: torch.Tensor) -> torch.Tensor:
    """Return the predictions of a regression, float64 (rows, targets).

    They are on the scale of the target: if the model learned a float target between 0 and 1 as
    log-odds, the prediction is the probability.

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

    Scores that are not logits, like those learned with MultiMarginLoss, are treated as logits,
    although training did not make a probability of their softmax.

    Args:
        loss: the loss that the model was trained with.
        outputs: the outputs of the model, (rows, classes); or (rows, 1) where the loss takes
            one output for two classes.
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
    """Return the prediction of the baseline, a model that knows nothing but the training targets.

    The baseline predicts the same for every row.

    Args:
        recipe: the training part of a recipe.

    Returns:
        The means of the targets, float64 (1, targets); or the logarithms of the shares of the
        classes, float64 (1, classes), which are NaN if there were too many classes to count.
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
