"""Finds which metrics the rows of a split will have, before a model is trained."""

from dataclasses import dataclass

import torch

from memtrain.components.build import build_model_parts
from memtrain.components.rows import open_rows
from memtrain.recipes.recipe import Rows, TrainingRecipe

#: The metrics that follow from the order of all scores, which evaluations alone have.
_OF_ORDER = ("auroc", "average_precision")


@dataclass(frozen=True)
class KnownMetrics:
    """The metrics that memtrain computes of some rows.

    Attributes:
        of_sums: those that are sums over rows, which validations have, too.
        of_order: those of the order of all scores.
    """

    of_sums: tuple[str, ...]
    of_order: tuple[str, ...]


def known_metrics(recipe: TrainingRecipe, rows: Rows, data: str) -> KnownMetrics:
    """Return the metrics of rows, as the first of them and the model of a recipe tell.

    Args:
        recipe: training part of a recipe, whose parts fit together.
        rows: the rows that the model would be judged by.
        data: path of the record file.
    """
    # Imported here, since the packages of the metrics take a second, which most splits save.
    from memtrain.metrics.metric_sums import MetricSums
    from memtrain.metrics.scorer import Scorer

    device = torch.device("cpu")
    with torch.random.fork_rng([]):
        parts = build_model_parts(recipe, device)
        parts.model.eval()
        dataset = open_rows(data, recipe, rows, parts.transform, float64=True)
        scorer = Scorer(recipe, parts, dataset, rows, device)
        of_sums = MetricSums(recipe, scorer.meaning, scorer.example).names
    return KnownMetrics(of_sums, _OF_ORDER if scorer.meaning.has_probabilities else ())
