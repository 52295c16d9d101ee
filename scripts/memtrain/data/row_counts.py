"""Compares the numbers of rows of fields that lie side by side in files of their own."""

from collections.abc import Mapping

import numpy as np

from memtrain.core.errors import UserError
from memtrain.core.wording import counted, listed
from memtrain.data.streams.row_addresses import Consecutive, Ragged
from memtrain.data.streams.stored_field import StoredField


def check_counts(where: str, stored: Mapping[str, StoredField]) -> None:
    """Refuse fields side by side that have different numbers of rows.

    Args:
        where: key of the settings, for error messages.
        stored: the fields by their names.

    Raises:
        UserError: with the numbers, and the first file at which they part.
    """
    counts = {name: one.rows for name, one in stored.items()}
    if len(set(counts.values())) == 1:
        return
    first, *others = stored.values()
    other = next(one for one in others if one.rows != first.rows)
    raise UserError(
        f"{where}.fields: fields side by side need the same number of rows, and these "
        f"have {listed(f'{rows:,} rows ({name})' for name, rows in counts.items())}. "
        f"{where_they_part(first, other)}Name files that belong together."
    )


def where_they_part(one: StoredField, other: StoredField) -> str:
    """Return a sentence on the first files with different numbers of rows; empty if unknown."""
    rows = [_rows_of_files(field) for field in (one, other)]
    if len(rows[0]) != len(rows[1]):
        return (
            f"{one.name} has {counted(len(rows[0]), 'file')}, and {other.name} {len(rows[1]):,}. "
        )
    for file, (left, right) in enumerate(zip(*(part.tolist() for part in rows), strict=True)):
        if left != right:
            return (
                f"They part at {one.stream.paths[file]} with {left:,} and "
                f"{other.stream.paths[file]} with {right:,}. "
            )
    return ""


def _rows_of_files(field: StoredField) -> np.ndarray:
    """Return how many rows begin in each file: int64 (files,)."""
    firsts = field.stream.file_firsts
    if isinstance(field.addresses, Consecutive):
        return np.diff(firsts)
    if isinstance(field.addresses, Ragged):
        return np.diff(np.searchsorted(field.addresses.offsets[:-1], firsts))
    # The first row of every segment; a segment of a file is one of its documents.
    starts = np.searchsorted(field.addresses.borders, firsts)
    return np.diff(field.addresses.first_rows[np.minimum(starts, len(field.addresses.borders) - 1)])
