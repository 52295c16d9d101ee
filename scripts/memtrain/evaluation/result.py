"""``evaluation.json``: how good the model of a split is on its evaluation rows."""

import os

from pydantic import Field, ValidationError

from memtrain.config.types import Settings
from memtrain.core.errors import UserError
from memtrain.core.number_format import format_with_error
from memtrain.recipes.recipe import Recipe, TaskKind
from memtrain.system import checked_json

#: What people call the metrics of a task. Splits are compared by the first one. A metric that does
#: not apply, like the cross entropy of scores that are no probabilities, is left out.
METRIC_LABELS: dict[TaskKind, dict[str, str]] = {
    "regression": {"r2": "R²", "rmse": "RMSE", "mae": "MAE", "mse": "MSE"},
    "classification": {
        "accuracy": "accuracy",
        "f1": "F1",
        "cross_entropy": "cross entropy",
        "auroc": "AUROC",
        "average_precision": "average precision",
        "calibration_error": "calibration error",
    },
    "sequence": {
        "bits_per_element": "bits per element",
        "perplexity": "perplexity",
        "cross_entropy": "cross entropy",
        "accuracy": "accuracy",
    },
    "other": {"loss": "loss"},
}
METRIC_LABELS["binary"] = METRIC_LABELS["classification"]

#: What people call a metric of sequences whose elements are bytes.
_LABELS_OF_BYTES = {"bits_per_element": "bits per byte"}

#: The main metrics of which less is better.
_LESS_IS_BETTER = ("loss", "bits_per_element")

#: Metrics by name; null where a metric is not defined or not finite.
Metrics = dict[str, float | None]


class TargetEvaluation(Settings):
    """The evaluation of one of several targets.

    Attributes:
        metrics: the metrics of the target.
        errors: the standard errors of the metrics; null without resamples.
        baseline: the metrics of the baseline for the target.
    """

    metrics: Metrics
    errors: Metrics
    baseline: Metrics


class ClassEvaluation(Settings):
    """The evaluation of one class.

    Attributes:
        name: word of the class; its number where it has none.
        rows: evaluation rows of the class.
        predicted: rows that are predicted as it.
        precision: share of the rows predicted as it that are of it; null without such rows.
        recall: share of the rows of it that are predicted as it; null without such rows.
        f1: the harmonic mean of the two; null for a class that does not occur.
    """

    name: str
    rows: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


class Confusion(Settings):
    """Rows of one class that are predicted as another.

    Attributes:
        true: word of the true class.
        predicted: word of the predicted class.
        rows: number of rows.
    """

    true: str
    predicted: str
    rows: int


class Evaluation(Settings):
    """The evaluation of a split, which depends on recipe, model and code alone.

    A number that is not finite or not defined, like R² of a constant target, is null.

    Attributes:
        split: the name of the split.
        task: kind of task that the model does. For the task "other", only the loss is known, and
            has no standard error.
        rows: the number of evaluation rows.
        ranges: the ranges of these rows.
        nonfinite_rows: the number of rows whose predictions are NaN or infinite. If there are any,
            all metrics are null.
        metrics: the metrics; with several targets, the means over the targets.
        errors: the standard errors of the metrics; null without resamples.
        baseline: the metrics of a model that knows nothing but the training targets: it always
            predicts their mean, or the shares of their classes.
        loss: the mean training loss of a row; of a row of elements, that is their mean.
        lowest_loss: the lowest mean squared error, or cross entropy, that any model can reach;
            null where it is not known.
        ratio_to_lowest_loss: the model's mean squared error, or cross entropy, divided by
            ``lowest_loss``; null where that is null or 0.
        recipe: the digest of the recipe that the model was trained with.
        evaluation_recipe: the digest of the recipe of the evaluation.
        parameters: the number of trained parameters.
        steps: the number of optimizer steps of the training.
        per_target: the metrics of every target, by its name; null for a single target.
        per_class: the evaluation of every class, in the order of the classes; of more than 1,000
            classes, those with the most rows. Null for other tasks.
        confusions: the pairs of classes that are confused most, at most 20; null for other tasks.
        elements_are_bytes: whether rows are sequences of bytes.
        made_from: digests of what the evaluation was made from; see ``data.made_from``.
        files: digest of the file of the predictions, by its name.
        packages: versions of packages that it was made with.
        device: "cpu" or "cuda".
    """

    split: str
    task: TaskKind
    rows: int
    ranges: list[tuple[int, int]]
    nonfinite_rows: int
    metrics: Metrics
    errors: Metrics
    baseline: Metrics
    loss: float | None
    lowest_loss: float | None
    ratio_to_lowest_loss: float | None
    recipe: str
    evaluation_recipe: str
    parameters: int
    steps: int
    per_target: dict[str, TargetEvaluation] | None = None
    per_class: list[ClassEvaluation] | None = None
    confusions: list[Confusion] | None = None
    elements_are_bytes: bool = False
    made_from: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    device: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What people call the metrics, by their names; the main metric comes first."""
        known = METRIC_LABELS[self.task]
        if self.elements_are_bytes:
            known = known | _LABELS_OF_BYTES
        own = sorted(name for name in self.metrics if name not in known)
        return {name: known[name] for name in known if name in self.metrics} | {
            name: name for name in own
        }

    @property
    def main_metric(self) -> str:
        """The name of the metric by which splits are compared."""
        return next(iter(self.labels))

    @property
    def merit(self) -> float | None:
        """The main metric, negated where less is better; None where it is not defined."""
        value = self.metrics[self.main_metric]
        return -value if value is not None and self.less_is_better else value

    @property
    def less_is_better(self) -> bool:
        """Whether the model with the least main metric is the best."""
        return self.main_metric in _LESS_IS_BETTER

    @property
    def is_worse_than_baseline(self) -> bool:
        """Whether a model that knows nothing but the mean, or the shares of the classes, is better.

        Models are compared by the main metric. Where the baseline is not known, an R² below 0 says
        the same: 0 is that of the mean of the rows that are evaluated.
        """
        value = self.metrics[self.main_metric]
        if value is None or self.task == "other":
            return False
        baseline = self.baseline.get(self.main_metric)
        if baseline is None:
            return self.task == "regression" and value < 0
        return value > baseline if self.less_is_better else value < baseline

    def describe(self, metric: str) -> str:
        """Return a metric as people read it: "R² 0.912 ± 0.004"."""
        return (
            f"{self.labels[metric]} {format_with_error(self.metrics[metric], self.errors[metric])}"
        )

    def check_recipe(self, recipe: Recipe, path: str | os.PathLike) -> None:
        """Check that this evaluation was made with a recipe.

        Args:
            recipe: the recipe of the split, as it is now.
            path: the file of this evaluation, for the message.

        Raises:
            UserError: if the evaluation was made with another recipe.
        """
        digests = (recipe.digest("training"), recipe.digest("evaluation"))
        if digests != (self.recipe, self.evaluation_recipe):
            raise UserError(
                f"{path}: this evaluation was made with another recipe than the one that split "
                f"{recipe.split} has now. Run train and evaluate again."
            )

    def write(self, path: str | os.PathLike) -> None:
        """Write the evaluation as canonical JSON with a checksum."""
        checked_json.write(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Evaluation":
        """Read an evaluation.

        Raises:
            UserError: if the file is missing or damaged.
        """
        content = checked_json.read(path, made_by="evaluate")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(
                f"{path}: this is not an evaluation of this version of memtrain "
                f"({'.'.join(map(str, first['loc']))}: {first['msg']}). Remove it and run evaluate "
                "again."
            ) from None
