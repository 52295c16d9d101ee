"""Applies a transform to a decoded batch, in which some fields may be padded."""

from collections.abc import Collection

from memtrain.data import row_decoding
from memtrain.data.padding import collate_ragged, nth_row_of_batch, zero_padding
from memtrain.data.row_decoding import Arrays, Batch, Transform


def transform_padded_batch(
    transform: Transform | None, arrays: Arrays, ragged: Collection[str], doubles: bool = False
) -> Batch:
    """Return a decoded batch as tensors, after the transform.

    A transform of single rows sees those that vary in length without padding.

    Args:
        transform: the transform; None for none.
        arrays: decoded arrays of some rows, padded where rows vary in length.
        ragged: the fields that vary in length.
        doubles: whether float64 stays float64; if not, it becomes float32.
    """
    takes_rows = transform is not None and not row_decoding.is_batched(transform)
    if not (ragged and takes_rows and isinstance(arrays, dict)):
        batch = row_decoding.transform_batch(transform, arrays, doubles)
        return batch if transform is None else zero_padding(batch, ragged)
    rows = [
        row_decoding.transform_row(transform, nth_row_of_batch(arrays, number), doubles)
        for number in range(len(next(iter(arrays.values()))))
    ]
    return collate_ragged(rows, ragged)
