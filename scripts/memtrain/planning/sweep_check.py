"""Checks that the trainings of a sweep can be compared by the metric that it names."""

from memtrain.config.schema import Configuration
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.planning.known_metrics import known_metrics
from memtrain.recipes.recipe import Recipe


def check_sweep_metric(configuration: Configuration, recipe: Recipe, data: str) -> None:
    """Refuse a metric that evaluations of this task do not have, before anything is trained.

    Args:
        configuration: configuration, which may have a sweep.
        recipe: recipe of one of its trainings; one that is not swept, or has no evaluation rows, is
            not looked at.
        data: path of the record file.

    Raises:
        UserError: with the metric and those that there are.
    """
    sweep, evaluation = configuration.sweep, recipe.evaluation
    if sweep is None or evaluation is None or not configuration.trainings[recipe.split].settings:
        return
    metric = sweep.metric
    if metric in (None, "loss", *evaluation.settings.metrics):
        return
    found = known_metrics(recipe.training, evaluation.rows, data)
    known = ["loss", *found.of_sums, *found.of_order, *evaluation.settings.metrics]
    if metric not in known:
        raise UserError(
            f"sweep.metric: found {metric}, which evaluations of these models will not have; they "
            f"will have {listed(known)}."
        )
