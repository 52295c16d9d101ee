"""The figures of one split: the same three files for every task."""

import os
from collections.abc import Sequence
from pathlib import Path

from memtrain.core.wording import without_middle
from memtrain.evaluation.predictions import Predictions
from memtrain.evaluation.result import Evaluation
from memtrain.recipes.recipe import Recipe
from memtrain.reporting.figures.binary import draw_binary
from memtrain.reporting.figures.classification import draw_classification
from memtrain.reporting.figures.learning_curve import draw_learning_curve
from memtrain.reporting.figures.regression import draw_regression
from memtrain.reporting.figures.sequences import draw_sequences
from memtrain.reporting.figures.style import Heading, figure, say_nothing_to_draw
from memtrain.training.history import History
from memtrain.training.validation_history import ValidationRecord

_LONGEST_NAME = 36


def draw_split(
    folder: str | os.PathLike,
    *,
    recipe: Recipe,
    evaluation: Evaluation,
    predictions: Predictions,
    history: History,
    validations: Sequence[ValidationRecord],
) -> list[Path]:
    """Draw the figures of a split.

    Args:
        folder: the folder to draw in.
        recipe: the recipe of the split, which has an evaluation.
        evaluation: the evaluation of the model.
        predictions: the predictions of the model.
        history: the history of the training.
        validations: the validations of the training.

    Returns:
        The files ``predictions.png``, ``errors.png`` and ``learning_curve.png`` in that folder.
    """
    paths = [Path(folder, f"{name}.png") for name in ("predictions", "errors", "learning_curve")]
    predictions_path, errors_path, curve_path = paths
    _draw_evaluation(
        predictions_path=predictions_path,
        errors_path=errors_path,
        recipe=recipe,
        evaluation=evaluation,
        predictions=predictions,
    )
    draw_learning_curve(
        curve_path,
        heading=_training_heading(recipe, evaluation, history),
        recipe=recipe.training,
        evaluation=evaluation,
        history=history,
        validations=validations,
    )
    return paths


def _draw_evaluation(
    *,
    predictions_path: Path,
    errors_path: Path,
    recipe: Recipe,
    evaluation: Evaluation,
    predictions: Predictions,
) -> None:
    """Draw the figures of the predictions and of their errors, which depend on the task."""
    heading = _evaluation_heading(recipe, evaluation)
    if evaluation.task == "regression":
        draw_regression(
            predictions_path=predictions_path,
            errors_path=errors_path,
            heading=heading,
            targets=recipe.training.task.target,
            predictions=predictions,
        )
    elif evaluation.task == "binary":
        draw_binary(
            predictions_path=predictions_path,
            errors_path=errors_path,
            heading=heading,
            targets=recipe.training.task.target,
            predictions=predictions,
        )
    elif evaluation.task == "sequence":
        draw_sequences(
            predictions_path=predictions_path,
            errors_path=errors_path,
            heading=heading,
            evaluation=evaluation,
            predictions=predictions,
        )
    elif evaluation.task == "classification":
        draw_classification(
            predictions_path=predictions_path,
            errors_path=errors_path,
            heading=heading,
            classes=_class_names(recipe),
            confusions=evaluation.confusions or [],
            are_probabilities="cross_entropy" in evaluation.metrics,
            predictions=predictions,
        )
    else:
        _draw_nothing(predictions_path, heading.showing("predictions"))
        _draw_nothing(errors_path, heading.showing("errors"))


def _evaluation_heading(recipe: Recipe, evaluation: Evaluation) -> Heading:
    """Return the heading of the figures that show evaluation rows."""
    quality = evaluation.describe(evaluation.main_metric)
    rows_trained = recipe.training.rows.count
    return Heading(
        without_middle(evaluation.split, _LONGEST_NAME),
        f"{quality}; {evaluation.rows:,} rows evaluated, {rows_trained:,} trained on",
    )


def _training_heading(recipe: Recipe, evaluation: Evaluation, history: History) -> Heading:
    epochs, rows = int(history.epoch[-1]), recipe.training.rows.count
    return Heading(
        without_middle(evaluation.split, _LONGEST_NAME),
        f"{rows:,} rows trained on in {epochs:,} epoch{'s' if epochs > 1 else ''}, "
        f"{history.steps:,} step{'s' if history.steps > 1 else ''}",
    ).showing("learning curve")


def _class_names(recipe: Recipe) -> list[str]:
    """Return the names of the classes; their numbers where they have no names."""
    numbers = range(recipe.training.task.class_count)
    return recipe.needed_evaluation().class_names or [str(number) for number in numbers]


def _draw_nothing(path: Path, heading: Heading) -> None:
    """Write the figure for a model whose outputs nobody has said the meaning of."""
    with figure(path, 6.4, 2.4, heading) as drawn:
        reason = "What the outputs of this model mean is not declared."
        say_nothing_to_draw(drawn.subplots(), reason)
