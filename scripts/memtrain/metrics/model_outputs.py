"""Converts the outputs of a model to predictions.

The loss decides what the outputs of a model are: numbers, logits of classes, logarithms of rates;
``components.loss_kinds`` says which. Metrics and people need numbers on the scale of the target, or
probabilities.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from memtrain.components.loss_checks import check_outputs
from memtrain.components.loss_kinds import LossKind
from memtrain.components.sequences import outputs_of_elements
from memtrain.core.errors import UserError
from memtrain.metrics.stored_probabilities import MOST_PROBABILITIES, STORED_CLASSES
from memtrain.recipes.recipe import TaskKind

#: Most bytes of the outputs that are double precision at one time, where there are many elements.
_BYTES_OF_DOUBLES = 4 << 20


@dataclass(frozen=True)
class ReadablePredictions:
    """Predictions in the form that people read.

    Attributes:
        values: numbers, probabilities or scores, float64 (rows, values).
        classes: the classes that the values belong to, int64 (rows, values), the most probable
            first; None where every class has its value, or where there are no classes.
    """

    values: torch.Tensor
    classes: torch.Tensor | None = None


@dataclass(frozen=True)
class OutputMeaning:
    """What the outputs of a model mean, by its task and its loss.

    Attributes:
        task: kind of task that the model does. For the task "other", nothing is known about the
            outputs; they are treated as numbers.
        kind: kind of the loss that the model was trained with; None where none is declared.
        name: name of that loss, for messages.
    """

    task: TaskKind
    kind: LossKind | None
    name: str

    @property
    def has_probabilities(self) -> bool:
        """Whether the predictions are probabilities: scores of classes are none."""
        is_discrete = self.task in ("classification", "binary")
        return is_discrete and self.kind is not None and self.kind.outputs != "scores"

    @property
    def labels(self) -> tuple[float, float]:
        """The two labels of the task "binary", that of no first.

        Raises:
            ValueError: if the task has none.
        """
        if self.kind is None or self.kind.labels is None:
            raise ValueError(f"the task {self.task!r} has no labels")
        return self.kind.labels

    def predictions(self, outputs: torch.Tensor, true_values: torch.Tensor) -> torch.Tensor:
        """Convert outputs to predictions in the form that metrics take.

        Args:
            outputs: the outputs of the model, (rows, outputs); for rows of elements, see
                ``outputs_of_elements``.
            true_values: the true values, in the form that metrics take. Of sequences, only the
                probabilities of the true classes are kept.

        Returns:
            float64: the predicted numbers, (rows, targets); the log-probabilities of the classes,
            or their scores, (rows, classes); the log-probabilities of no and yes,
            (rows, targets, 2); or, for every element of a sequence, the log-probability of its true
            class and the number of the most probable one, (rows, elements, 2).

        Raises:
            UserError: if the outputs are no log-probabilities, or no probabilities, but the loss
                takes them for such.
        """
        if self.kind is not None and self.task == "sequence":
            return predicted_elements(self.kind, outputs, true_values)
        if self.kind is not None:
            check_outputs("training.loss", self.name, self.kind, outputs)
        if self.kind is not None and self.task == "classification":
            return class_scores(self.kind, outputs)
        if self.kind is not None and self.task == "binary":
            return log_no_and_yes(self.kind, outputs)
        return predicted_numbers(self.kind, outputs)

    def true_values(self, target: torch.Tensor) -> torch.Tensor:
        """Convert targets to the form that metrics take.

        Args:
            target: the targets as they come from the file or the transform, (rows, targets).

        Returns:
            The true numbers or labels, float64 (rows, targets); or the true classes, int64 (rows,),
            of sequences int64 (rows, elements).

        Raises:
            UserError: if a target of the task "binary" is neither of the two labels.
        """
        if self.task == "classification":
            return target.reshape(-1).long()
        if self.task == "sequence":
            return target.flatten(1).long()
        values = target.double().flatten(1)
        if self.task == "binary":
            no, yes = self.labels
            others = values[(values != no) & (values != yes)]
            if len(others):
                raise UserError(
                    f"training.loss: {self.name} learned the labels {no:g} and {yes:g}, but an "
                    f"evaluation row has the target {others[0].item()!r}. Evaluate on rows of the "
                    "same kind."
                )
        return values

    def readable(self, predictions: torch.Tensor) -> ReadablePredictions:
        """Convert predictions from the form that metrics take to the form that people read.

        Args:
            predictions: predictions in the form that metrics take.
        """
        if self.task == "binary":
            return ReadablePredictions(predictions[..., 1].exp())
        if self.task != "classification":
            return ReadablePredictions(predictions)
        top = top_classes(predictions)
        values = predictions if top is None else predictions.gather(1, top)
        return ReadablePredictions(values.exp() if self.has_probabilities else values, top)


def top_classes(scores: torch.Tensor) -> torch.Tensor | None:
    """Return the most probable classes, int64 (rows, ``STORED_CLASSES``), the best first.

    Args:
        scores: log-probabilities or scores, float64 (rows, classes).

    Returns:
        None where there are so few classes that the probabilities of all of them are stored.
    """
    if scores.shape[1] <= MOST_PROBABILITIES:
        return None
    values, classes = scores.topk(STORED_CLASSES, dim=1)
    # topk leaves the order of equal values open: the lower class comes first.
    order = classes.argsort(dim=1, stable=True)
    values, classes = values.gather(1, order), classes.gather(1, order)
    return classes.gather(1, values.argsort(dim=1, descending=True, stable=True))


def predicted_numbers(kind: LossKind | None, outputs: torch.Tensor) -> torch.Tensor:
    """Return the predictions of a regression, float64 (rows, targets).

    They are on the scale of the target: if the model learned a float target between 0 and 1 as
    log-odds, the prediction is the probability.

    Args:
        kind: kind of the loss that the model was trained with; None where none is declared.
        outputs: the outputs of the model, (rows, targets).
    """
    outputs = outputs.double().flatten(1)
    if kind is not None and kind.outputs == "log-odds":
        return outputs.sigmoid()
    return outputs.exp() if kind is not None and kind.outputs == "logarithms" else outputs


def class_scores(kind: LossKind, outputs: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of every class, or its score, float64 (rows, classes).

    Args:
        kind: kind of the loss that the model was trained with.
        outputs: the outputs of the model, (rows, classes); or (rows, 1) where the loss takes
            one output for two classes.
    """
    if kind.takes_two_classes:
        return log_no_and_yes(kind, outputs)[:, 0]
    return _log_probabilities(kind, outputs.double().flatten(1))


