"""From the outputs of a model to predictions.

A model gives what its loss takes: a number, the logit of a class, the logarithm of a rate. Metrics
and people want a number on the scale of the target, or the probability of every class.
"""

import math

import torch
from torch import nn

from memtrain.config.types import Choice
from memtrain.recipes.recipe import TrainingRecipe

#: Losses whose outputs are the log-odds of 1 against 0.
_OF_LOG_ODDS = ("BCEWithLogitsLoss", "SoftMarginLoss", "MultiLabelSoftMarginLoss")


def predicted_numbers(loss: Choice, outputs: torch.Tensor) -> torch.Tensor:
    """Return what a regression predicts, float64 (rows, targets).

    Outputs are taken back to the scale of the target: a float target between 0 and 1 that was
    learned as log-odds is predicted by the probability.

    Args:
        loss: that the model was trained with.
        outputs: of the model, (rows, targets).
    """
    outputs = outputs.double().flatten(1)
    if loss.name in _OF_LOG_ODDS:
        return outputs.sigmoid()
    of_logarithms = loss.name == "PoissonNLLLoss" and loss.arguments.get("log_input", True)
    return outputs.exp() if of_logarithms or loss.name == "KLDivLoss" else outputs


def log_probabilities(loss: Choice, outputs: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the probability of every class, float64 (rows, classes).

    Scores that are no logits, as those of MultiMarginLoss, are taken for logits: what their
    softmax says has not been learned as a probability.

    Args:
        loss: that the model was trained with.
        outputs: of the model, (rows, classes); of a loss of two classes (rows, 1).
    """
    outputs = outputs.double().flatten(1)
    if loss.name == "NLLLoss":
        return outputs
    if loss.name in _OF_LOG_ODDS:
        return torch.cat([nn.functional.logsigmoid(-outputs), nn.functional.logsigmoid(outputs)], 1)
    if loss.name == "BCELoss":
        # As BCELoss itself: a probability that was rounded to 0 or 1 costs 100, not infinity.
        return torch.cat([(1 - outputs).log(), outputs.log()], 1).clamp(min=-100)
    return outputs.log_softmax(1)


def baseline_of(recipe: TrainingRecipe) -> torch.Tensor:
    """Return what a model says of every row that knows nothing but the training targets.

    Returns:
        float64 (1, targets), the means; or (1, classes), the logarithms of the shares of the
        classes. (NaN where there are too many classes for their statistics.)
    """
    statistics = recipe.statistics_of("target")
    if recipe.task.kind == "regression":
        return torch.from_numpy(statistics.mean)[None]
    if statistics.values is None:
        return torch.full((1, recipe.task.classes), math.nan, dtype=torch.float64)
    counts = torch.zeros(recipe.task.classes, dtype=torch.float64)
    counts[: len(statistics.values)] = torch.from_numpy(statistics.values)
    return (counts / counts.sum()).log()[None]
