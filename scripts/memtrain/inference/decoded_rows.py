"""Rows of the data file as a dataset decodes them, with stand-ins for their unknown targets."""

import numpy as np

from memtrain.data.padding import lengths_name, mask_name, padded
from memtrain.data.record_file import dtype_from_json
from memtrain.data.row_decoding import TensorField, decode, empty_arrays, tensor_dtype
from memtrain.data.source import FEATURES
from memtrain.inference.rebatching import Rows
from memtrain.recipes.recipe import TrainingRecipe

_TARGET = "target"


def decoded(records: np.ndarray) -> dict[str, np.ndarray]:
    """Return rows of the data file as a dataset decodes them: an array of every field."""
    dtype = records.dtype
    fields = {
        name: TensorField(tensor_dtype("rows", dtype[name].base, doubles=True), dtype[name].shape)
        for name in dtype.names or ()
    }
    arrays = empty_arrays(fields, len(records))
    assert isinstance(arrays, dict), "a record has named fields"
    decode(records, arrays)
    return arrays


def decoded_with_targets(rows: Rows, recipe: TrainingRecipe) -> dict[str, np.ndarray]:
    """Return rows with targets that training rows have, for transforms that look at them.

    They are the smallest and the largest one in turn.

    Args:
        rows: records, or the features of rows that vary in length.
        recipe: training part of the recipe.

    Returns:
        An array of every field, (rows, ...); fields that vary in length are padded.
    """
    if isinstance(rows, np.ndarray):
        records = rows.copy()
        _fill(records[_TARGET], recipe)
        return decoded(records)
    arrays = rows.decoded()
    dtype = dtype_from_json(recipe.task.dtype)[_TARGET]
    base, shape = tensor_dtype("rows", dtype.base, doubles=True), dtype.shape
    if not recipe.has_ragged_target:
        target = np.empty((len(rows), *shape), base)
        _fill(target, recipe)
        return arrays | {_TARGET: target}
    mask = arrays[mask_name(FEATURES)]
    target = np.empty((*mask.shape, *shape), base)
    _fill(target, recipe)
    target[~mask] = 0
    return arrays | padded(_TARGET, target, arrays[lengths_name(FEATURES)].copy(), mask.copy())


def _fill(target: np.ndarray, recipe: TrainingRecipe) -> None:
    """Fill targets, (rows, ...), with the smallest and the largest one in turn."""
    statistics = recipe.statistics_of(_TARGET)
    for start, values in enumerate((statistics.minimum, statistics.maximum)):
        target[start::2] = np.nan_to_num(values, posinf=0, neginf=0).reshape(recipe.target_shape)