def class_probabilities(kind: LossKind, outputs: torch.Tensor) -> torch.Tensor:
    """Return the probability of every class of each element, or its score, float64 (..., classes).

    Args:
        kind: kind of the loss that the model was trained with.
        outputs: the outputs of the model, (..., classes).
    """
    scores = _log_probabilities(kind, outputs.double())
    return scores if kind.outputs == "scores" else scores.exp()


def predicted_elements(
    kind: LossKind, outputs: torch.Tensor, true_classes: torch.Tensor
) -> torch.Tensor:
    """Return what a model says of every element of a sequence, float64 (rows, elements, 2).

    The first number is the log-probability of the true class, the second the most probable class.

    Args:
        kind: kind of the loss that the model was trained with.
        outputs: the outputs of the model; see ``outputs_of_elements``.
        true_classes: the true classes, int64 (rows, elements).
    """
    flat = outputs_of_elements(outputs, true_classes.shape[1])
    found = torch.empty(len(flat), 2, dtype=torch.float64)
    first = 0
    for logarithms in _scores_of_elements(kind, flat):
        place = slice(first, first + len(logarithms))
        true = true_classes.reshape(-1)[place]
        found[place, 0] = logarithms.gather(1, true[:, None])[:, 0]
        found[place, 1] = logarithms.argmax(1)
        first += len(logarithms)
    return found.reshape(*true_classes.shape, 2)


def most_probable_classes(
    kind: LossKind, outputs: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the most probable class of every element and its probability, or its score.

    Args:
        kind: kind of the loss that the model was trained with.
        outputs: the outputs of the model, (elements, classes).

    Returns:
        The classes, int64 (elements,), and the probabilities, float64 (elements,).
    """
    classes = torch.empty(len(outputs), dtype=torch.int64)
    values = torch.empty(len(outputs), dtype=torch.float64)
    first = 0
    for scores in _scores_of_elements(kind, outputs):
        place = slice(first, first + len(scores))
        classes[place] = scores.argmax(1)
        values[place] = scores.gather(1, classes[place, None])[:, 0]
        first += len(scores)
    return classes, values if kind.outputs == "scores" else values.exp()


def _scores_of_elements(kind: LossKind, outputs: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the log-probabilities, or scores, of all classes, some elements at a time.

    Args:
        kind: kind of the loss that the model was trained with.
        outputs: the outputs of the model, (elements, classes).
    """
    size = max(1, _BYTES_OF_DOUBLES // (8 * outputs.shape[1]))
    for scores in outputs.split(size) if len(outputs) else ():
        yield _log_probabilities(kind, scores.double())


def _log_probabilities(kind: LossKind, outputs: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the probability of every class, or its score, (..., classes)."""
    return outputs.log_softmax(-1) if kind.outputs == "logits" else outputs


def log_no_and_yes(kind: LossKind, outputs: torch.Tensor) -> torch.Tensor:
    """Return the logarithms of the probabilities of no and of yes, float64 (rows, targets, 2).

    Args:
        kind: kind of the loss that the model was trained with.
        outputs: log-odds or probabilities of yes, (rows, targets).
    """
    outputs = outputs.double().flatten(1)
    if kind.outputs == "probabilities":
        # As in BCELoss itself, a probability that was rounded to 0 costs 100, and not infinity.
        return torch.stack([(-outputs).log1p(), outputs.log()], -1).clamp(min=-100)
    log_sigmoid = nn.functional.logsigmoid
    return torch.stack([log_sigmoid(-outputs), log_sigmoid(outputs)], -1)
