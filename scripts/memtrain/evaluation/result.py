"""``evaluation.json``: how good the model of a split is on its evaluation rows."""

import os
from typing import Literal

from pydantic import ValidationError

from memtrain.config.types import Settings
from memtrain.core.errors import UserError
from memtrain.core.number_format import rounded
from memtrain.recipes.recipe import Recipe
from memtrain.system import canonical_json

#: What people call the metrics of a task; the first is the one that splits are compared by.
METRIC_LABELS = {
    "regression": {"r2": "R²", "rmse": "RMSE", "mae": "MAE", "mse": "MSE"},
    "classification": {"accuracy": "accuracy", "f1": "F1", "cross_entropy": "cross entropy"},
    "other": {"loss": "loss"},
}

Metrics = dict[str, float | None]


class TargetEvaluation(Settings):
    """The metrics of one of several targets."""

    metrics: Metrics
    errors: Metrics
    baseline: Metrics


class Evaluation(Settings):
    """The evaluation of a split: a function of recipe, model and code alone.

    A number that is not finite, or not defined (R² of a constant target), is null.

    Attributes:
        split: its name.
        task: what the model does: predict numbers or classes, or something else, which a loss of
            the user's own made it learn (an autoencoder gives its features back). Of that only the
            loss is known, without a standard error: such a loss gives sums, not the loss of a row.
        rows: how many rows the model was evaluated on.
        ranges: of these rows.
        nonfinite_rows: how many predictions are NaN or infinite. If any, all metrics are null.
        metrics: by name; of several targets the means over the targets.
        errors: their standard errors; null without resamples.
        baseline: the metrics of a model that knows nothing but the training targets: it predicts
            their mean, or their shares of the classes.
        loss: the mean training loss of a row.
        lowest_loss: the lowest mean squared error, or cross entropy, that any model can reach;
            null where it is not known.
        ratio_to_lowest_loss: how many times that the model's is; null also where that is 0.
        recipe: digest of the recipe that the model was trained by.
        evaluation_recipe: digest of the recipe of the evaluation.
        parameters: how many numbers were trained.
        steps: optimizer steps of the training.
        per_target: by the name of the target, where there are several; else null.
    """

    split: str
    task: Literal["regression", "classification", "other"]
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

    @property
    def labels(self) -> dict[str, str]:
        """The names of the metrics, the main one first, and what people call them."""
        return METRIC_LABELS[self.task]

    @property
    def main_metric(self) -> str:
        """The metric that splits are compared by."""
        return next(iter(self.labels))

    @property
    def merit(self) -> float | None:
        """The main metric, or its negative where less is better; None where it is not defined."""
        value = self.metrics[self.main_metric]
        return -value if value is not None and self.task == "other" else value

    def describe(self, metric: str) -> str:
        """Return a metric as people read it: "R² 0.912 ± 0.004"."""
        return f"{self.labels[metric]} {rounded(self.metrics[metric], self.errors[metric])}"

    def write(self, path: str | os.PathLike) -> None:
        """Write the evaluation as canonical JSON."""
        canonical_json.write(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Evaluation":
        """Read what ``write`` wrote.

        Raises:
            UserError: where the file is missing or damaged.
        """
        content = canonical_json.read(path, made_by="evaluate")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(
                f"{path}: this is not an evaluation of this version of memtrain "
                f"({'.'.join(map(str, first['loc']))}: {first['msg']}). Remove it and run evaluate "
                "again."
            ) from None

    def check_recipe(self, recipe: Recipe, path: str | os.PathLike) -> None:
        """Check that a recipe is the one that this evaluation was made by.

        Args:
            recipe: the recipe of the split, as it is now.
            path: the file of this evaluation, for the message.

        Raises:
            UserError: where it is another.
        """
        digests = (recipe.digest("training"), recipe.digest("evaluation"))
        if digests != (self.recipe, self.evaluation_recipe):
            raise UserError(
                f"{path}: it was made by another recipe than the one that split {recipe.split} "
                "has now. Run train and evaluate again."
            )
