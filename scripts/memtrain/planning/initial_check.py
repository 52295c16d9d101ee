"""Looks at whether trainings can start from the models that they name."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from memtrain.components.build import build_model_parts
from memtrain.components.initial_weights import Shape, chosen_keys, shapes_in, shapes_of
from memtrain.config.initial import bases
from memtrain.config.results import ResultsLayout
from memtrain.config.training import TrainingSettings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps
from memtrain.core.wording import listed
from memtrain.data.layouts import RowLayout
from memtrain.planning.shared_elements import shared_element_problems
from memtrain.recipes.recipe import Recipe, Rows, TrainingRecipe

#: Most features that a message names.
_MOST_NAMES = 5


def initial_problems(recipes: Sequence[Recipe], layout: RowLayout) -> Iterator[str]:
    """Yield what does not fit where trainings start from other models.

    Args:
        recipes: the recipes of all splits that have one.
        layout: where the rows lie.
    """
    by_split = {recipe.split: recipe for recipe in recipes}
    for recipe in recipes:
        initial = recipe.training.settings.initial
        if initial is None:
            continue
        base = by_split.get(initial.split) if initial.split is not None else None
        if initial.split is not None and base is None:
            continue  # The problems of the base are told.
        if base is not None:
            yield from _encoding_problems(recipe, base)
            if not initial.allow_overlap:
                yield from _overlap_problems(recipe, by_split, layout)
        try:
            _check_shapes(recipe.training, base)
        except UserError as error:
            yield from (f"splits.{recipe.split}.{problem}" for problem in error.problems)


def own_result_problems(
    where: str, settings: TrainingSettings, results: ResultsLayout
) -> Iterator[str]:
    """Yield a problem for each declared file that is a result of a split of this workflow.

    Whether such a file is made before it is read, and which rows it comes from, would be unknown.

    Args:
        where: key of the training settings.
        settings: the settings.
        results: where the results of the workflow lie.
    """
    folder = results.splits.resolve()
    for path in settings.files:
        found = Path(path).resolve()
        if folder not in found.parents or len(found.relative_to(folder).parts) < 2:
            continue
        split = found.relative_to(folder).parts[0]
        start = f"`initial: {{split: {split}}}`"
        if settings.initial is not None and settings.initial.path == path:
            yield (
                f"{where}.initial.path: found {path}, the model of the split {split}, which may be "
                f"trained again. Write {start} in its place, so that it is trained before, and the "
                "lineage knows its rows."
            )
        else:
            yield (
                f"{where}.reads: found {path}, a result of the split {split}, which may be made "
                f"again. Start from its model by {start}, or copy the file to another folder, "
                "where it stays as it is."
            )


def _check_shapes(training: TrainingRecipe, base: Recipe | None) -> None:
    """Raise a ``UserError`` if weights do not fit the model of a training, key by key."""
    where, initial = "training.initial", training.settings.initial
    assert initial is not None
    if base is not None:
        found = _shapes(base.training)
    else:
        assert initial.path is not None
        found = shapes_in(where, initial.path)
    chosen_keys(where, initial, found, _shapes(training))


def _shapes(training: TrainingRecipe) -> dict[str, Shape]:
    with torch.random.fork_rng([]):
        return shapes_of(build_model_parts(training, torch.device("cpu")).model)


def _overlap_problems(
    recipe: Recipe, by_split: Mapping[str, Recipe], layout: RowLayout
) -> Iterator[str]:
    """Yield a problem for each model before this one that saw rows which test this one."""
    where = f"splits.{recipe.split}.training.initial"
    for name in bases(recipe.split, lambda split: _base_of(by_split, split)):
        if name not in by_split:
            return
        base = by_split[name].training
        evaluated = recipe.evaluation.rows if recipe.evaluation else None
        pairs = (
            ("train", base.rows, "validate", recipe.training.validation),
            ("train", base.rows, "evaluate", evaluated),
            ("validate", base.validation, "evaluate", evaluated),
        )
        for use_of_base, seen, use, tested in pairs:
            left, right = _ranges(seen), _ranges(tested)
            if shared := sorted({*overlaps(left, right)}):
                yield (
                    f"{where}: rows {listed(shared)} are in `{use_of_base}` of {name}, which this "
                    f"model comes from, and in `{use}` of {recipe.split}. Change one of them, or "
                    "set `allow_overlap: true` beside `initial.split`."
                )
            else:
                used = {f"{use_of_base} of {name}": left, use: right}
                yield from shared_element_problems(where, layout, used)


def _encoding_problems(recipe: Recipe, base: Recipe) -> Iterator[str]:
    """Yield a problem if the same inputs mean something else to the two models."""
    initial = recipe.training.settings.initial
    if initial is None or not initial.is_strict:
        return  # Who names the weights that are taken knows which of them are those of the inputs.
    where = f"splits.{recipe.split}.training.initial"
    own, other = recipe.training, base.training
    if own.task.features != other.task.features:
        differing = [name for name in other.task.features if name not in own.task.features]
        added = [name for name in own.task.features if name not in other.task.features]
        yield (
            f"{where}: {base.split} has {len(other.task.features)} inputs, and {recipe.split} has "
            f"{len(own.task.features)}"
            + (f"; only {base.split} has {listed(differing, _MOST_NAMES)}" if differing else "")
            + (f"; only {recipe.split} has {listed(added, _MOST_NAMES)}" if added else "")
            + ". Their words or columns differ, so that weights of one input would meet another. "
            "Use the same `encode` and training rows with the same words, or leave out the weights "
            "of the inputs by `exclude`."
        )
    elif _vocabulary(own) != _vocabulary(other):
        yield (
            f"{where}: the training rows of {base.split} and of {recipe.split} have other words, "
            "so that the same code stands for another word. Use training rows with the same words, "
            "or leave out the weights of the inputs by `exclude`."
        )


def _vocabulary(training: TrainingRecipe) -> list[tuple[str, list[int], list[int]]]:
    """Return the words of each column, by code, with the inputs that they become."""
    columns = training.encoding.columns if training.encoding else []
    return [(one.column, one.codes, one.places) for one in columns]


def _base_of(by_split: Mapping[str, Recipe], split: str) -> str | None:
    recipe = by_split.get(split)
    initial = recipe.training.settings.initial if recipe else None
    return initial.split if initial else None


def _ranges(rows: Rows | None) -> list[Range]:
    return rows.resolved if rows else []
