"""Everything that happens to a row between the data file and the model, in its order.

The fields of a record become features first, where they are several. Then missing values are
filled, then the transform of the settings runs. Whatever is learned from rows for it (words, means,
deviations) stands in the recipe, and is of the training rows alone.
"""

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch

from memtrain.components.encoder import Encoder
from memtrain.components.transforms import Row, build_transform
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.field_statistics import FieldStatistics
from memtrain.data.record_file import dtype_from_json
from memtrain.data.row_decoding import is_batched, is_row_wise
from memtrain.data.source import PRESENT
from memtrain.recipes.recipe import TrainingRecipe

#: Losses of torch.nn that compare numbers, whatever their unit.
_LOSSES_OF_NUMBERS = ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss")


class FillMissing:
    """Puts a value of its own column in the place of every missing feature.

    Args:
        values: the value of each column, float64 (columns,); NaN for a column that stays as it is.
        shape: shape of the features of one row.

    Attributes:
        values: the value of each feature, float64 (*shape).
    """

    batched = row_wise = True

    def __init__(self, values: np.ndarray, shape: tuple[int, ...]):
        self.values = values.reshape(shape)

    def __call__(self, row: Row) -> Row:
        """Return the row or batch without missing features."""
        features = row["features"]
        if features.dtype.kind == "f":
            np.copyto(features, self.values, casting="same_kind", where=np.isnan(features))
        return row


class StandardizeTarget:
    """Gives targets mean 0 and standard deviation 1 over the training rows, and undoes it.

    A target that is constant over the training rows becomes 0.

    Args:
        statistics: statistics of the target over the training rows.
        shape: shape of the target of one row.

    Attributes:
        mean: mean of each target, float64 (*shape).
        deviation: standard deviation of each target, 1 where it is constant, float64 (*shape).
    """

    batched = row_wise = True

    def __init__(self, statistics: FieldStatistics, shape: tuple[int, ...]):
        deviation = statistics.standard_deviation
        self.mean = statistics.mean.reshape(shape)
        self.deviation = np.where(deviation > 0, deviation, 1.0).reshape(shape)

    def __call__(self, row: Row) -> Row:
        """Return the row or batch with standardized targets, in double precision."""
        return row | {"target": (row["target"] - self.mean) / self.deviation}

    def undone(self, predictions: torch.Tensor) -> torch.Tensor:
        """Return predictions in the unit of the target in the file, float64 (rows, targets)."""
        deviation, mean = self.deviation.reshape(-1), self.mean.reshape(-1)
        return predictions * torch.from_numpy(deviation) + torch.from_numpy(mean)


class Chain:
    """Several transforms, one after the other; a batch, if all of them take batches.

    Attributes:
        parts: the transforms.
    """

    def __init__(self, parts: Sequence[Callable[[Row], Row]]):
        self.parts = parts
        self.batched = all(is_batched(part) for part in parts)
        self.row_wise = all(is_row_wise(part) for part in parts)

    def __call__(self, row: Row) -> Row:
        """Return what the last transform returns."""
        for part in self.parts:
            row = part(row)
        return row


def fill_values(recipe: TrainingRecipe) -> np.ndarray:
    """Return what takes the place of a missing value of each feature.

    Returns:
        float64 (features,). NaN for a feature that is not filled.
    """
    if not recipe.fills:
        return np.full(len(recipe.task.features), np.nan)
    return np.array([np.nan if one is None else one for one in recipe.fills], np.float64)


def filled_values(recipe: TrainingRecipe) -> dict[str, np.ndarray]:
    """Return which values of the fields of a record may be missing, since something fills them.

    Returns:
        booleans (values,), by field. In the field of validity, those that may be false.
    """
    filled = ~np.isnan(fill_values(recipe))
    if recipe.encoding is None:
        return {"features": filled}
    fields = dtype_from_json(recipe.task.dtype)
    found = {name: np.zeros(prod(fields[name].shape), bool) for name in fields.names or ()}
    place = 0
    for column in recipe.encoding.columns:
        if column.kind == "numbers":
            values = filled[place : place + column.width]
            found[column.field][column.start : column.start + column.width] = values
        elif column.kind == "times":
            is_filled = filled[place : place + column.own_features].all()
            found[column.field][column.start] = is_filled
        if column.present is not None:
            values = filled[place : place + column.width]
            found[PRESENT][column.present : column.present + column.width] = values
        place += column.features
    return found


def build_row_transform(where: str, recipe: TrainingRecipe) -> Callable[[Row], Row] | None:
    """Return what happens to a row on its way to the model; None for nothing.

    Args:
        where: key of the settings of the training, for error messages.
        recipe: training part of the recipe.

    Raises:
        UserError: if the transform does not exist, or does not take its arguments.
    """
    parts: list[Callable[[Row], Row]] = []
    if recipe.encoding is not None:
        parts.append(Encoder(recipe.encoding))
    if recipe.fills:
        parts.append(FillMissing(fill_values(recipe), recipe.feature_shape))
    transform = build_transform(
        f"{where}.transform",
        recipe.settings.transform,
        recipe.statistics_of("features"),
        recipe.feature_shape,
    )
    if transform is not None:
        parts.append(transform)
    return chained(*parts)


def build_target_transform(where: str, recipe: TrainingRecipe) -> StandardizeTarget | None:
    """Return what happens to the target before the model learns it; None for nothing.

    Args:
        where: key of the settings of the training, for error messages.
        recipe: training part of the recipe.

    Raises:
        UserError: if the target is a class, or the loss needs it in its own unit.
    """
    if recipe.settings.target == "none":
        return None
    loss = recipe.settings.loss.name
    if recipe.task.kind != "regression":
        raise UserError(
            f"{where}.target: found standardize, but the target is a class. Use `target: none`."
        )
    if loss not in _LOSSES_OF_NUMBERS and ":" not in loss:
        raise UserError(
            f"{where}.target: found standardize, but {loss} takes the target in its own unit. Use "
            f"`target: none`, or one of {listed(_LOSSES_OF_NUMBERS)}."
        )
    return StandardizeTarget(recipe.statistics_of("target"), recipe.target_shape)


def chained(*parts: Callable[[Row], Row] | None) -> Callable[[Row], Row] | None:
    """Return transforms as one, in their order; None where there is none."""
    given = [part for part in parts if part is not None]
    return Chain(given) if len(given) > 1 else next(iter(given), None)
