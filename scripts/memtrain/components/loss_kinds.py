"""What each loss of ``torch.nn`` makes of outputs and targets.

A loss gives the outputs of a model their meaning: for MSELoss they are numbers on the scale of the
target, for BCEWithLogitsLoss the log-odds of 1 against 0. Which targets a loss allows, how outputs
become predictions, and which metrics apply all follow from its kind. The kinds are those of the
documentation of ``torch.nn``. What a loss without a kind makes of outputs is not known, so that
nothing but the loss itself is reported.
"""

from dataclasses import dataclass
from typing import Literal

from memtrain.config.types import Choice
from memtrain.data.field_statistics import FieldStatistics
from memtrain.recipes.recipe import TaskKind, TrainingRecipe

#: What the outputs of a model are. "scores" order classes without being logits, and "distances" are
#: small where the target is 1: neither is turned into probabilities.
Outputs = Literal[
    "numbers",
    "logarithms",
    "log-odds",
    "probabilities",
    "logits",
    "log-probabilities",
    "scores",
    "distances",
]

#: Which targets are allowed: any numbers, numbers from 0 on, numbers from 0 to 1, -1 or 1, or the
#: number of a class.
Targets = Literal["numbers", "from 0", "from 0 to 1", "-1 or 1", "classes"]

#: Share of the rows by which their mean square may be rounded when all targets are labels. It is
#: far above the error of sums in double precision, and far below what one other value adds.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class LossKind:
    """What a loss makes of outputs and targets.

    Attributes:
        outputs: what the outputs of a model are.
        targets: which targets the loss allows.
    """

    outputs: Outputs
    targets: Targets

    @property
    def takes_classes(self) -> bool:
        """Whether a target is the number of a class, with one output for each class."""
        return self.targets == "classes"

    @property
    def takes_two_classes(self) -> bool:
        """Whether a target may be one of two classes, with one output for both."""
        return self.labels is not None

    @property
    def labels(self) -> tuple[float, float] | None:
        """The two labels that a target of this loss may have, "no" first; None for other kinds."""
        if self.outputs not in ("log-odds", "probabilities"):
            return None
        return (-1.0, 1.0) if self.targets == "-1 or 1" else (0.0, 1.0)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest target that the loss allows."""
        highest = 1.0 if self.targets in ("from 0 to 1", "-1 or 1") else float("inf")
        lowest = {"numbers": float("-inf"), "-1 or 1": -1.0}.get(self.targets, 0.0)
        return lowest, highest


_NUMBERS = LossKind("numbers", "numbers")

_KINDS = {
    "L1Loss": _NUMBERS,
    "MSELoss": _NUMBERS,
    "SmoothL1Loss": _NUMBERS,
    "HuberLoss": _NUMBERS,
    "PoissonNLLLoss": LossKind("logarithms", "from 0"),
    "KLDivLoss": LossKind("logarithms", "from 0"),
    "CrossEntropyLoss": LossKind("logits", "classes"),
    "NLLLoss": LossKind("log-probabilities", "classes"),
    "MultiMarginLoss": LossKind("scores", "classes"),
    "BCEWithLogitsLoss": LossKind("log-odds", "from 0 to 1"),
    "BCELoss": LossKind("probabilities", "from 0 to 1"),
    "MultiLabelSoftMarginLoss": LossKind("log-odds", "from 0 to 1"),
    "SoftMarginLoss": LossKind("log-odds", "-1 or 1"),
    "HingeEmbeddingLoss": LossKind("distances", "-1 or 1"),
}

#: Losses of ``torch.nn`` that take something else than the outputs and the target of a row.
OTHER_INPUTS = {
    "CTCLoss": "the lengths of sequences",
    "CosineEmbeddingLoss": "two embeddings",
    "GaussianNLLLoss": "a variance for each output",
    "LinearCrossEntropyLoss": "the inputs of a layer of its own",
    "MarginRankingLoss": "two outputs to rank",
    "MultiLabelMarginLoss": "lists of classes",
    "TripletMarginLoss": "three embeddings",
    "TripletMarginWithDistanceLoss": "three embeddings",
}


def kind_of(choice: Choice) -> LossKind | None:
    """Return the kind of a loss; None where none is declared.

    Args:
        choice: the name of a loss of ``torch.nn``, and its arguments.
    """
    if choice.name == "PoissonNLLLoss" and not choice.arguments.get("log_input", True):
        return LossKind("numbers", "from 0")
    if choice.name == "KLDivLoss" and choice.arguments.get("log_target", False):
        # Outputs and targets are both logarithms, so that they are on the same scale already.
        return _NUMBERS
    return _KINDS.get(choice.name)


def task_of(kind: LossKind | None, recipe: TrainingRecipe, keeps_target: bool) -> TaskKind:
    """Return the kind of task that a model learns by a loss.

    Args:
        kind: kind of the loss; None where none is declared.
        recipe: training part of the recipe, which describes a row.
        keeps_target: whether the transform leaves the target as it is in the file. If not, the
            statistics say nothing about it.
    """
    if kind is None or kind.outputs == "distances":
        return "other"
    if recipe.has_ragged_target and recipe.task.kind == "regression":
        return "other"
    if recipe.task.kind == "classification":
        return "sequence" if recipe.has_sequences else "classification"
    if kind.targets == "-1 or 1":
        return "binary"
    if kind.labels and keeps_target and are_labels(recipe.statistics_of("target"), kind.labels):
        return "binary"
    return "regression"


def are_labels(statistics: FieldStatistics, labels: tuple[float, float]) -> bool:
    """Return whether all targets are one of two labels, by their statistics.

    Args:
        statistics: statistics of the targets.
        labels: the lower and the higher label.

    For values within [low, high], (value - low) * (high - value) is positive for all but the two
    labels, so that the mean of it is 0 only where all values are labels.
    """
    low, high = labels
    if (statistics.minimum < low).any() or (statistics.maximum > high).any():
        return False
    mean = statistics.mean
    variance = statistics.m2 / statistics.count.clip(1)
    return bool(((mean - low) * (high - mean) - variance <= _ROUNDING).all())


def target_problem(name: str, kind: LossKind, statistics: FieldStatistics) -> str | None:
    """Return why a loss does not allow some targets; None if it allows all of them.

    Args:
        name: name of the loss.
        kind: kind of the loss.
        statistics: statistics of the targets.
    """
    low, high = float(statistics.minimum.min()), float(statistics.maximum.max())
    lowest, highest = kind.limits
    found = f"the targets lie between {low:g} and {high:g}"
    if kind.targets == "-1 or 1" and not are_labels(statistics, (-1.0, 1.0)):
        if are_labels(statistics, (0.0, 1.0)):
            return f"{name} learns -1 or 1, and the targets are 0 or 1. Use BCEWithLogitsLoss."
        return f"{name} learns -1 or 1, and {found}. {_ADVICE}"
    if low < lowest or high > highest:
        if are_labels(statistics, (-1.0, 1.0)) and kind.labels:
            return f"{name} learns 0 or 1, and the targets are -1 or 1. Use SoftMarginLoss."
        return f"{name} learns numbers {kind.targets}, and {found}. {_ADVICE}"
    return None


_ADVICE = "Use MSELoss, or change the targets (in the data, or by a transform of your own)."
