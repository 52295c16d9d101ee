"""Opens the rows that a recipe names."""

import os
from collections.abc import Callable

import numpy as np
import torch

from memtrain.components.transforms import Row
from memtrain.core.errors import UserError
from memtrain.core.ranges import at_positions
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import dtype_to_json
from memtrain.recipes.recipe import Rows, TrainingRecipe

#: Rows whose lengths are looked at together.
_ROWS_AT_ONCE = 1 << 20


def open_rows(
    data: str | os.PathLike | FilesLayout,
    recipe: TrainingRecipe,
    rows: Rows,
    transform: Callable[[Row], Row] | None = None,
    float64: bool = False,
) -> MemmapDataset:
    """Open a record file, and check that it holds the rows of a recipe.

    Args:
        data: path of the record file, or of the description of rows in files; or their layout.
        recipe: training part of the recipe, which describes a row.
        rows: rows of the training or of the evaluation.
        transform: transform of the dataset.
        float64: whether float64 in the file stays float64.

    Raises:
        UserError: if the rows of the file have another dtype, or are too few.
    """
    dataset = MemmapDataset(data, transform=transform, float64=float64)
    dtype = dtype_to_json(dataset.layout.view_dtype)
    end = max(piece.end for piece in rows.resolved)
    if (dtype, list(dataset.ragged_fields)) != (recipe.task.dtype, recipe.task.ragged):
        raise UserError(
            f"{dataset.filename}: its rows are {dtype}, but the recipe was made for "
            f"{recipe.task.dtype}. Run resolve_splits again."
        )
    if end > dataset.layout.rows:
        raise UserError(
            f"{dataset.filename}: it has {dataset.layout.rows:,} rows, but the recipe has rows up "
            f"to {end:,}. Run resolve_splits again."
        )
    return dataset


def first_rows(dataset: MemmapDataset, rows: Rows, count: int = 1) -> dict[str, torch.Tensor]:
    """Return the first rows as a batch, transformed.

    Args:
        dataset: the rows, with their transform.
        rows: rows of the training or of the evaluation.
        count: number of rows; fewer are returned if there are not as many.
    """
    pieces = at_positions(rows.resolved, 0, count)
    return dataset.gather(np.concatenate([np.arange(*piece) for piece in pieces]))


def longest_row(dataset: MemmapDataset, rows: Rows, field: str) -> int:
    """Return how many times as long as one element a row is at most; 1 where rows do not vary.

    Args:
        dataset: the rows.
        rows: rows of the training or of the evaluation.
        field: the field.
    """
    if field not in dataset.ragged_fields:
        return 1
    longest = 1
    for piece in rows.resolved:
        for start in range(piece.start, piece.end, _ROWS_AT_ONCE):
            numbers = np.arange(start, min(start + _ROWS_AT_ONCE, piece.end))
            longest = max(longest, int(dataset.element_counts(field, numbers).max()))
    return longest


def first_row(dataset: MemmapDataset, rows: Rows, device: torch.device) -> dict[str, torch.Tensor]:
    """Return the first row as a batch of one, on a device."""
    return {name: value.to(device) for name, value in first_rows(dataset, rows).items()}
