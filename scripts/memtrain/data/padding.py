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

#: Rows of at least this many bytes are joined, with zeros between them. Shorter ones are gathered
#: together, each with the elements that follow it, which then become zeros. Measured with rows of
#: uint16: gathering is faster at a mean of 64 elements, and joining at one of 512.
_BYTES_OF_LONG_ROWS = 512


def lengths_name(field: str) -> str:
    """Return the name under which a batch holds the lengths of the rows of a field."""
    return f"{field}_lengths"


def mask_name(field: str) -> str:
    """Return the name under which a batch holds where the rows of a field have elements."""
    return f"{field}_mask"


def padded(
    name: str, values: np.ndarray, starts: np.ndarray, lengths: np.ndarray, dtype: np.dtype
) -> dict[str, Any]:
    """Return rows as a padded field, and what stands beside it.

    Args:
        name: name of the field.
        values: (elements, ...), in which every row lies somewhere. Short rows are gathered faster
            if there are as many elements as the longest row has after the start of each.
        starts: int64 (n,), the place of the first element of each row.
        lengths: int64 (n,), the number of elements of each row.
        dtype: dtype of the padded field.
    """
    mask = mask_of(lengths)
    longest = mask.shape[1]
    is_long = longest * values.itemsize >= _BYTES_OF_LONG_ROWS
    if is_long or starts.max(initial=0) + longest > len(values):
        pad = _joined if values.flags.c_contiguous else _copied
        rows = pad(values, starts, lengths, longest)
    else:
        shape = (len(values) - longest + 1, longest, *values.shape[1:])
        strides = (values.strides[0], *values.strides)
        windows = np.lib.stride_tricks.as_strided(values, shape, strides, writeable=False)
        rows = windows[starts]
        rows[~mask] = 0
    rows = rows.astype(dtype, copy=False)
    return {name: rows, lengths_name(name): lengths, mask_name(name): mask}


def _joined(
    values: np.ndarray, starts: np.ndarray, lengths: np.ndarray, longest: int
) -> np.ndarray:
    """Return rows that are padded with zeros, (n, longest, ...) in the dtype of the values.

    The values lie in one piece.
    """
    element_shape = values.shape[1:]
    size = values.itemsize * int(np.prod(element_shape, dtype=np.int64))
    content = values.reshape(-1).view(np.uint8).data
    zeros = memoryview(bytes(longest * size))
    parts: list[memoryview] = []
    for start, length in zip((starts * size).tolist(), (lengths * size).tolist(), strict=True):
        parts += (content[start : start + length], zeros[length:])
    joined = np.frombuffer(bytearray().join(parts), np.uint8).view(values.dtype)
    return joined.reshape(len(starts), longest, *element_shape)


def _copied(
    values: np.ndarray, starts: np.ndarray, lengths: np.ndarray, longest: int
) -> np.ndarray:
    """Return the same as ``_joined`` for values that do not lie in one piece."""
    rows = np.zeros((len(starts), longest, *values.shape[1:]), values.dtype)
    pairs = zip(starts.tolist(), lengths.tolist(), strict=True)
    for row, (start, length) in zip(rows, pairs, strict=True):
        row[:length] = values[start : start + length]
    return rows


def mask_of(lengths: np.ndarray) -> np.ndarray:
    """Return where rows have elements, bool (n, longest), for their lengths, int64 (n,)."""
    longest = max(1, int(lengths.max(initial=0)))
    return np.arange(longest) < lengths[:, np.newaxis]


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
