"""Finds the values of a split that no model can be given: infinite ones, and missing ones."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from memtrain.components.row_transform import fill_values
from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean, listed
from memtrain.data.field_statistics import LEAST_SPREAD
from memtrain.data.manifest import Manifest, describe_shards
from memtrain.data.shard_summaries import PieceSummary, first_nonfinite
from memtrain.data.source import Source
from memtrain.recipes.recipe import TrainingRecipe

Pieces = Mapping[str, Sequence[PieceSummary]]


def value_problems(
    where: str,
    recipe: TrainingRecipe,
    pieces: Pieces,
    *,
    data: str,
    manifest: Manifest,
    source: Source | None = None,
) -> Iterator[str]:
    """Yield a problem for the values of the rows that the settings cannot deal with.

    Args:
        where: key of the split, for messages.
        recipe: training part of its recipe.
        pieces: summaries of its rows, by their use: "training" and, where there are any,
            "evaluation" and "validation".
        data: path of the record file.
        manifest: manifest of that file.
        source: where its rows came from; the place of a wrong value is told there as well.
    """
    unknown = _unknown_columns(recipe)
    if unknown:
        yield (
            f"{where}: training.impute names {listed(unknown)}, which is no feature."
            f"{did_you_mean(unknown[0], recipe.task.features)} The features are "
            f"{listed(recipe.task.features)}."
        )
        return
    empty = _columns_without_mean(recipe, pieces)
    if empty:
        yield (
            f"{where}: training.impute puts the mean of {listed(empty)} in the place of missing "
            "values, and the training rows hold no value to take the mean of. Give a number for it "
            "under `impute`, or leave the column out."
        )
        return
    yield from _merged_values(where, recipe)
    filled = {"features": ~np.isnan(fill_values(recipe))}
    for use, parts in pieces.items():
        yield from _nonfinite_values(
            where, use, parts, filled, data=data, manifest=manifest, source=source
        )


def _merged_values(where: str, recipe: TrainingRecipe) -> Iterator[str]:
    """Yield a problem for columns that reach the model in float32, which makes them one value."""
    settings, task = recipe.settings, recipe.task
    centred = {
        "features": settings.transform.name not in ("none", "scale"),
        "target": settings.target == "standardize" or task.kind != "regression",
    }
    remedies = {"features": "transform: standardize", "target": "target: standardize"}
    for field, names in (("features", task.features), ("target", task.target)):
        found = recipe.statistics_of(field)
        if centred[field] or recipe.dtype_of(field) != np.float64:
            continue
        merged = (found.minimum < found.maximum) & (
            found.standard_deviation < np.abs(found.mean) * LEAST_SPREAD
        )
        for number in np.flatnonzero(merged):
            yield (
                f"{where}: the values of {names[number]} lie within "
                f"{found.standard_deviation[number]:.3g} (standard deviation) of "
                f"{found.mean[number]:.10g}, and the model sees them in float32, which merges "
                f"them. Set `training: {{{remedies[field]}}}`, which centres them before."
            )
    yield from _rounded_integers(where, recipe)


def _rounded_integers(where: str, recipe: TrainingRecipe) -> Iterator[str]:
    """Yield a problem for integers that a model of ours takes as float32, which rounds them."""
    found = recipe.statistics_of("features")
    is_converted = recipe.settings.model.name in ("linear", "mlp")
    if recipe.settings.transform.name != "none" or not is_converted:
        return
    if recipe.dtype_of("features").kind not in "iu":
        return
    sizes = np.maximum(np.abs(found.minimum), np.abs(found.maximum))
    large = np.flatnonzero((found.count > 0) & (sizes > 2**24))
    if len(large):
        yield (
            f"{where}: the integers of {listed(recipe.task.features[one] for one in large)} reach "
            f"{sizes[large[0]]:.0f}, and {recipe.settings.model.name} computes in float32, which "
            "rounds integers above 2^24. Set `training: {transform: standardize}`, or take a model "
            "of your own that takes integers."
        )


def _unknown_columns(recipe: TrainingRecipe) -> list[str]:
    impute = recipe.settings.impute
    return sorted(set(impute) - set(recipe.task.features)) if isinstance(impute, dict) else []


def _columns_without_mean(recipe: TrainingRecipe, pieces: Pieces) -> list[str]:
    """Return the columns with missing values whose mean is asked for and not known."""
    if recipe.settings.impute is None:
        return []
    missing = sum(
        piece.statistics["features"].missing for parts in pieces.values() for piece in parts
    )
    impute = recipe.settings.impute
    has_mean = recipe.statistics_of("features").count > 0
    return [
        name
        for name, has_missing, mean_is_known in zip(
            recipe.task.features, np.asarray(missing) > 0, has_mean, strict=True
        )
        if has_missing
        and not mean_is_known
        and (impute.get(name) if isinstance(impute, dict) else impute) == "mean"
    ]


def _nonfinite_values(
    where: str,
    use: str,
    pieces: Sequence[PieceSummary],
    filled: Mapping[str, np.ndarray],
    *,
    data: str,
    manifest: Manifest,
    source: Source | None,
) -> Iterator[str]:
    """Yield a problem if rows hold values that are infinite, or missing and not filled."""
    counts = [_count(piece, filled) for piece in pieces]
    missing, infinite = (sum(numbers) for numbers in zip(*counts, strict=True))
    if not missing and not infinite:
        return
    damaged = [piece for piece, count in zip(pieces, counts, strict=True) if any(count)]
    first = first_nonfinite(data, manifest.layout, damaged[0].rows, filled)
    shards = manifest.touched_shards([piece.rows for piece in damaged])
    found = {f"{missing} missing (NaN)": missing, f"{infinite} infinite": infinite}
    remedy = (
        "Fill them (`training: {impute: mean}`), repair the data, or leave these rows out of the "
        "ranges."
        if missing and not infinite and first.field == "features"
        else "Repair the data, or leave these rows out of the ranges."
    )
    yield (
        f"{where}: of its {use} values, {listed(text for text, count in found.items() if count)} "
        f"are no numbers to learn from; the first is in {data}, row {first.row}"
        f"{_place_in_source(data, source, first.row)}, field {first.field}, column "
        f"{first.column} (in all: {describe_shards(shards)}). {remedy}"
    )


def _place_in_source(data: str, source: Source | None, row: int) -> str:
    """Return where an imported row stands in the user's files, in brackets; empty if unknown."""
    if source is None or source.origin.get("kind") != "import":
        return ""
    # Imported late: Arrow is needed only where there is such a row.
    from memtrain.data.tables.source_rows import SourceRows

    try:
        place = SourceRows(data, source).place_of(row)
    except UserError:  # The files have changed or are gone; the row of the data file is told.
        return ""
    return f" [{place}]" if place else ""


def _count(piece: PieceSummary, filled: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Return how many values are missing and not filled, and how many are infinite."""
    missing = sum(
        int(np.where(filled.get(name, False), 0, part.missing).sum())
        for name, part in piece.statistics.items()
    )
    return missing, sum(int(part.infinite.sum()) for part in piece.statistics.values())
