"""The figures of one split, the same three for every task."""

import os
from pathlib import Path

from memtrain.evaluation.histograms import Predictions
from memtrain.evaluation.result import Evaluation
from memtrain.recipes.recipe import Recipe
from memtrain.reporting.figures.classification import draw_classification
from memtrain.reporting.figures.learning_curve import draw_learning_curve
from memtrain.reporting.figures.regression import draw_regression
from memtrain.reporting.figures.style import Head, figure, say_nothing_to_draw, shortened
from memtrain.training.history import History

_LONGEST_NAME = 20


def draw_evaluation(
    folder: str | os.PathLike,
    recipe: Recipe,
    evaluation: Evaluation,
    predictions: str | os.PathLike,
    history: History,
) -> None:
    """Write ``predicted_against_true.png``, ``residuals.png`` and ``learning_curve.png``.

    Args:
        folder: where to.
        recipe: of the split.
        evaluation: of its model.
        predictions: the file of the predictions.
        history: of the training.
    """
    training = recipe.training
    name = shortened(evaluation.split, _LONGEST_NAME)
    title = f"{name}: {evaluation.describe(evaluation.main_metric)}"
    rows = f"{evaluation.rows:,} rows evaluated, {training.rows.count:,} trained on"
    if evaluation.task == "other":
        _draw_nothing(folder, Head(title, rows))
    elif evaluation.task == "classification":
        classes = recipe.evaluation.class_names or list(map(str, range(training.task.classes)))
        draw_classification(folder, Head(title, rows), classes, Predictions(predictions))
    else:
        draw_regression(folder, Head(title, rows), training.task.target, Predictions(predictions))
    epochs, steps = int(history.epoch[-1]), history.steps
    trained = f"{training.rows.count:,} rows trained on in {epochs:,} epochs, {steps:,} steps"
    curve = Path(folder) / "learning_curve.png"
    draw_learning_curve(curve, Head(title, trained), training, evaluation, history)


def _draw_nothing(folder: str | os.PathLike, head: Head) -> None:
    """Write the figures of a model whose outputs are no predictions of the target."""
    for name in ("predicted_against_true", "residuals"):
        with figure(Path(folder) / f"{name}.png", 6.4, 2.4, head) as drawn:
            say_nothing_to_draw(
                drawn.subplots(), "What this model gives is no prediction of the target."
            )
