"""Warnings on recipes that are right, but may not give what their user wants."""

from collections.abc import Sequence

import numpy as np

from memtrain.core.byte_sizes import format_bytes
from memtrain.core.wording import listed
from memtrain.recipes.recipe import Recipe

#: Variance of a batch's mean, relative to a uniform shuffle, above which there is a warning.
_WEAK_SHUFFLE = 2.0


def describe_weak_shuffle(recipe: Recipe, has_groups: bool = False) -> str | None:
    """Return a warning if sorted rows would reach the model badly shuffled; else None.

    Args:
        recipe: recipe of a split.
        has_groups: whether rows lie in groups, so that no other order of theirs would help.
    """
    shuffle = recipe.shuffle
    settings = recipe.training.settings
    if shuffle.batch_variance <= _WEAK_SHUFFLE:
        return None
    key = f"splits.{recipe.split}: training.shuffle"
    if settings.shuffle is None:
        advice = "Use a shuffle (`shuffle: {buffer_bytes: 256MiB}`)"
    else:
        # These sizes make the variance 1 + (rows_per_step - 1) / blocks_per_buffer about 2.
        block_bytes = settings.shuffle.buffer_bytes // shuffle.blocks_per_buffer
        larger = block_bytes * recipe.training.sizes.rows_per_step
        smaller = max(4096, settings.shuffle.buffer_bytes // recipe.training.sizes.rows_per_step)
        advice = (
            f"Raise shuffle.buffer_bytes to {format_bytes(larger)}, or lower shuffle.block_bytes "
            f"to {format_bytes(smaller)}"
        )
    instead = (
        ""
        if has_groups
        else "; or import the rows with `shuffle_once: <seed>`, which shuffles them for good"
    )
    return (
        f"{key}: if rows lie sorted by the target, the mean of a batch varies "
        f"{shuffle.batch_variance:.3g} times as much as with a uniform shuffle. {advice}{instead}."
    )


def describe_absent_classes(recipe: Recipe, names: Sequence[str] | None) -> str | None:
    """Return a warning if the training rows lack classes that other rows have; else None.

    Args:
        recipe: recipe of a split.
        names: words of the classes, in the order of their numbers; None where there are none.
    """
    counts = recipe.training.statistics_of("target").values
    classes = recipe.training.task.classes
    # Elements of sequences are bytes or tokens, of which some never occur.
    if classes is None or counts is None or recipe.training.has_sequences:
        return None
    present = np.zeros(classes, bool)
    present[np.flatnonzero(counts)] = True
    absent = np.flatnonzero(~present).tolist()
    if not absent:
        return None
    shown = listed([names[number] if names else str(number) for number in absent], 5)
    return (
        f"splits.{recipe.split}: no training row is of class {shown}; the model cannot learn "
        f"{'it' if len(absent) == 1 else 'them'}. Choose other ranges, or import the rows with "
        "`shuffle_once: {seed: 1, stratify_by: <target>}`, which gives every range its share."
    )


def describe_unknown_words(recipe: Recipe) -> str | None:
    """Return a warning if evaluation rows have words that no training row has; else None."""
    if not recipe.unknown_words:
        return None
    found = listed(f"{count:,} of {name}" for name, count in recipe.unknown_words.items())
    return (
        f"splits.{recipe.split}: evaluation rows have words that no training row has ({found}). "
        "The model sees them as no word at all: 0 in every column of a one-hot, or the code 0."
    )
