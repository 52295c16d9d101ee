"""Chooses the share of the training rows that a model is validated on."""

from collections.abc import Sequence

from memtrain.config.validation import ValidationSettings
from memtrain.core.errors import UserError
from memtrain.core.group_borders import GroupBorders
from memtrain.core.random_streams import random_stream
from memtrain.core.ranges import (
    Range,
    at_positions,
    count_rows,
    merge_ranges,
    resolve_bound,
    subtract_ranges,
)

#: Runs of neighbouring rows that random rows are drawn from. A recipe has a range for each run that
#: is drawn, and a training reads the rows between them in one go.
_RUNS = 256


def hold_out(
    where: str,
    train: Sequence[Range],
    settings: ValidationSettings,
    seed: int,
    groups: GroupBorders | None = None,
) -> tuple[list[Range], list[Range]]:
    """Return the training rows without a share of them, and that share.

    Withdrawn rows count here, so that the withdrawal of a row moves no other row.

    Args:
        where: key of the split, for messages.
        train: ranges of the training rows.
        settings: which share is taken, and how.
        seed: seed of the training.
        groups: borders between groups of rows, which are not cut: as many whole groups are taken as
            come nearest to the share. None where rows have none.

    Raises:
        UserError: if the share is no row, or all of them.
    """
    rows = count_rows(train)
    wanted = resolve_bound(settings.share, rows)
    if not wanted:
        raise UserError(
            f"{where}: training.validation.share: {settings.share} of {rows} training rows is not "
            "one row. Use a larger share, or name the rows under `validate`."
        )
    positions = [(rows - wanted, rows)] if settings.take == "last" else _drawn(rows, wanted, seed)
    held = [piece for span in positions for piece in at_positions(train, *span)]
    if groups is not None:
        held = [Range(groups.nearest(piece.start), groups.nearest(piece.end)) for piece in held]
    held = merge_ranges(held)
    left = subtract_ranges(train, held)
    if not held or not left:
        raise UserError(
            f"{where}: training.validation.share: {settings.share} of {rows} training rows is "
            f"{'all' if held else 'none'} of their groups. Use another share, or name the rows "
            "under `validate`."
        )
    return left, held


def _drawn(rows: int, wanted: int, seed: int) -> list[tuple[int, int]]:
    """Return the positions ``(start, end)`` of runs with as many rows in all as are wanted."""
    runs = min(rows, _RUNS)
    drawn = []
    for run in random_stream(seed, "validation rows").permutation(runs).tolist():
        start, end = rows * run // runs, rows * (run + 1) // runs
        drawn.append((start, min(end, start + wanted)))
        wanted -= end - start
        if wanted <= 0:
            break
    return drawn
