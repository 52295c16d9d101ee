"""Batches of rows that vary in length: padded fields, and what stands beside each of them.

A batch of n rows whose longest has T elements holds three arrays or tensors for such a field:

  <field>           (n, T, ...), the elements of each row, and zeros after the last of them
  <field>_lengths   int64 (n,), the number of elements of each row
  <field>_mask      bool (n, T), true where there is an element

T is at least 1, so that no model has to deal with an axis without places.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate


def lengths_name(field: str) -> str:
    """Return the name under which a batch holds the lengths of the rows of a field."""
    return f"{field}_lengths"


def mask_name(field: str) -> str:
    """Return the name under which a batch holds where the rows of a field have elements."""
    return f"{field}_mask"


def padded(
    name: str, field: np.ndarray, lengths: np.ndarray, mask: np.ndarray
) -> dict[str, np.ndarray]:
    """Return a padded field, (n, longest, ...), and what stands beside it."""
    return {name: field, lengths_name(name): lengths, mask_name(name): mask}


def longest_of(lengths: np.ndarray) -> int:
    """Return how many places the rows of a batch have, for their lengths, int64 (n,)."""
    return max(1, int(lengths.max(initial=0)))


def mask_of(lengths: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return where rows have elements, bool (n, longest).

    Args:
        lengths: int64 (n,), the number of elements of each row.
        out: bool (n, longest), memory for the mask; allocated if not given.
    """
    longest = longest_of(lengths)
    mask = np.empty((len(lengths), longest), bool) if out is None else out
    # Each row is a window of as many ones as zeros. Copies are faster than comparisons.
    steps = torch.zeros(2 * longest, dtype=torch.uint8)
    steps[:longest] = 1
    torch.index_select(
        steps.as_strided((longest + 1, longest), (1, 1)),
        0,
        torch.from_numpy(longest - lengths),
        out=torch.from_numpy(mask.view(np.uint8)),
    )
    return mask


def zero_padding(batch: Any, ragged: Iterable[str]) -> Any:
    """Return a batch whose padding is zeros again, after a transform of whole batches.

    Args:
        batch: a dict of tensors, which this changes; anything else stays as it is.
        ragged: the fields that vary in length.
    """
    if isinstance(batch, Mapping):
        for name in ragged:
            values, mask = batch.get(name), batch.get(mask_name(name))
            if values is not None and mask is not None and values.shape[:2] == mask.shape:
                values[~mask] = 0
    return batch


def nth_row_of_batch(batch: Any, number: int) -> Any:
    """Return one row of a batch without padding, and nothing beside its fields.

    Args:
        batch: an array or tensor (rows, ...), or a dict of these.
        number: number of the row.
    """
    if not isinstance(batch, Mapping):
        return batch[number]
    padded_fields = [name for name in batch if lengths_name(name) in batch]
    beside = {make(name) for name in padded_fields for make in (lengths_name, mask_name)}
    row = {name: values[number] for name, values in batch.items() if name not in beside}
    for name in padded_fields:
        row[name] = row[name][: int(batch[lengths_name(name)][number])]
    return row


def collate_ragged(
    rows: Sequence[Mapping[str, torch.Tensor]], ragged: Iterable[str]
) -> dict[str, torch.Tensor]:
    """Return rows as one batch in which fields that vary in length are padded.

    Args:
        rows: one row or more, each a tensor for every field.
        ragged: the fields that vary in length.
    """
    names = [name for name in ragged if name in rows[0]]
    batch = default_collate(
        [{name: value for name, value in row.items() if name not in names} for row in rows]
    )
    for name in names:
        lengths = np.array([len(row[name]) for row in rows])
        first = rows[0][name]
        mask = torch.from_numpy(mask_of(lengths))
        field = first.new_zeros((*mask.shape, *first.shape[1:]))
        field[mask] = torch.cat([row[name] for row in rows])
        batch |= {name: field, lengths_name(name): torch.from_numpy(lengths), mask_name(name): mask}
    return batch
