"""Tells of trainings that would take months or years, before they begin."""

from memtrain.core.wording import counted
from memtrain.recipes.recipe import Recipe
from memtrain.recipes.recipe_facts import Workload
from memtrain.workflow.job_resources import OPERATIONS_PER_SECOND, seconds_of_training

_SECONDS_PER_DAY = 24 * 60 * 60
_DAYS_PER_YEAR = 365.25

#: A training that takes longer is told.
_MOST_DAYS = 30

#: Speed of the sums and products of a model on a fast GPU.
_GPU_OPERATIONS_PER_SECOND = 1e14


def describe_long_training(recipe: Recipe) -> str | None:
    """Return a warning if a training would take more than a month; else None.

    Unless the recipe asks for the CPU, the model is taken to compute on a fast GPU, so that no
    training that a GPU can do in time is warned of.
    """
    settings, sizes = recipe.training.settings, recipe.training.sizes
    speed = OPERATIONS_PER_SECOND if settings.device == "cpu" else _GPU_OPERATIONS_PER_SECOND
    days = seconds_of_training(Workload.of(recipe), speed) / _SECONDS_PER_DAY
    if days <= _MOST_DAYS:
        return None
    return (
        f"splits.{recipe.split}: training.epochs: {counted(settings.epochs, 'epoch')} of "
        f"{counted(sizes.rows, 'row')} are {counted(sizes.steps, 'step')}, about "
        f"{_days_or_years(days)} in one process, by the operations that a row takes "
        f"({recipe.resource_estimate.operations_per_row:,} at {speed:.0e} a second) and the calls "
        "of the micro-batches. Lower `epochs`, or raise `batch_size`."
    )


def _days_or_years(days: float) -> str:
    if days < 2 * _DAYS_PER_YEAR:
        return counted(round(days), "day")
    return counted(round(days / _DAYS_PER_YEAR), "year")
