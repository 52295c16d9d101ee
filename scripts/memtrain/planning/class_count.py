"""Finds how many classes a target has, and refuses values that are none of them."""

from memtrain.core.errors import UserError
from memtrain.data.manifest import Manifest
from memtrain.data.source import Source


def count_classes(source: Source, manifest: Manifest) -> int | None:
    """Return the number of classes of a target; None for a target that is a number.

    Where nobody has said it, it is the largest value in all rows and one. All rows count, those of
    no split as well, so that every split has models of the same outputs.

    Args:
        source: what the rows mean.
        manifest: the statistics of the rows.

    Raises:
        UserError: where the target holds values that are no classes.
    """
    if source.task != "classification" or source.origin.get("kind") != "files":
        return source.classes
    lowest, largest = _extremes(manifest)
    if lowest < 0:
        raise UserError(
            f"dataset.files.target: it holds {lowest:.0f}, and classes are numbered from 0. Number "
            "them from 0, or use `task: regression` for numbers."
        )
    if source.classes is None:
        return max(2, int(largest) + 1)
    if largest >= source.classes:
        raise UserError(
            f"dataset.files.classes: found {source.classes:,}, and the target holds {largest:.0f}; "
            f"classes are numbered from 0 to {source.classes - 1:,}. Use {largest + 1:.0f} or "
            "more, or look at the target."
        )
    return source.classes


def _extremes(manifest: Manifest) -> tuple[float, float]:
    """Return the lowest and the largest value of the target in all rows."""
    found = [shard.statistics["target"] for shard in manifest.shards]
    return (
        float(min(one.minimum.min() for one in found)),
        float(max(one.maximum.max() for one in found)),
    )
