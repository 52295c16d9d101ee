"""What metrics take of each row: a few columns, whatever the number of classes.

The columns are tensors with a row for each evaluated row, by name:

  preds, target            predicted and true numbers, float64 (rows, targets)
  true_class               true class, int64 (rows,)
  predicted_class          class with the highest probability, int64 (rows,)
  is_yes, said_yes         labels: whether the target is yes, and whether it was predicted, bool
                           (rows, targets)
  is_right                 whether the prediction is right, bool (rows, targets); of a sequence,
                           the share of its elements for which it is, float64 (rows, 1)
  log_probability          logarithm of the probability of the truth, float64 (rows, targets); of
                           a sequence, its mean over the elements, float64 (rows, 1)
  elements                 of sequences that vary in length, the number of elements, float64
                           (rows, 1), by which the means over elements count
  confidence               probability of the predicted class, or of yes, float64 (rows, targets)
  came_true                whether what the confidence speaks of is so, bool (rows, targets)

A classification has one target. The last three exist only where predictions are probabilities.
"""

import numpy as np
import torch

from memtrain.metrics.model_outputs import OutputMeaning, top_classes
from memtrain.recipes.recipe import TrainingRecipe

Columns = dict[str, torch.Tensor]


def model_columns(
    meaning: OutputMeaning,
    predictions: torch.Tensor,
    true: torch.Tensor,
    mask: torch.Tensor | None = None,
) -> Columns:
    """Return the columns of the predictions of a model.

    Args:
        meaning: what the outputs of the model mean.
        predictions: predictions and
        true: true values, both in the form that ``OutputMeaning`` gives.
        mask: where targets vary in length, the elements that are there, bool (rows, longest).
    """
    if meaning.task == "regression":
        return {"preds": predictions, "target": true}
    if meaning.task == "binary":
        return _binary_columns(true == meaning.labels[1], predictions)
    if meaning.task == "sequence":
        return _sequence_columns(predictions[..., 0], predictions[..., 1] == true, mask)
    top = top_classes(predictions)
    predicted = predictions.argmax(1) if top is None else top[:, 0]
    columns = _class_columns(true, predicted)
    if meaning.has_probabilities:
        columns |= {
            "log_probability": predictions.gather(1, true[:, None]),
            "confidence": predictions.gather(1, predicted[:, None]).exp(),
            "came_true": columns["is_right"],
        }
    return columns


class Baseline:
    """The predictions of a model that knows nothing but the training targets.

    It predicts the same for every row: the means of the targets, or the shares of the classes. For
    every element of a sequence, it predicts the shares of the classes among all elements: a unigram
    model. A class that no training row has would be impossible for it, so that each class counts as
    if it occurred once more.

    Args:
        recipe: the training part of a recipe.
        meaning: what the outputs of the model mean.
        class_counts: int64 (n,), the elements of the training targets that are of each class 0, 1,
            ... n - 1; None where they are not counted, or are no classes.
    """

    def __init__(
        self, recipe: TrainingRecipe, meaning: OutputMeaning, class_counts: np.ndarray | None
    ):
        self._meaning = meaning
        self._mean = torch.from_numpy(recipe.statistics_of("target").mean)
        self._log_shares = None
        if recipe.task.kind == "classification" and class_counts is not None:
            counts = torch.zeros(recipe.task.class_count, dtype=torch.float64)
            counts[: len(class_counts)] = torch.from_numpy(class_counts)
            counts += 1 if meaning.task == "sequence" else 0
            self._log_shares = (counts / counts.sum()).log()

    @property
    def is_known(self) -> bool:
        """Whether the baseline is known: it is not where there were too many classes to count."""
        is_of_classes = self._meaning.task in ("classification", "sequence")
        return self._log_shares is not None or not is_of_classes

    def columns(self, true: torch.Tensor, mask: torch.Tensor | None = None) -> Columns:
        """Return the columns of the baseline's predictions.

        Args:
            true: true values, in the form that ``OutputMeaning`` gives.
            mask: where targets vary in length, the elements that are there, bool (rows, longest).
        """
        if self._meaning.task == "regression":
            return {"preds": self._mean.expand(len(true), -1), "target": true}
        if self._meaning.task == "binary":
            no, yes = self._meaning.labels
            share = ((self._mean - no) / (yes - no)).expand(len(true), -1)
            log_shares = torch.stack([(1 - share).log(), share.log()], -1)
            return _binary_columns(true == yes, log_shares)
        assert self._log_shares is not None
        if self._meaning.task == "sequence":
            is_right = true == self._log_shares.argmax()
            return _sequence_columns(self._log_shares[true], is_right, mask)
        said = self._log_shares.argmax().expand(len(true))
        columns = _class_columns(true, said)
        if self._meaning.has_probabilities:
            columns |= {
                "log_probability": self._log_shares[true][:, None],
                "confidence": self._log_shares[said][:, None].exp(),
                "came_true": columns["is_right"],
            }
        return columns


def _class_columns(true: torch.Tensor, predicted: torch.Tensor) -> Columns:
    return {
        "true_class": true,
        "predicted_class": predicted,
        "is_right": (true == predicted)[:, None],
    }


def _sequence_columns(
    log_probability: torch.Tensor, is_right: torch.Tensor, mask: torch.Tensor | None
) -> Columns:
    """Return the columns of sequences.

    Args:
        log_probability: logarithms of the probabilities of the true classes, and
        is_right: whether the predicted classes are right, both (rows, elements).
        mask: the elements that are there, bool (rows, elements); None for all of them. The means of
            a row without elements are 0, and count nothing.
    """
    if mask is not None:
        elements = mask.sum(1, keepdim=True).double()
        return {
            "log_probability": _mean_of_elements(log_probability, mask, elements),
            "is_right": _mean_of_elements(is_right.double(), mask, elements),
            "elements": elements,
        }
    return {
        "log_probability": log_probability.mean(1, keepdim=True),
        "is_right": is_right.double().mean(1, keepdim=True),
    }


def _mean_of_elements(
    values: torch.Tensor, mask: torch.Tensor, elements: torch.Tensor
) -> torch.Tensor:
    return values.where(mask, 0.0).sum(1, keepdim=True) / elements.clamp(min=1)


def _binary_columns(is_yes: torch.Tensor, logarithms: torch.Tensor) -> Columns:
    """Return the columns of labels.

    Args:
        is_yes: whether the label is yes, bool (rows, targets).
        logarithms: logarithms of the probabilities of no and of yes, float64 (rows, targets, 2).
    """
    said_yes = logarithms[..., 1] > logarithms[..., 0]
    return {
        "is_yes": is_yes,
        "said_yes": said_yes,
        "is_right": is_yes == said_yes,
        "log_probability": torch.where(is_yes, logarithms[..., 1], logarithms[..., 0]),
        "confidence": logarithms[..., 1].exp(),
        "came_true": is_yes,
    }
