"""What the workflow has to know of a recipe: the digests of its parts, and the work of its jobs.

The rules read this from every ``split.json``, in every job, so the rest of the file is not checked.
A recipe of another version of memtrain is no error, since the workflow makes it again.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from memtrain.core.errors import UserError
from memtrain.recipes.recipe import Recipe, ResourceEstimate, Sizes
from memtrain.system import canonical_json
from memtrain.system.file_notes import FileState


@dataclass(frozen=True)
class Workload:
    """The work of the jobs of a split, from which memory and time are estimated.

    Attributes:
        batch_size: number of rows of a micro-batch.
        accumulation_steps: number of micro-batches of an optimizer step.
        epochs: number of epochs of the training.
        training_rows: number of training rows.
        micro_batches_per_epoch: number of micro-batches in one epoch.
        evaluation_rows: number of evaluation rows; 0 where the model is not evaluated.
        rows_validated: number of rows that go through the model in all validations together.
        resamples: number of bootstrap resamples of an evaluation; 0 where there is none.
        estimate: memory and work of the training.
    """

    batch_size: int
    accumulation_steps: int
    epochs: int
    training_rows: int
    micro_batches_per_epoch: int
    evaluation_rows: int
    rows_validated: int
    resamples: int
    estimate: ResourceEstimate

    @classmethod
    def of(cls, recipe: Recipe) -> "Workload":
        """Return the work of the jobs of a recipe."""
        settings, sizes = recipe.training.settings, recipe.training.sizes
        evaluation = recipe.evaluation
        return cls(
            batch_size=settings.batch_size,
            accumulation_steps=settings.accumulation_steps,
            epochs=settings.epochs,
            training_rows=sizes.rows,
            micro_batches_per_epoch=sizes.micro_batches_per_epoch,
            evaluation_rows=evaluation.rows.count if evaluation else 0,
            rows_validated=_rows_validated(recipe.training.model_dump()),
            resamples=evaluation.settings.bootstrap if evaluation else 0,
            estimate=recipe.resource_estimate,
        )


@dataclass(frozen=True)
class RecipeFacts:
    """What the workflow has to know of a recipe.

    Attributes:
        digests: digest of each part of the recipe, by the part's name: "training", "evaluation".
        settings: settings of the training, which are not checked; None where it has none.
        workload: work of the split's jobs; None where another version of memtrain wrote the
            file, with other keys.
    """

    digests: dict[str, str]
    settings: dict[str, Any] | None
    workload: Workload | None


def facts_of_recipe(path: Path) -> RecipeFacts:
    """Return the facts of a recipe; a file that was read before is read again if it has changed.

    Raises:
        UserError: as ``read_recipe_facts`` does.
    """
    try:
        state = FileState.of(path)
    except OSError:
        return read_recipe_facts(path)
    return _facts_of_state(path, state)


@cache
def _facts_of_state(path: Path, state: FileState) -> RecipeFacts:
    return read_recipe_facts(path)


def read_recipe_facts(path: str | os.PathLike) -> RecipeFacts:
    """Read the facts of a recipe, without checking the rest of the file.

    Args:
        path: ``split.json``, from resolve_splits.

    Raises:
        UserError: where the file is missing or has no parts ``training`` and ``evaluation``.
    """
    recipe = canonical_json.read(path, made_by="resolve_splits")
    try:
        digests = {part: canonical_json.digest(recipe[part]) for part in ("training", "evaluation")}
    except (KeyError, TypeError):
        raise UserError(
            f"{path}: this is not a recipe. Remove it and run resolve_splits again."
        ) from None
    try:
        workload = _workload(recipe)
    except (KeyError, TypeError, ValidationError):
        workload = None
    return RecipeFacts(digests, _settings(recipe["training"]), workload)


def _settings(training: Any) -> dict[str, Any] | None:
    settings = training.get("settings") if isinstance(training, dict) else None
    return settings if isinstance(settings, dict) else None


def _workload(recipe: dict[str, Any]) -> Workload:
    settings = recipe["training"]["settings"]
    sizes, evaluation = recipe["training"]["sizes"], recipe["evaluation"]
    return Workload(
        batch_size=settings["batch_size"],
        accumulation_steps=settings["accumulation_steps"],
        epochs=settings["epochs"],
        training_rows=sizes["rows"],
        micro_batches_per_epoch=sizes["micro_batches_per_epoch"],
        resamples=evaluation["settings"]["bootstrap"] if evaluation else 0,
        evaluation_rows=_count(evaluation["rows"]) if evaluation else 0,
        rows_validated=_rows_validated(recipe["training"]),
        estimate=ResourceEstimate.model_validate(recipe["resource_estimate"]),
    )


def _rows_validated(training: dict[str, Any]) -> int:
    """Return the rows of all validations, from the training part of a recipe."""
    rows = training["validation"]
    return Sizes.model_validate(training["sizes"]).validations * _count(rows) if rows else 0


def _count(rows: dict[str, Any]) -> int:
    return sum(end - start for start, end in rows["ranges"])
