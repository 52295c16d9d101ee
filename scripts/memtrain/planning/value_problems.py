"""Finds the values of a split that no model can be given: infinite ones, and missing ones."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod

import numpy as np

from memtrain.components.row_transform import fill_values, filled_values
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.field_statistics import least_spread
from memtrain.data.manifest import Manifest, describe_shards
from memtrain.data.record_file import dtype_from_json
from memtrain.data.shard_summaries import PieceSummary, first_nonfinite
from memtrain.data.source import PRESENT, Source
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
    yield from _inexact_integers(where, recipe, pieces)
    yield from _merged_values(where, recipe)
    yield from _values_without_deviation(where, recipe)
    yield from _absent_integers(where, recipe, pieces)
    filled = filled_values(recipe)
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
            found.standard_deviation < least_spread(found.mean)
        )
        if field == "features":
            merged &= ~_are_integers(recipe)
        for number in np.flatnonzero(merged):
            yield (
                f"{where}: the values of {names[number]} lie within "
                f"{found.standard_deviation[number]:.3g} (standard deviation) of "
                f"{found.mean[number]:.10g}, and the model sees them in float32, which merges "
                f"them. Set `training: {{{remedies[field]}}}`, which centres them before."
            )
    yield from _rounded_integers(where, recipe)


def _values_without_deviation(where: str, recipe: TrainingRecipe) -> Iterator[str]:
    """Yield a problem for columns that are standardized and too large to have a deviation."""
    settings, task = recipe.settings, recipe.task
    standardized = {
        "features": (settings.transform.name == "standardize", task.features),
        "target": (settings.target == "standardize", task.target),
    }
    for field, (is_standardized, names) in standardized.items():
        if not is_standardized:
            continue
        found = recipe.statistics_of(field)
        for number in np.flatnonzero(~np.isfinite(found.standard_deviation)):
            largest = max(abs(found.minimum[number]), abs(found.maximum[number]))
            yield (
                f"{where}: the values of {names[number]} reach {largest:.3g}, and squares of such "
                "numbers are beyond all floats, so that nothing can standardize them. Scale them, "
                "take their logarithms, or leave the column out."
            )


def _rounded_integers(where: str, recipe: TrainingRecipe) -> Iterator[str]:
    """Yield a problem for integers that reach the model as float32, which rounds them."""
    is_float = recipe.dtype_of("features").kind == "f"
    is_converted = recipe.settings.model.name in ("linear", "mlp")
    is_centred = recipe.settings.transform.name not in ("none", "scale")
    if is_centred or not (is_converted or is_float):
        return
    found = recipe.statistics_of("features")
    sizes = np.maximum(np.abs(found.minimum), np.abs(found.maximum))
    large = np.flatnonzero((found.count > 0) & (sizes > 2**24) & _are_integers(recipe))
    if len(large):
        yield (
            f"{where}: the integers of {listed(recipe.task.features[one] for one in large)} reach "
            f"{sizes[large[0]]:.0f}, and {recipe.settings.model.name} computes in float32, which "
            "rounds integers above 2^24. Set `training: {transform: standardize}`, which centres "
            "them before, or use features of integers alone and a model of your own for them."
        )


def _are_integers(recipe: TrainingRecipe) -> np.ndarray:
    """Return which features are integers of the tables, booleans (features,)."""
    if recipe.encoding is None:
        return np.full(len(recipe.task.features), recipe.dtype_of("features").kind in "iu")
    fields = dtype_from_json(recipe.task.dtype)
    return np.concatenate(
        [
            np.full(one.features, one.kind == "numbers" and fields[one.field].base.kind in "iu")
            for one in recipe.encoding.columns
        ]
    )


def _inexact_integers(where: str, recipe: TrainingRecipe, pieces: Pieces) -> Iterator[str]:
    """Yield a problem for integers that float64 does not hold, where features are floats."""
    if recipe.encoding is None or recipe.dtype_of("features").kind != "f":
        return
    fields = dtype_from_json(recipe.task.dtype)
    for column in recipe.encoding.columns:
        if column.kind != "numbers" or fields[column.field].base.kind not in "iu":
            continue
        places = slice(column.start, column.start + column.width)
        columns = prod(fields[column.field].shape)
        parts = [
            part.statistics[column.field].spread(columns)
            for uses in pieces.values()
            for part in uses
        ]
        extremes = [one[places] for part in parts for one in (part.minimum, part.maximum)]
        largest = max(np.concatenate(extremes), key=abs)
        if abs(largest) >= 2**53:
            yield (
                f"{where}: the column {column.column} holds the integer {largest:.0f} (or one near "
                "it), and the features are floating-point numbers, which hold integers exactly "
                "below 2^53 alone. Name it under `categories` if it is an identifier, use features "
                "of integers alone, or leave it out."
            )


def _absent_integers(where: str, recipe: TrainingRecipe, pieces: Pieces) -> Iterator[str]:
    """Yield a problem for columns of integers with missing values that nothing fills."""
    filled = ~np.isnan(fill_values(recipe))
    place = 0
    for column in recipe.encoding.columns if recipe.encoding else ():
        if column.present is not None and not filled[place : place + column.width].all():
            there = slice(column.present, column.present + column.width)
            parts = [part.statistics[PRESENT] for uses in pieces.values() for part in uses]
            absent = sum(
                int(np.rint(part.count[there] * (1 - part.mean[there])).sum()) for part in parts
            )
            if absent:
                yield (
                    f"{where}: {absent:,} values of the column {column.column} are missing. Fill "
                    f"them (`training: {{impute: {{{column.column}: median}}}}`), or leave these "
                    "rows out of the ranges."
                )
        place += column.features


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
        if missing and not infinite and first.field.startswith("features")
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
        if part.missing.any()
    )
    return missing, sum(int(part.infinite.sum()) for part in piece.statistics.values())
