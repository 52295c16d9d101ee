"""Mistakes in what trainings name: models, losses, transforms, optimizers and schedules."""

from collections.abc import Mapping, Sequence

from memtrain.core.errors import UserError
from memtrain.core.wording import listed

#: Most splits that a message names.
_MOST_SPLITS = 5


class PartsError(UserError):
    """Problems of the parts of one training, which the trainings of other splits may share."""


def shared_problems(problems_by_split: Mapping[str, Sequence[str]]) -> list[str]:
    """Return every problem once, with the splits that have it.

    Args:
        problems_by_split: the problems of each split, by its name.
    """
    splits: dict[str, list[str]] = {}
    for split, problems in problems_by_split.items():
        for problem in problems:
            splits.setdefault(problem, []).append(split)
    return [f"{_keys(names)}: {problem}" for problem, names in splits.items()]


def _keys(splits: list[str]) -> str:
    return f"splits.{splits[0]}" if len(splits) == 1 else f"splits {listed(splits, _MOST_SPLITS)}"
